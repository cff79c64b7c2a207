#!/usr/bin/env python3
"""Vectors, gradients and ten steps of training small transformers by PyTorch and transformers, for
test_family.c.

    for f in bert distilbert mpnet; do build/tests/make_tiny_model /tmp/tiny/$f $f; done
    cd /tmp/tiny && make_bert_golden.py bert distilbert mpnet > bert_golden.h

Wants torch, transformers and safetensors from PyPI. Of each tensor's gradient g the file keeps the
norm and sum g_i cos(i), in which every element has its own weight.
"""
import sys

import torch
from transformers import AutoConfig, AutoModel

# Four pairs (a, b) of token ids; one of a single token, two that share a word.
A = [[2, 23, 28, 3], [2], [2, 40, 41, 42, 43, 10, 11, 12, 13, 3], [2, 5, 6, 3]]
B = [[2, 23, 29, 30, 31, 3], [2, 50, 51, 3], [2, 44, 45, 46, 47, 48, 49, 3],
     [2, 7, 8, 9, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 3]]


def embed(model, texts):
    longest, pad = max(map(len, texts)), model.config.pad_token_id
    ids = torch.tensor([t + [pad] * (longest - len(t)) for t in texts])
    mask = torch.tensor([[1] * len(t) + [0] * (longest - len(t)) for t in texts])
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(1) / weights.sum(1)


def loss_of(model):
    a, b = (torch.nn.functional.normalize(embed(model, t), dim=1) for t in (A, B))
    return torch.nn.functional.cross_entropy(20 * a @ b.T, torch.arange(len(A)))


def load(folder):
    """The folder's model without dropout; every tensor of the file must have found its place."""
    model, report = AutoModel.from_pretrained(folder, output_loading_info=True, dtype="float32")
    assert not report["unexpected_keys"] and not report["mismatched_keys"], report
    assert all("pooler" in key for key in report["missing_keys"]), report
    return model.eval()


def print_vectors(name, model):
    numbers = [f"{x:.7g}f" for x in torch.cat([embed(model, A), embed(model, B)]).flatten().tolist()]
    numbers = [x if "." in x or "e" in x else x.replace("f", ".0f") for x in numbers]
    print(f"static const float {name}_vectors[] = {{")
    for i in range(0, len(numbers), 8):
        print("    " + ", ".join(numbers[i:i + 8]) + ",")
    print("};")


def print_gradients(name, model):
    print(f"static const golden_gradient {name}_gradients[] = {{")
    loss_of(model).backward()
    for tensor, parameter in model.named_parameters():
        if parameter.grad is None:
            continue  # the pooler's
        grad = parameter.grad.flatten()
        projection = (grad * torch.arange(len(grad), dtype=grad.dtype).cos()).sum().item()
        print(f'    {{"{tensor}", {grad.norm().item():.9g}, {projection:.9g}}},')
    print("};")


def print_losses(name, model):
    vectors = [p for n, p in model.named_parameters() if p.dim() == 1 or "attention_bias" in n]
    matrices = [p for n, p in model.named_parameters() if p.dim() > 1 and "attention_bias" not in n]
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
    print(f"static const double {name}_losses[] = {{\n    " + ", ".join(losses[:6]) + ",\n    "
          + ", ".join(losses[6:]) + ",\n};")


def main():
    print("/* Made by make_bert_golden.py with PyTorch", torch.__version__.split("+")[0], "*/")
    print("typedef struct golden_gradient {\n    const char *name;\n    double norm, projection;\n"
          "} golden_gradient;")
    for folder in sys.argv[1:]:
        name = AutoConfig.from_pretrained(folder).model_type
        print()
        with torch.no_grad():
            print_vectors(name, load(folder).double())
        print_gradients(name, load(folder).double())
        print_losses(name, load(folder))


main()
