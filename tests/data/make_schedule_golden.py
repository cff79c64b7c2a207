#!/usr/bin/env python3
"""Writes schedule_golden.h: 24 learning rates of PyTorch's schedulers; needs torch.

    python3 make_schedule_golden.py > schedule_golden.h
"""
import torch

LR = 0.5
CASES = [
    ("AKIN_STEP, .period = 5, .gamma = 0.3",
     lambda o: torch.optim.lr_scheduler.StepLR(o, 5, gamma=0.3)),
    ("AKIN_COSINE_RESTARTS, .period = 6, .cycle_growth = 1, .min_lr = 0.1",
     lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 6, T_mult=1, eta_min=0.1)),
    ("AKIN_COSINE_RESTARTS, .period = 3, .cycle_growth = 2",
     lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 3, T_mult=2)),
    ("AKIN_ONE_CYCLE, .rise = 0.3, .start_factor = 0.04, .end_factor = 4e-6",
     lambda o: torch.optim.lr_scheduler.OneCycleLR(o, LR, 24, cycle_momentum=False)),
    ("AKIN_ONE_CYCLE, .rise = 0.5, .start_factor = 0.1, .end_factor = 0.01",
     lambda o: torch.optim.lr_scheduler.OneCycleLR(o, LR, 24, pct_start=0.5, div_factor=10,
                                                   final_div_factor=10, cycle_momentum=False)),
    ("AKIN_COSINE, .min_lr = 0.05",
     lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 24, eta_min=0.05)),
]

print("/* Made by make_schedule_golden.py. clang-format off */")
print("typedef struct schedule_case {")
print("    akin_optimizer_options options;")
print("    double lr[24];")
print("} schedule_case;")
print("static const schedule_case schedule_cases[] = {")
for options, make in CASES:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler, rates = make(optimizer), []
    for _ in range(24):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < 24:
            scheduler.step()
    print("    {{.lr = %r, .schedule = %s}," % (LR, options))
    for k in range(0, 24, 4):
        end = "}}," if k == 20 else ","
        print("     %s%s%s" % ("{" if k == 0 else " ", ", ".join("%.15g" % v for v in rates[k:k + 4]),
                               end))
print("};")
