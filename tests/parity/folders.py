"""What the scripts about vectors share: sentence-transformers folders with random weights, and akin's vectors.

tokenizer(kind) is one of token_ids.py's; random_folder(...) writes a folder; akin_vectors(...) encodes;
difference(...) is the largest of two sets of vectors, as a part of the longest one.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import warnings

import numpy
import torch
from sentence_transformers import SentenceTransformer
from transformers import PreTrainedTokenizerFast

warnings.filterwarnings("ignore", category=DeprecationWarning)
from sentence_transformers import models  # noqa: E402

import nasty  # noqa: E402
import token_ids  # noqa: E402

SMALL = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=96)
NAMES = {"word_pieces": dict(pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]"),
         "other": dict(bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", unk_token="<unk>",
                       pad_token="<pad>", mask_token="<mask>")}


def tokenizer(kind):
    """kind: a row of WORD_PIECES, BYTES or PIECES of token_ids.py."""
    for table, make in ((token_ids.WORD_PIECES, token_ids.word_pieces), (token_ids.BYTES, token_ids.byte_level),
                        (token_ids.PIECES, token_ids.unigram)):
        if kind in table:
            made = make(*table[kind], nasty.corpus())
            names = NAMES["word_pieces" if table is token_ids.WORD_PIECES else "other"]
            return PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=["input_ids", "attention_mask"], **names)
    raise KeyError(kind)


def random_folder(path, config, model_class, words, pooling="mean", modules=(), positions=130, deviation=.15):
    """The model of a transformers config with weights large enough that every part matters."""
    torch.manual_seed(len(path) + 7)
    model = model_class(config)
    for name, weight in model.named_parameters():
        torch.nn.init.normal_(weight, 1 if "norm" in name.lower() and name.endswith("weight") else 0, deviation)
    with tempfile.TemporaryDirectory() as bare:
        model.save_pretrained(bare)
        words.save_pretrained(bare)
        transformer = models.Transformer(bare, max_seq_length=positions - 2)
        pool = models.Pooling(config.hidden_size, pooling_mode=pooling)
        SentenceTransformer(modules=[transformer, pool, *modules], device="cpu").save(path)
    return path


def texts(count=60):
    """Short, long, empty ones, and nasty ones that every package reads."""
    lines = nasty.corpus()
    nasties = [data.decode("utf-8", "replace") for data in nasty.bytes_of(200, 5)]
    return (["", "a", "the red cat", "one two three four five six " * 40, "UPPER, lower; 3.14"] +
            lines[:count] + [text for text in nasties if len(text) < 200][:count])


def akin_vectors(build, folder, some, *options):
    with tempfile.TemporaryDirectory() as work:
        path = pathlib.Path(work)
        path.joinpath("texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in some))
        subprocess.run([pathlib.Path(build, "akin"), "encode", folder, path / "texts.jsonl", "--field", "text", "--quiet",
                        "--output", path / "v.npy", *options], check=True, env=dict(os.environ, XDG_CACHE_HOME=work))
        return numpy.load(path / "v.npy")


def difference(own, theirs):
    return float(abs(own - theirs).max() / numpy.linalg.norm(theirs, axis=1).max())
