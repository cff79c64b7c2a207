#!/usr/bin/env python3
"""What akin saves of a trained encoder, loaded by sentence-transformers: the same vectors?

usage: sentence_transformers_folder.py BUILD_FOLDER [FOLDER]

Not part of `make check`, since it needs packages from PyPI: in a virtual environment
`pip install sentence-transformers`, then run it. It trains a folder (random small ones, or FOLDER: a
sentence-transformers folder of the BERT family) for a few steps in several ways, loads
encoders/text of each model with the real package and compares the vectors of texts that are short,
long, empty and in other scripts. Numbers must agree to 2e-5 of vectors of length 1.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
from sentence_transformers import SentenceTransformer

THINGS = "cat dog bird fish horse pear plum road river house".split()
KINDS = "red blue green white".split()
TEXTS = ["", "a", "the red cat", "one two three four five six " * 20, "naïve café", "日本語 русский",
         "😀 run", "UPPER case", "small, large; old/new"]
WAYS = ["", ", train_embeddings: true", ", max_length: 9", ", prompt: 'query : '",
        ", trainable_layers: 1", ", freeze: '*.bias'", ", lora_rank: 2, lr_factor: 20"]
# transformers takes MPNet's tokens of id 1, here unknown ones, for padding when it counts positions.
FAMILIES = {"bert": TEXTS, "distilbert": TEXTS, "mpnet": ["", "a", "the red cat", "one two three four five six " * 20]}
RECIPE = """
data: {{train: pairs.jsonl, validation: 0.2, samples: pairs}}
encoders:
  text: {{type: transformer, path: '{folder}', trainable: true{way}}}
head: {{type: empty}}
optimizer: {{type: adamw, lr: 1e-3}}
train: {{batch_size: 8, epochs: 2, min_epochs: 2}}
"""


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def difference(akin, work, folder, way, texts):
    """Trains the folder, and encodes the texts with akin and with the real package."""
    environment = dict(os.environ, XDG_CACHE_HOME=str(work / "cache"), HF_HUB_OFFLINE="1")
    (work / "recipe.yaml").write_text(RECIPE.format(folder=folder, way=way))
    write_lines(work / "texts.jsonl", [{"text": text} for text in texts])
    subprocess.run([akin, "train", work / "recipe.yaml", "--output", work / "model", "--force", "--quiet"],
                   check=True, env=environment, stdout=subprocess.DEVNULL)
    subprocess.run([akin, "encode", work / "model", work / "texts.jsonl", "--field", "text", "--output",
                    work / "ours.npy", "--force"], check=True, env=environment, stderr=subprocess.DEVNULL)
    ours = numpy.load(work / "ours.npy")
    theirs = SentenceTransformer(str(work / "model/encoders/text"), device="cpu").encode(texts)
    return float(abs(ours - theirs).max() / numpy.linalg.norm(theirs, axis=1).max())


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    worst = 0
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        folders = {sys.argv[2]: TEXTS} if len(sys.argv) > 2 else {}
        for family in FAMILIES if not folders else []:
            folders[str(work / family)] = FAMILIES[family]
            subprocess.run([build / "tests/make_tiny_model", work / family, family], check=True)
        write_lines(work / "pairs.jsonl", [{"a": f"the {kind} {thing}", "b": f"{thing} of a {kind}"}
                                           for thing in THINGS for kind in KINDS])
        for folder, texts in folders.items():
            for way in WAYS:
                found = difference(str(build / "akin"), work, folder, way, texts)
                worst = max(worst, found)
                print(f"{pathlib.Path(folder).name:12} {way[2:] or 'everything':28} {found:.1e}", flush=True)
    if worst > 2e-5:
        sys.exit("the vectors differ")


main()
