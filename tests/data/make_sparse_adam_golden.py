#!/usr/bin/env python3
"""Writes sparse_adam_golden.h: six steps of torch.optim.SparseAdam on the mean of some rows of a table.

    python3 make_sparse_adam_golden.py > sparse_adam_golden.h      (made with PyTorch 2)

A bag's gradient is (bag + 1) * (column - 1) / 8; bags are lists of rows, a row may be there twice."""
import torch

ROWS, COLUMNS = 7, 3
BAGS = [[[0, 2, 2], [5]], [[1], []], [[0, 1, 2, 3], [3]], [[5, 5]], [[0], [2]], [[2, 6], [0, 1]]]

table = torch.tensor([[((i * 5 + j * 3) % 13 - 6) / 16 for j in range(COLUMNS)]
                      for i in range(ROWS)], requires_grad=True)
optimizer = torch.optim.SparseAdam([table], lr=0.125)
for bags in BAGS:
    dense = torch.zeros(ROWS, COLUMNS)
    touched = sorted({row for bag in bags for row in bag})
    for number, bag in enumerate(bags):
        for row in bag:
            dense[row] += torch.tensor([(number + 1) * (j - 1) / 8 for j in range(COLUMNS)]) / len(bag)
    table.grad = torch.sparse_coo_tensor([touched], dense[touched], (ROWS, COLUMNS))
    optimizer.step()

print("/* Made by make_sparse_adam_golden.py. */")
print(f"enum {{ SPARSE_ROWS = {ROWS}, SPARSE_COLUMNS = {COLUMNS}, SPARSE_STEPS = {len(BAGS)} }};")
print("/* Bags of each step: rows, -1 ends a bag, -2 a step. */")
steps = [[*[x for bag in bags for x in [*bag, -1]], -2] for bags in BAGS]
print("static const int sparse_bags[] = {" + ", ".join(str(x) for step in steps for x in step) + "};")
print("static const float sparse_table[] = {" +
      ", ".join(f"{x:.9g}f" if "." in f"{x:.9g}" or "e" in f"{x:.9g}" else f"{x:.9g}"
                for row in table.tolist() for x in row) + "};")
