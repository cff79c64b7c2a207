#!/usr/bin/env python3
"""What akin saves of a trained encoder, loaded by sentence-transformers: the same vectors?

usage: sentence_transformers_folder.py BUILD_FOLDER [FOLDER]

Not part of `make check`, since it needs packages from PyPI: in a virtual environment
`pip install sentence-transformers`, then run it. It trains a folder (a random small one, or FOLDER: a
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
        ", trainable_layers: 1", ", freeze: '*.bias'"]
RECIPE = """
data: {{train: pairs.jsonl, validation: 0.2, samples: pairs}}
encoders:
  text: {{type: transformer, path: '{folder}', trainable: true{way}}}
head: {{type: empty}}
optimizer: {{type: adamw, lr: 1e-3}}
train: {{batch_size: 8, epochs: 2, min_epochs: 2}}
"""


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    akin = str(build / "akin")
    worst = 0
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        environment = dict(os.environ, XDG_CACHE_HOME=str(work / "cache"), HF_HUB_OFFLINE="1")
        folder = sys.argv[2] if len(sys.argv) > 2 else str(work / "tiny")
        if len(sys.argv) < 3:
            subprocess.run([build / "tests/make_tiny_model", folder], check=True)
        with open(work / "pairs.jsonl", "w") as file:
            for thing in THINGS:
                for kind in KINDS:
                    file.write(json.dumps({"a": f"the {kind} {thing}",
                                           "b": f"{thing} of a {kind}"}) + "\n")
        with open(work / "texts.jsonl", "w") as file:
            for text in TEXTS:
                file.write(json.dumps({"text": text}) + "\n")
        for way in WAYS:
            (work / "recipe.yaml").write_text(RECIPE.format(folder=folder, way=way))
            subprocess.run([akin, "train", work / "recipe.yaml", "--output", work / "model",
                            "--force", "--quiet"], check=True, env=environment,
                           stdout=subprocess.DEVNULL)
            subprocess.run([akin, "encode", work / "model", work / "texts.jsonl", "--field", "text",
                            "--output", work / "ours.npy", "--force"], check=True, env=environment,
                           stderr=subprocess.DEVNULL)
            ours = numpy.load(work / "ours.npy")
            theirs = SentenceTransformer(str(work / "model/encoders/text"), device="cpu").encode(TEXTS)
            difference = float(abs(ours - theirs).max() / numpy.linalg.norm(theirs, axis=1).max())
            worst = max(worst, difference)
            print(f"{way[2:] or 'everything':28} {difference:.1e}")
    if worst > 2e-5:
        sys.exit("the vectors differ")


main()
