#!/usr/bin/env python3
"""akin's figures beside those of trec_eval and ranx on the run files that akin writes.

usage: trec_eval.py BUILD_FOLDER

Not part of `make check`, since it needs packages from PyPI: in a virtual environment
`pip install pytrec-eval-terrier ranx` (ranx may be left out), then run it. It makes a random model,
a BEIR folder with graded judgements, pairs and groups; for each it lets akin print its figures and
write run and judgements, has the others read these files, and compares to seven digits.

Where akin differs on purpose it is not compared: map@k divides by min(k, R), trec_eval's map_cut by R.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import pytrec_eval

try:
    import ranx
except ImportError:
    ranx = None

# akin's name, trec_eval's measure, its name in the answer, ranx's name
MEASURES = [
    ("reciprocal_rank", "recip_rank", "recip_rank", "mrr"),
    ("map", "map", "map", "map"),
    ("ndcg", "ndcg", "ndcg", "ndcg"),
    ("ndcg@10", "ndcg_cut.10", "ndcg_cut_10", "ndcg@10"),
    ("precision@5", "P.5", "P_5", "precision@5"),
    ("recall@20", "recall.20", "recall_20", "recall@20"),
    ("hit_rate@3", "success.3", "success_3", "hit_rate@3"),
    ("r_precision", "Rprec", "Rprec", "r-precision"),
]
WORDS = ("red blue green white black cat dog bird fish horse apple pear plum cherry house tree road "
         "river sea hill one two three four five six run walk swim fly eat small large old new").split()


def lines(path, records):
    pathlib.Path(path).write_text("".join(json.dumps(record) + "\n" for record in records))


def texts(draw, count):
    """Distinct texts of three to seven words: no two similarities are equal."""
    made = set()
    while len(made) < count:
        made.add(" ".join(draw.choices(WORDS, k=draw.randint(3, 7))))
    return sorted(made)


def make_data():
    draw = random.Random(1)
    words = texts(draw, 700)
    queries, documents = words[:60], words[60:460]
    os.makedirs("beir/qrels")
    lines("beir/queries.jsonl", [{"_id": f"q{i}", "text": t} for i, t in enumerate(queries)])
    lines("beir/corpus.jsonl", [{"_id": f"d{i}", "text": t} for i, t in enumerate(documents)])
    judged = ["query-id\tcorpus-id\tscore\n"]
    for q in range(60):
        for d in draw.sample(range(400), draw.randint(1, 30)):
            judged.append(f"q{q}\td{d}\t{draw.randint(0, 3)}\n")
        judged.append(f"q{q}\td{q}\t2\n" if f"q{q}\td{q}\t" not in "".join(judged) else "")
    pathlib.Path("beir/qrels/test.tsv").write_text("".join(judged))
    lines("pairs.jsonl", [{"a": words[draw.randrange(60)], "b": words[100 + draw.randrange(150)],
                           "score": draw.choice([.6, .75, 1])} for _ in range(200)])
    lines("groups.jsonl", [{"object": t, "group": i % 70} for i, t in enumerate(words[:210])])


def akin(build, samples, data):
    names = ",".join("ndcg@0" if name == "ndcg" else name for name, *_ in MEASURES)
    out = subprocess.run([build / "akin", "evaluate", "tiny", "--data", data, "--samples", samples,
                          "--json", "--depth", "0", "--metrics", names, "--run", "run.txt",
                          "--qrels", "qrels.txt", "--force"], check=True, stdout=subprocess.PIPE)
    return json.loads(out.stdout)


def trec_eval():
    with open("qrels.txt") as qrels, open("run.txt") as run:
        judge = pytrec_eval.RelevanceEvaluator(pytrec_eval.parse_qrel(qrels),
                                               {measure for _, measure, *_ in MEASURES})
        found = judge.evaluate(pytrec_eval.parse_run(run))
    return {name: sum(query[answer] for query in found.values()) / len(found)
            for name, _, answer, _ in MEASURES}, len(found)


def ranx_figures():
    if not ranx:
        return {}
    found = ranx.evaluate(ranx.Qrels.from_file("qrels.txt", kind="trec"),
                          ranx.Run.from_file("run.txt", kind="trec"),
                          [other for *_, other in MEASURES])
    return {name: found[other] for name, *_, other in MEASURES}


def main():
    build, failed = pathlib.Path(sys.argv[1]).resolve(), 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = folder
        subprocess.run([build / "tests" / "make_tiny_model", "tiny"], check=True)
        make_data()
        for samples, data in (("beir", "beir"), ("pairs", "pairs.jsonl"), ("groups", "groups.jsonl")):
            own = akin(build, samples, data)
            judged, queries = trec_eval()
            others = ranx_figures()
            assert queries == own["queries"], (samples, queries, own["queries"])
            print(f"{samples}: {queries} queries")
            for name, *_ in MEASURES:
                values = [own["metrics"][name], judged[name], others.get(name, judged[name])]
                good = max(values) - min(values) < 1e-7
                failed += not good
                print(f"  {'ok' if good else 'DIFFERS':8}{name:18}" + "".join(f"{v:14.9f}" for v in values))
        os.chdir("/")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
