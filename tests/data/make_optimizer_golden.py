#!/usr/bin/env python3
"""Writes optimizer_golden.h: ten steps of PyTorch's SGD, Adam and AdamW, in plain float64, from the
definitions in PyTorch's documentation (torch.optim.SGD, Adam, AdamW, nn.utils.clip_grad_norm_) and
Hugging Face's get_*_schedule_with_warmup.

    python3 make_optimizer_golden.py > optimizer_golden.h

Values and gradients are small multiples of 1/16, so float32 holds them exactly."""
import math

# size, decay, lr_factor of three parameters
PARAMETERS = [(20, True, 1.0), (3, False, 1.0), (5, True, 0.5)]
STEPS = 10


def start(p, i):
    return ((i * 5 + p * 3) % 13 - 6) / 16


def gradient(p, i, step):
    return ((i * 7 + p * 11 + step * 13) % 17 - 8) / 16


def schedule(o, step):
    warmup, total = o["warmup"], o["total"]
    if step < warmup:
        return step / max(1, warmup)
    if o["schedule"] == "constant":
        return 1.0
    if o["schedule"] == "linear":
        return max(0.0, (total - step) / max(1, total - warmup))
    progress = (step - warmup) / max(1, total - warmup)
    return max(0.0, 0.5 * (1 + math.cos(math.pi * progress)))


def run(o):
    values = [[start(p, i) for i in range(n)] for p, (n, _, _) in enumerate(PARAMETERS)]
    first = [[0.0] * n for n, _, _ in PARAMETERS]
    second = [[0.0] * n for n, _, _ in PARAMETERS]
    started = False
    for step in range(STEPS):
        lr_now = o["lr"] * schedule(o, step)
        grads = [[gradient(p, i, step) for i in range(n)] for p, (n, _, _) in enumerate(PARAMETERS)]
        if o["clip"] > 0:
            norm = math.sqrt(sum(g * g for row in grads for g in row))
            factor = min(1.0, o["clip"] / (norm + 1e-6))
            grads = [[g * factor for g in row] for row in grads]
        for p, (n, decays, lr_factor) in enumerate(PARAMETERS):
            decay = o["decay"] if decays else 0.0
            lr = lr_now * lr_factor
            for i in range(n):
                g, w = grads[p][i], values[p][i]
                if o["type"] == "adamw":
                    w -= lr * decay * w
                else:
                    g += decay * w
                if o["type"] == "sgd":
                    if o["momentum"]:
                        first[p][i] = o["momentum"] * first[p][i] + g if started else g
                        g = first[p][i]
                    values[p][i] = w - lr * g
                    continue
                t = step + 1
                first[p][i] += (g - first[p][i]) * (1 - o["beta1"])
                second[p][i] = o["beta2"] * second[p][i] + (1 - o["beta2"]) * g * g
                root = math.sqrt(second[p][i]) / math.sqrt(1 - o["beta2"] ** t)
                values[p][i] = w - lr / (1 - o["beta1"] ** t) * first[p][i] / (root + o["epsilon"])
        started = True
    return [w for row in values for w in row]


DEFAULTS = dict(type="sgd", lr=0.01, momentum=0.0, beta1=0.9, beta2=0.999, epsilon=1e-8, decay=0.0,
                schedule="constant", warmup=0, total=0, clip=0.0)
CASES = [
    dict(),
    dict(momentum=0.9),
    dict(momentum=0.9, decay=0.1),
    dict(type="adam"),
    dict(type="adam", decay=0.1, beta1=0.8, beta2=0.99, epsilon=1e-3),
    dict(type="adamw", decay=0.01),
    dict(type="adamw", decay=0.5, lr=0.1, schedule="linear", warmup=3, total=8),
    dict(type="sgd", lr=0.5, schedule="cosine", warmup=2, total=10, clip=0.25),
    dict(type="adam", clip=0.5, schedule="linear", total=20),
]

print("/* Made by make_optimizer_golden.py. clang-format off */")
print("static const golden_case golden_cases[] = {")
for case in CASES:
    o = {**DEFAULTS, **case}
    print("    {")
    print("        .options = {.type = AKIN_%s, .lr = %r, .momentum = %r, .beta1 = %r, .beta2 = %r,"
          % (o["type"].upper(), o["lr"], o["momentum"], o["beta1"], o["beta2"]))
    print("                    .epsilon = %r, .weight_decay = %r, .schedule = AKIN_%s,"
          % (o["epsilon"], o["decay"], o["schedule"].upper()))
    print("                    .warmup_steps = %d, .clip_norm = %r}," % (o["warmup"], o["clip"]))
    print("        .total_steps = %d," % o["total"])
    values = run(o)
    print("        .values = {")
    for k in range(0, len(values), 4):
        print("            " + " ".join("%.12f," % v for v in values[k:k + 4]))
    print("        },")
    print("    },")
print("};")
