#!/usr/bin/env python3
"""Ten optimizer steps of the whole encoder by akin and by PyTorch: the same losses?

usage: steps.py BUILD [FOLDER]

Without dropout, in float32, one batch of 32 pairs ten times: AdamW at 5e-5, multiple negatives
ranking. FOLDER: a sentence-transformers folder of the BERT family, MiniLM where ./bootstrap left it if
it is there, else a random small one. Losses must agree to 1e-4.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
from sentence_transformers import SentenceTransformer

import nasty

STEPS, PAIRS = 10, 32
RECIPE = """
data: {{train: pairs.jsonl, validation: false, samples: pairs}}
encoders:
  text: {{type: transformer, path: '{folder}', trainable: true, train_embeddings: true, dropout: 0, max_length: 64}}
head: {{type: empty}}
loss: {{type: multiple_negatives_ranking, scale: 20}}
optimizer: {{type: adamw, lr: 5e-5, weight_decay: 0.01, schedule: constant}}
train: {{batch_size: {pairs}, epochs: {steps}, log_folder: log}}
"""


def pairs():
    """The halves of lines of prose."""
    lines = [line for line in nasty.corpus() if 60 < len(line) < 300][:PAIRS]
    return [(line[:len(line) // 2], line[len(line) // 2:]) for line in lines]


def akin_losses(build, folder, work, some):
    (work / "recipe.yaml").write_text(RECIPE.format(folder=folder, pairs=PAIRS, steps=STEPS))
    (work / "pairs.jsonl").write_text("".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in some))
    subprocess.run([build / "akin", "train", "recipe.yaml", "--output", "model", "--quiet"], check=True, cwd=work,
                   stdout=subprocess.DEVNULL, env=dict(os.environ, XDG_CACHE_HOME=str(work)))
    rows = [json.loads(line) for line in (work / "log/log.jsonl").read_text().splitlines()]
    return [row["train_loss"] for row in rows if row.get("train_loss") is not None and row["epoch"] > 0]


def torch_losses(folder, some):
    model = SentenceTransformer(str(folder), device="cpu")
    model.max_seq_length = 64
    model.eval()  # no dropout
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": .01}, {"params": vectors, "weight_decay": 0}], lr=5e-5)
    losses = []
    for _ in range(STEPS):
        a, b = (torch.nn.functional.normalize(
            model(model.preprocess([pair[side] for pair in some]))["sentence_embedding"], dim=1) for side in (0, 1))
        loss = torch.nn.functional.cross_entropy(20 * a @ b.T, torch.arange(len(some)))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    minilm = pathlib.Path(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "akin/minilm")
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        folder = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else minilm
        if not folder.exists():
            folder = work / "tiny"
            subprocess.run([build / "tests/make_tiny_model", folder], check=True)
        own, theirs = akin_losses(build, folder, work, pairs()), torch_losses(folder, pairs())
    for step, (x, y) in enumerate(zip(own, theirs, strict=True)):
        print(f"step {step:2}: akin {x:.6f}, PyTorch {y:.6f}, {abs(x - y):.1e}")
    sys.exit("the losses differ" if max(abs(x - y) for x, y in zip(own, theirs)) > 1e-4 else 0)


if __name__ == "__main__":
    main()
