#!/usr/bin/env python3
"""What fine-tuning gains: MiniLM on package descriptions, short text -> its long text.

usage: quality.py make RECORDS FOLDER
       quality.py run BUILD FOLDER [--encoder FOLDER] [--seeds 1,2,3] [--precisions f32,bf16] [--steps 90]
                                   [--options YAML] [--set KEY=VALUE]...

`make` parts RECORDS (a line each: {"name": package, "short": text, "long": text}; unique long texts, in
the order of names) by a fixed shuffle: 2,000 queries, 500 left out, the rest to train on. Candidates
are the queries' own long texts and 8,000 of the rest (10k), or the former alone (2k). A query is *clean*
when no package of its source package (apt-cache dumpavail knows) is among those to train on, for
siblings share text. FOLDER gets train.jsonl and a BEIR folder for each of the four ways to ask.

`run` trains every layer of the encoder (MiniLM where ./bootstrap left it) 90 steps of 64 pairs, for
each precision and seed, and prints R@1 and MRR@10 of the encoder as it is and of every result.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
QUERIES, APART, OTHERS, SMALL = 2000, 500, 8000, 2000
WAYS = ["10k", "10k-clean", "2k", "2k-clean"]
METRICS = ["precision@1", "reciprocal_rank@10"]
RECIPE = """
data: {{train: {folder}/train.jsonl, validation: false, samples: pairs, fields: {{a: short, b: long}}}}
encoders:
  text: {{type: transformer, path: '{encoder}', trainable: true, max_length: 128, {options}}}
head: {{type: empty}}
loss: {{type: multiple_negatives_ranking, symmetric: true}}
optimizer: {{type: adamw, lr: 5e-5, schedule: linear, warmup_steps: 10, clip_norm: 1}}
train: {{batch_size: 64, epochs: 1, max_steps: {steps}, seed: {seed}, precision: {precision}}}
"""


def lines(path, records):
    with open(path, "w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def beir(folder, queries, candidates):
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    lines(folder / "queries.jsonl", [{"_id": r["name"], "text": r["short"]} for r in queries])
    lines(folder / "corpus.jsonl", [{"_id": r["name"], "text": r["long"]} for r in candidates])
    (folder / "qrels/test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join("{0}\t{0}\t1\n".format(r["name"]) for r in queries))


def make(arguments):
    sys.path.insert(0, str(HERE.parent / "scripts"))
    from descriptions import packages
    known = packages()
    with open(arguments.records, encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    random.Random(42).shuffle(records)
    queries, train = records[:QUERIES], records[QUERIES + APART:]
    candidates = queries + train[:OTHERS]
    seen = {known.get(r["name"], (r["name"],))[0] for r in train}
    clean = [r for r in queries if known.get(r["name"], (r["name"],))[0] not in seen]
    for way in WAYS:
        beir(arguments.folder / way, clean if "clean" in way else queries,
             candidates if "10k" in way else candidates[:SMALL])
    lines(arguments.folder / "train.jsonl", train)
    print(f"{len(train)} pairs to train on, {len(queries)} queries, {len(clean)} of them clean")


def akin(arguments, *words):
    output = subprocess.run([arguments.build / "akin", *words], check=True, stdout=subprocess.PIPE)
    return output.stdout


def measure(arguments, name, model):
    row = []
    for way in WAYS:
        found = json.loads(akin(arguments, "evaluate", model, "--data", arguments.folder / way,
                                "--samples", "beir", "--metrics", ",".join(METRICS), "--json", "--quiet"))
        row += [found["metrics"][metric] for metric in METRICS]
    print(f"{name:16}" + "".join(f"{value:10.3f}" for value in row), flush=True)
    return row


def train(arguments, precision, seed):
    recipe = arguments.folder / "recipe.yaml"
    model = arguments.folder / f"{precision}-{seed}"
    recipe.write_text(RECIPE.format(folder=arguments.folder, encoder=arguments.encoder, seed=seed,
                                    options=arguments.options, steps=arguments.steps,
                                    precision=precision))
    begin = time.monotonic()
    akin(arguments, "train", recipe, "--output", model, "--force", "--quiet",
         *(word for setting in arguments.set for word in ("--set", setting)))
    print(f"{model.name}: {time.monotonic() - begin:.1f} s for {arguments.steps} steps", flush=True)
    return measure(arguments, model.name, model)


def run(arguments):
    arguments.build = arguments.build.resolve()
    arguments.folder = arguments.folder.resolve()
    print(f"{'':16}" + "".join(f"{way:>20}" for way in WAYS))
    print(f"{'':16}" + f"{'R@1':>10}{'MRR@10':>10}" * len(WAYS))
    measure(arguments, "as it is", arguments.encoder)
    for precision in arguments.precisions.split(","):
        rows = [train(arguments, precision, int(seed)) for seed in arguments.seeds.split(",")]
        print(f"{precision + ' mean':16}" + "".join(f"{statistics.mean(c):10.3f}" for c in zip(*rows)))
        if len(rows) > 1:
            print(f"{precision + ' deviation':16}" +
                  "".join(f"{statistics.stdev(c):10.3f}" for c in zip(*rows)), flush=True)


def main():
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make")
    command.add_argument("records")
    command.add_argument("folder", type=pathlib.Path)
    command.set_defaults(run=make)
    command = commands.add_parser("run")
    command.add_argument("build", type=pathlib.Path)
    command.add_argument("folder", type=pathlib.Path)
    command.add_argument("--encoder", default=os.path.join(cache, "akin/minilm"))
    command.add_argument("--seeds", default="1,2,3")
    command.add_argument("--precisions", default="f32,bf16")
    command.add_argument("--steps", type=int, default=90)
    command.add_argument("--options", default="train_embeddings: true")
    command.add_argument("--set", action="append", default=[])
    command.set_defaults(run=run)
    arguments = parser.parse_args()
    arguments.run(arguments)


main()
