#!/usr/bin/env python3
"""Writes two folders of static embeddings and what sentence-transformers makes of texts with them.

    python3 make.py FOLDER      (made with sentence-transformers 6.2, tokenizers 0.23)

FOLDER/sentence: StaticEmbedding and Normalize. FOLDER/model2vec: "embeddings" in float16, "mapping" and
"weights". FOLDER/golden.h: the vectors, of a text a row."""
import json
import pathlib
import shutil
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "blue", "cat", "dog", "the", "##s", "a", ",", "!"]
TEXTS = ["red cat", "The red cats, a dog!", "", "unknown words", "blue", "[CLS] cat"]
DIM = 6

folder = pathlib.Path(sys.argv[1])
numbers = np.random.default_rng(1)
tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]",
                                       max_input_chars_per_word=100))
tokenizer.normalizer = normalizers.BertNormalizer()
tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
tokenizer.post_processor = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])

weights = numbers.normal(size=(len(WORDS), DIM)).astype(np.float32)
model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights), Normalize()],
                            device="cpu")
shutil.rmtree(folder / "sentence", ignore_errors=True)
model.save(str(folder / "sentence"), create_model_card=False)

small = folder / "model2vec"
shutil.rmtree(small, ignore_errors=True)
small.mkdir()
tokenizer.save(str(small / "tokenizer.json"))
save_file({"embeddings": numbers.normal(size=(5, DIM)).astype(np.float16),
           "mapping": numbers.integers(0, 5, len(WORDS)).astype(np.int64),
           "weights": numbers.uniform(size=len(WORDS)).astype(np.float64)}, small / "model.safetensors")
(small / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": False}))
folded = SentenceTransformer(modules=[StaticEmbedding.load(str(small))], device="cpu")


def rows(encoder):
    for vector in encoder.encode(TEXTS, convert_to_numpy=True).astype(np.float64):
        yield "    {" + ", ".join(f"{x:.8g}" for x in vector) + "},"


lines = ["/* Made by make.py. */", f"enum {{ STATIC_DIM = {DIM}, STATIC_TEXTS = {len(TEXTS)} }};",
         "static const char *const static_texts[] = {" + ", ".join(map(json.dumps, TEXTS)) + "};"]
for name, encoder in (("sentence", model), ("model2vec", folded)):
    lines += [f"static const double static_{name}[STATIC_TEXTS][STATIC_DIM] = {{", *rows(encoder), "};"]
(folder / "golden.h").write_text("\n".join(lines + [""]))
