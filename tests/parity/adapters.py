#!/usr/bin/env python3
"""LoRA adapters between akin and PEFT: each loads the other's, with equal vectors?

usage: adapters.py BUILD

Random small folders (BERT, RoBERTa, DistilBERT, MPNet). akin trains an adapter; PEFT loads lora/ onto the base, merged and
not, and must give the vectors of akin's merged folder. Then akin puts adapters that PEFT made (of all
linear modules, the pooler's too) into the base. Numbers must agree to 2e-5.
"""
import copy
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from sentence_transformers import SentenceTransformer

import folders
import vectors

FAMILIES = {name: vectors.FAMILIES[name] for name in ("bert", "roberta", "distilbert", "mpnet")}
WAYS = {
    "defaults": "lora_rank: 4",
    "all matrices": "lora_rank: 3, lora_alpha: 5, lora_targets: '*.layer.*.weight'",
    "last layer": "lora_rank: 2, lora_alpha: 64, trainable_layers: 1",
}
RECIPE = """
data: {{train: pairs.jsonl, validation: false, samples: pairs}}
encoders:
  text: {{type: transformer, path: base, trainable: true, {way}}}
head: {{type: empty}}
optimizer: {{type: adamw, lr: 1e-2}}
train: {{batch_size: 8, epochs: 3, seed: {seed}}}
"""


def train(build, work, way, seed=1):
    environment = dict(os.environ, XDG_CACHE_HOME=str(work / "cache"))
    (work / "recipe.yaml").write_text(RECIPE.format(way=way, seed=seed))
    subprocess.run([build / "akin", "train", "recipe.yaml", "--output", "model", "--force", "--quiet"], check=True, cwd=work,
                   stdout=subprocess.DEVNULL, env=environment)
    return work / "model/encoders/text"


MADE = {
    "queries, values": LoraConfig(r=4, lora_alpha=8, target_modules=r".*(query|value|[qv]_lin|attn\.[qv])"),
    "all linear": LoraConfig(r=2, lora_alpha=3, target_modules="all-linear", use_rslora=True),
}
SERVE = """
data: {{train: pairs.jsonl, validation: false, samples: pairs}}
encoders:
  text: {{type: transformer, path: base, lora: {adapter}}}
head: {{type: linear, output_dim: 8}}
train: {{batch_size: 8, epochs: 1}}
"""


def make_adapter(work, name, config):
    """A random one by PEFT; the vectors of the base with it."""
    model = SentenceTransformer(str(work / "base"), device="cpu")
    made = get_peft_model(model[0].auto_model, copy.deepcopy(config))  # it writes into the config
    for weight in (p for n, p in made.named_parameters() if "lora_" in n):
        torch.nn.init.normal_(weight, 0, .1)
    made.save_pretrained(str(work / name))
    return model


def served(build, work, adapter):
    """akin's encoder with the adapter merged, as saved beside a head that is not looked at."""
    (work / "serve.yaml").write_text(SERVE.format(adapter=adapter))
    subprocess.run([build / "akin", "train", "serve.yaml", "--output", "served", "--force", "--quiet"], check=True, cwd=work,
                   stdout=subprocess.DEVNULL, env=dict(os.environ, XDG_CACHE_HOME=str(work / "cache")))
    return work / "served/encoders/text"


def peft_vectors(work, adapter, some, merged):
    model = SentenceTransformer(str(work / "base"), device="cpu")
    module = model[0]
    tuned = PeftModel.from_pretrained(module.auto_model, str(adapter))
    missing = [name for name, _ in tuned.named_parameters() if "lora_B" in name and not _.abs().sum()]
    assert not missing, missing
    plain = tuned.merge_and_unload() if merged else tuned.base_model.model
    setattr(module, "model" if hasattr(module, "model") else "auto_model", plain)
    return model.encode(some)


def main():
    build, worst = pathlib.Path(sys.argv[1]).resolve(), 0
    some = folders.texts(20)
    for family, (config, model, kind, more) in FAMILIES.items():
        with tempfile.TemporaryDirectory() as name:
            work = pathlib.Path(name)
            words = folders.tokenizer(kind)
            folders.random_folder(name + "/base", config(vocab_size=len(words), **folders.SMALL, **more), model, words)
            (work / "pairs.jsonl").write_text("".join(
                json.dumps({"a": f"the {k} {t}", "b": f"{t} of a {k}"}) + "\n"
                for t in "cat dog bird fish horse".split() for k in "red blue green white".split()))
            base = folders.akin_vectors(build, work / "base", some)
            for way, options in WAYS.items():
                tuned = train(build, work, options)
                own = folders.akin_vectors(build, tuned, some)
                assert folders.difference(own, base) > 1e-3, "the adapter changed nothing"
                for merged in (True, False):
                    found = folders.difference(own, peft_vectors(work, tuned / "lora", some, merged))
                    worst = max(worst, found)
                    print(f"{family:11}{way:16}{'merged by PEFT' if merged else 'in PEFT':16}{found:.1e}", flush=True)
            for way, config in MADE.items():
                theirs = make_adapter(work, "made", config).encode(some)
                found = folders.difference(folders.akin_vectors(build, served(build, work, "made"), some), theirs)
                worst = max(worst, found)
                print(f"{family:11}{way:16}{'made by PEFT':16}{found:.1e}", flush=True)
    sys.exit("the vectors differ" if worst > 2e-5 else 0)


if __name__ == "__main__":
    torch.manual_seed(1)
    numpy.random.seed(1)
    main()
