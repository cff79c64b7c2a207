#!/usr/bin/env python3
"""Every recipe of docs/tutorials trains, on a tiny model and made-up records that have the members the
recipes name, and the model it saves evaluates. usage: check_tutorials.py BUILD_FOLDER ROOT
"""
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

BUILD, ROOT = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
WORDS = "the cat sat on a mat dog runs red house tree green blue water".split()
KINDS = ("pairs", "--fields", "a=short,b=text"), ("groups", "--fields", "object=text,group=intent")


def run(folder, *words):
    return subprocess.run(list(map(str, words)), cwd=folder, capture_output=True, text=True,
                          check=False)


def record(draw, number):
    group = number % 6
    text = " ".join(draw.choices(WORDS, k=5) + [WORDS[group], str(number)])
    return {"text": text, "short": " ".join(draw.choices(WORDS, k=3) + [str(number)]),
            "intent": f"intent {group}", "section": WORDS[group]}


def write_data(folder, recipe):
    """Whatever files the recipe's data section names."""
    draw = random.Random(1)
    for name in re.findall(r"([\w-]+\.jsonl)", recipe):
        lines = [json.dumps(record(draw, number)) for number in range(96)]
        (folder / name).write_text("\n".join(lines) + "\n")


def train(folder, recipe, *more):
    """Texts are cut to what the tiny model reads; static encoders read all of them."""
    text = (folder / recipe).read_text(encoding="utf-8")
    places = ["text.query", "text.document"] if "type: two_towers" in text else ["text"]
    for place in places if "type: static" not in text else []:
        more += "--set", f"encoders.{place}.max_length=24"
    return run(folder, BUILD / "akin", "train", recipe, "--output", "out", "--force", "--cache",
               folder / "cache", "--set", "train.epochs=2", "--set", "train.batch_size=32", *more)


def problems_of(folder, path):
    recipe = path.read_text(encoding="utf-8")
    write_data(folder, recipe)
    shutil.copy(path, folder)
    trained = train(folder, path.name)
    if trained.returncode:
        yield f"does not train: {trained.stderr}"
        return
    data = re.search(r"train: ([\w-]+\.jsonl)", recipe).group(1)
    kind, *fields = KINDS["samples: groups" in recipe]
    done = run(folder, BUILD / "akin", "evaluate", "out", "--data", data, "--samples", kind, *fields)
    if done.returncode or "reciprocal_rank" not in done.stdout:
        yield f"does not evaluate: {done.stderr}{done.stdout}"


def main():
    recipes = sorted((ROOT / "docs/tutorials").glob("*.yaml"))
    problems = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        subprocess.run([BUILD / "tests/make_tiny_model", folder / "minilm"], check=True)
        subprocess.run([BUILD / "akin", "distill", folder / "minilm", "--output",
                        folder / "minilm-static", "--quiet"], check=True, capture_output=True)
        for path in recipes:
            problems += [f"{path.name}: {problem}" for problem in problems_of(folder, path)]
        plugin = train(folder, "collapse.yaml", "--plugin", BUILD / "examples/undivided.so",
                       "--set", "loss={type: undivided_triplet}")
        if plugin.returncode:
            problems.append(f"the plug-in of collapse.yaml: {plugin.stderr}")
    print("\n".join(problems) if problems else f"{len(recipes)} recipes train")
    return 1 if problems or not recipes else 0


if __name__ == "__main__":
    sys.exit(main())
