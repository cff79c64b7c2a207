#!/usr/bin/env python3
"""akin's vectors of random-weight folders beside those of sentence-transformers.

usage: vectors.py BUILD

For each family (BERT, RoBERTa, XLM-R, DistilBERT, MPNet), pooling and module after it, sentence-transformers writes a
folder and both encode the same texts; last, three families in the width of their base models. Numbers must agree to 2e-5 of the longest vector.
"""
import sys
import tempfile

import torch
from transformers import (BertConfig, BertModel, DistilBertConfig, DistilBertModel, MPNetConfig, MPNetModel, RobertaConfig,
                          RobertaModel, XLMRobertaConfig, XLMRobertaModel)

import folders
from folders import SMALL, models
from sentence_transformers import SentenceTransformer

FAMILIES = {  # config, model, tokenizer, what the config says besides
    "bert": (BertConfig, BertModel, "uncased", dict(max_position_embeddings=130)),
    "bert_cased_relu": (BertConfig, BertModel, "cased", dict(max_position_embeddings=130, hidden_act="relu")),
    "bert_silu": (BertConfig, BertModel, "uncased", dict(max_position_embeddings=130, hidden_act="silu", layer_norm_eps=1e-5)),
    "bert_gelu_new": (BertConfig, BertModel, "uncased", dict(max_position_embeddings=130, hidden_act="gelu_new")),
    "roberta": (RobertaConfig, RobertaModel, "roberta", dict(max_position_embeddings=132, type_vocab_size=1, pad_token_id=1)),
    "xlm_roberta": (XLMRobertaConfig, XLMRobertaModel, "xlmr", dict(max_position_embeddings=132, type_vocab_size=1, pad_token_id=1)),
    "distilbert": (DistilBertConfig, DistilBertModel, "uncased", dict(max_position_embeddings=130, hidden_dim=96)),
    "mpnet": (MPNetConfig, MPNetModel, "roberta", dict(max_position_embeddings=132, pad_token_id=1)),
}
BASE = dict(hidden_size=768, num_hidden_layers=6, num_attention_heads=12, intermediate_size=3072)
LONG = {"bert": dict(max_position_embeddings=512), "mpnet": dict(max_position_embeddings=514),
        "distilbert": dict(max_position_embeddings=512, hidden_dim=3072)}
POOLINGS = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("cls", "mean"), ("cls", "max", "mean")]
WIDTH = SMALL["hidden_size"]
MODULES = {
    "normalize": lambda: [models.Normalize()],
    "dense": lambda: [models.Dense(WIDTH, 20)],
    "dense_identity_normalize": lambda: [models.Dense(WIDTH, 70, bias=False, activation_function=torch.nn.Identity()),
                                         models.Normalize()],
    "two_dense": lambda: [models.Dense(WIDTH, 30, activation_function=torch.nn.GELU()), models.Dense(30, 10)],
}


def check(build, name, family, pooling, modules, sizes=SMALL, other={}):
    config, model, kind, more = FAMILIES[family]
    more = {**more, **other}
    with tempfile.TemporaryDirectory() as folder:
        words = folders.tokenizer(kind)
        made = config(vocab_size=len(words), **sizes, **more)
        positions = more["max_position_embeddings"] - more.get("pad_token_id", -1) - 1
        folders.random_folder(folder, made, model, words, pooling, modules, positions + 2, .15 if sizes is SMALL else .04)
        some = folders.texts()
        theirs = SentenceTransformer(folder, device="cpu").encode(some, batch_size=8)
        worst = folders.difference(folders.akin_vectors(build, folder, some), theirs)
    print(f"{name:44} {worst:.1e}", flush=True)
    return worst < 2e-5


def main():
    good = [check(sys.argv[1], family, family, "mean", []) for family in FAMILIES]
    good += [check(sys.argv[1], f"bert {pooling}", "bert", pooling, []) for pooling in POOLINGS]
    good += [check(sys.argv[1], f"xlm_roberta {name}", "xlm_roberta", "cls", make()) for name, make in MODULES.items()]
    good += [check(sys.argv[1], f"{family}, base", family, "mean", [], BASE, LONG[family]) for family in LONG]
    sys.exit(0 if all(good) else "the vectors differ")


if __name__ == "__main__":
    main()
