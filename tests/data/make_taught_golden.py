#!/usr/bin/env python3
"""Golden values of the losses that learn from a teacher, by PyTorch in float64: values and gradients.

usage: make_taught_golden.py > taught_golden.h
"""
import torch
import torch.nn.functional as F

torch.manual_seed(5)
X = torch.round(torch.randn(8, 4, dtype=torch.float64), decimals=2)
SAME = torch.round(torch.randn(8, 4, dtype=torch.float64), decimals=2)   # a teacher as wide
WIDE = torch.round(torch.randn(8, 5, dtype=torch.float64), decimals=2)   # and a wider one


def similarities(name, a, b):
    """Every row of a with every row of b: minus the distance, but for a constant."""
    if name == "cosine":
        return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    return a @ b.T if name == "dot_product" else -torch.cdist(a, b)


def margin(name, triples):
    """Hofstätter: the mean squared error of margins, over triples of query, positive and negative."""
    def loss(x):
        s, t = (similarities(name, y[:4], y[4:]) for y in (x, WIDE))
        q, p, n = torch.tensor(triples).T
        return F.mse_loss(s[q, p] - s[q, n], t[q, p] - t[q, n])
    return loss


def divergence(name, temperature, groups):
    """Hinton, as DistillKLDivLoss of sentence-transformers without its factor T²."""
    def scores(x):
        if not groups:
            return similarities(name, x[:4], x[4:])
        every = similarities(name, x, x)
        return every[~torch.eye(8, dtype=bool)].reshape(8, 7)
    return lambda x: F.kl_div(F.log_softmax(scores(x) / temperature, dim=1),
                              F.softmax(scores(WIDE) / temperature, dim=1), reduction="batchmean")


ALL = [(i, i, j) for i in range(4) for j in range(4) if i != j]
CASES = [
    ("mse", "{}", "SAME", "AKIN_PAIRS", "1111", lambda x: F.mse_loss(x, SAME)),
    ("mse", "{}", "SAME", "AKIN_GROUPS", "1111", lambda x: F.mse_loss(x, SAME)),
    ("margin_mse", "{}", "WIDE", "AKIN_PAIRS", "1111", margin("cosine", ALL)),
    ("margin_mse", "{distance: dot_product}", "WIDE", "AKIN_PAIRS", "1111",
     margin("dot_product", ALL)),
    ("margin_mse", "{distance: euclidean}", "WIDE", "AKIN_PAIRS", "1100",
     margin("euclidean", [t for t in ALL if t[0] < 2])),
    ("margin_mse", "{negatives: given}", "WIDE", "AKIN_PAIRS", "repeated",
     margin("cosine", [(0, 0, 2), (1, 1, 3)])),
    ("kl", "{}", "WIDE", "AKIN_PAIRS", "1111", divergence("cosine", 0.05, False)),
    ("kl", "{temperature: 0.7, distance: dot_product}", "WIDE", "AKIN_PAIRS", "1111",
     divergence("dot_product", 0.7, False)),
    ("kl", "{temperature: 0.3}", "WIDE", "AKIN_GROUPS", "1111", divergence("cosine", 0.3, True)),
    ("kl", "{temperature: 2, distance: euclidean}", "WIDE", "AKIN_GROUPS", "1111",
     divergence("euclidean", 2, True)),
]


def numbers(tensor):
    return ", ".join(f"{float(value):.9g}" for value in tensor.flatten())


print("/* Made by make_taught_golden.py. */")
for name, tensor in (("taught_x", X), ("taught_same", SAME), ("taught_wide", WIDE)):
    print(f"static const float {name}[] = {{{numbers(tensor)}}};")
print("static const taught_golden taught_goldens[] = {")
for name, options, teacher, kind, scores, loss in CASES:
    x = X.clone().requires_grad_()
    if scores == "repeated":  # pairs 2 and 3 are negatives of 0 and 1: their a is the same
        x = torch.cat([X[:2], X[:2], X[4:]]).requires_grad_()
    keep = WIDE.clone()
    if scores == "repeated":
        WIDE[2:4] = WIDE[:2]
    value = loss(x)
    value.backward()
    WIDE.copy_(keep)
    print(f'    {{"{name}", "{options}", taught_{teacher.lower()}, {kind}, "{scores}", {value.item():.12g},')
    print(f"     {{{numbers(x.grad)}}}}},")
print("};")
