#!/usr/bin/env python3
"""Gradients and ten steps of training a small BERT by PyTorch and transformers, for test_bert_train.c.

    build/tests/make_tiny_model /tmp/tiny && tests/data/make_bert_golden.py /tmp/tiny > bert_golden.h

Wants torch, transformers and safetensors from PyPI. Of each tensor's gradient g the file keeps the
norm and sum g_i cos(i), in which every element has its own weight.
"""
import json
import sys

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel

# Four pairs (a, b) of token ids; one of a single token, two that share a word.
A = [[2, 23, 28, 3], [2], [2, 40, 41, 42, 43, 10, 11, 12, 13, 3], [2, 5, 6, 3]]
B = [[2, 23, 29, 30, 31, 3], [2, 50, 51, 3], [2, 44, 45, 46, 47, 48, 49, 3],
     [2, 7, 8, 9, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 3]]


def embed(model, texts):
    longest = max(map(len, texts))
    ids = torch.tensor([t + [0] * (longest - len(t)) for t in texts])
    mask = torch.tensor([[1] * len(t) + [0] * (longest - len(t)) for t in texts])
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def loss_of(model):
    a, b = (torch.nn.functional.normalize(embed(model, t), dim=1) for t in (A, B))
    return torch.nn.functional.cross_entropy(20 * a @ b.T, torch.arange(len(A)))


def main():
    folder = sys.argv[1]
    with open(folder + "/config.json") as file:
        settings = json.load(file)
    config = BertConfig(**settings, hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict(load_file(folder + "/model.safetensors"), strict=False)
    model.eval()
    print("/* Made by make_bert_golden.py with PyTorch", torch.__version__.split("+")[0], "*/")
    print("static const struct {\n    const char *name;\n    double norm, projection;\n} bert_gradients[] = {")
    reference = model.double()
    loss_of(reference).backward()
    for name, parameter in reference.named_parameters():
        grad = parameter.grad.flatten()
        projection = (grad * torch.arange(len(grad), dtype=grad.dtype).cos()).sum().item()
        print(f'    {{"{name}", {grad.norm().item():.9g}, {projection:.9g}}},')
    print("};")
    model = model.float()
    model.zero_grad()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.01},
                                   {"params": vectors, "weight_decay": 0}], lr=1e-3)
    losses = []
    for _ in range(11):
        optimizer.zero_grad()
        loss = loss_of(model)
        losses.append(f"{loss.item():.9g}")
        loss.backward()
        optimizer.step()
    print("/* The loss before each step, and after ten. */")
    print("static const double bert_losses[] = {\n    " + ", ".join(losses[:6]) + ",\n    "
          + ", ".join(losses[6:]) + ",\n};")


main()
