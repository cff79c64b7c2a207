#!/usr/bin/env python3
"""Whatever can be named in a recipe has a test, a help text and a place in the docs.

usage: check_registry.py AKIN ROOT

Every encoder, head, loss, metric, optimizer and sampler of "akin list" must be named by a test program, and have
a summary and a help text for each option: a class that was added without its test row fails here. Every
key of the recipe's own sections must stand in docs/formats.md, every option of a run in docs/training.md with its default.
"""
import json
import pathlib
import re
import subprocess
import sys

KINDS = ("encoders", "heads", "losses", "metrics", "optimizers", "samplers")
RECIPE_ROW = re.compile(r"\{\.name = (?:DATA|FIELD|BATCH|TRAINER|STOPPING|CHECKPOINT)\((\w+)")
RUN_ROW = re.compile(r"\{\.name = (?:TRAINER|STOPPING|CHECKPOINT)\((\w+), \w+\)"
                     r"(?:[^{}]*?\.default_text = \"([^\"]*)\")?")


def class_problems(kind, entry, tests):
    name = entry["name"]
    if not re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z0-9_])", tests, re.IGNORECASE):
        yield f"{kind}: no test names {name}"
    if not entry.get("summary"):
        yield f"{kind}: {name} has no summary"
    for option in entry["options"]:
        if not option["help"]:
            yield f"{kind}: {name}'s option {option['name']} has no help"


def main():
    command, root = sys.argv[1], pathlib.Path(sys.argv[2])
    tests = "\n".join(path.read_text() for pattern in ("test_*.c", "*.h", "data/*.inc")
                      for path in sorted((root / "tests").glob(pattern)))
    formats = (root / "docs" / "formats.md").read_text(encoding="utf-8")
    problems, count = [], 0
    for kind in KINDS:
        listed = json.loads(subprocess.run([command, "list", kind, "--json"], check=True,
                                           stdout=subprocess.PIPE).stdout)
        count += len(listed)
        for entry in listed:
            problems += class_problems(kind, entry, tests)
    keys = [key for name in ("recipe_options.c", "trainer.c")
            for key in RECIPE_ROW.findall((root / "src" / "train" / name).read_text())]
    problems += [f"docs/formats.md says nothing of the recipe's key `{key}`" for key in keys
                 if f"`{key}`" not in formats]
    training = (root / "docs" / "training.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \| ([^|]*?) \|", training, re.MULTILINE))
    keys_of_runs = RUN_ROW.findall((root / "src" / "train" / "trainer.c").read_text())
    optimizer = json.loads(subprocess.run([command, "list", "optimizers", "--json"], check=True,
                                          stdout=subprocess.PIPE).stdout)[0]["options"]
    keys_of_runs += [(option["name"], option["default"]) for option in optimizer
                     if option["name"] != "type"]
    problems += [f"docs/training.md has no row of `{key}` with the default {default or 'none'}"
                 for key, default in keys_of_runs if (key, default or "none") not in rows]
    if len(keys_of_runs) < 30:
        problems.append(f"only {len(keys_of_runs)} options of runs were found")
    if len(keys) < 20 or count < 20:
        problems.append(f"only {len(keys)} recipe keys and {count} classes were found")
    print("\n".join(problems) or f"{count} classes and {len(keys)} recipe keys")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
