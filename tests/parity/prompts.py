#!/usr/bin/env python3
"""Prompts of queries and documents: the vectors of encode_query and encode_document?

usage: prompts.py BUILD_FOLDER [FOLDER]

In a virtual environment with sentence-transformers 5 or later (see README.md). Writes several
config_sentence_transformers.json into a copy of a folder (a random small one, or FOLDER), encodes texts
as queries and as documents with akin and with the real package, and trains one for a step, whose folder
must keep its prompts. Numbers must agree to 1e-5 of vectors of length 1.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy
from sentence_transformers import SentenceTransformer

TEXTS = ["", "a", "the red cat", "one two three four five six " * 20, "naïve café", "日本語 русский"]
CONFIGS = [
    {"prompts": {"query": "query: ", "passage": "passage: "}},
    {"prompts": {"query": "query: ", "document": "the ", "passage": "of "}},
    {"prompts": {"query": "red ", "corpus": "small "}, "default_prompt_name": "corpus"},
    {"prompts": {"query": "query: ", "new": "new "}, "default_prompt_name": "new"},
    {"prompts": {"query": "Represent this sentence for searching relevant passages: "}},
    {"prompts": {"query": "", "document": ""}, "default_prompt_name": None},
]
RECIPE = """
data: {{train: pairs.jsonl, validation: false}}
encoders: {{text: {{type: transformer, path: folder, trainable: true{options}}}}}
head: empty
train: {{epochs: 1, batch_size: 4}}
"""
work = pathlib.Path(tempfile.mkdtemp())
environment = dict(os.environ, XDG_CACHE_HOME=str(work / "cache"), HF_HUB_OFFLINE="1")


def akin(*words):
    command = [pathlib.Path(sys.argv[1]).resolve() / "akin", *words]
    subprocess.run(command, check=True, env=environment, cwd=work, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def ours(model, side):
    akin("encode", model, "texts.jsonl", "--side", side, "--output", "v.npy", "--force")
    return numpy.load(work / "v.npy")


def documents_of(model):
    """Release 6 overlooks "passage" and "corpus" in encode_document, for it adds an empty "document"."""
    named = [name for name in ("passage", "corpus") if name in model.prompts]
    if named and not model.prompts["document"]:
        return model.encode(TEXTS, prompt_name=named[0])
    return model.encode_document(TEXTS)


def difference(model, folder):
    theirs = SentenceTransformer(str(work / folder), device="cpu")
    pairs = [(ours(model, "query"), theirs.encode_query(TEXTS)),
             (ours(model, "document"), documents_of(theirs))]
    return max(float(abs(a - b).max() / numpy.linalg.norm(b, axis=1).max()) for a, b in pairs)


def main():
    source = sys.argv[2] if len(sys.argv) > 2 else str(work / "tiny")
    if len(sys.argv) < 3:
        subprocess.run([pathlib.Path(sys.argv[1]) / "tests/make_tiny_model", source], check=True)
    shutil.copytree(source, work / "folder")
    for name, records in (("texts.jsonl", [{"text": text} for text in TEXTS]),
                          ("pairs.jsonl", [{"a": f"{i} cat", "b": f"dog {i}"} for i in range(8)])):
        (work / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    worst = 0
    for config in CONFIGS:
        (work / "folder/config_sentence_transformers.json").write_text(json.dumps(config))
        found = difference("folder", "folder")
        worst = max(worst, found)
        print(f"{json.dumps(config['prompts'])[:70]:72} {found:.1e}")
    for options in ("", ", query_prompt: 'a ', document_prompt: 'of '", ", prompt: 'old '"):
        (work / "folder/config_sentence_transformers.json").write_text(json.dumps(CONFIGS[0]))
        (work / "r.yaml").write_text(RECIPE.format(options=options))
        akin("train", "r.yaml", "--output", "model", "--force")
        found = difference("model", "model/encoders/text")
        worst = max(worst, found)
        print(f"{'trained' + options:72} {found:.1e}")
    shutil.rmtree(work)
    if worst > 1e-5:
        sys.exit("the vectors differ")


main()
