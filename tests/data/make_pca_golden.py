#!/usr/bin/env python3
"""Principal components by NumPy's singular value decomposition, in float64.

usage: make_pca_golden.py > pca_golden.h    (needs numpy)

Twelve rows of five numbers: coordinates along the two directions of largest variance and the shares of
the whole variance. A direction points to where its largest element is positive.
"""
import numpy as np

ROWS, COLUMNS = 12, 5


def numbers(values):
    return ", ".join(f"{value:.9g}f" for value in values)


def main():
    draw = np.random.default_rng(3)
    x = (draw.normal(size=(ROWS, COLUMNS)) * [3, 1, 2, .5, .1] + [5, 0, -1, 2, 0]).astype(np.float32)
    centred = x.astype(np.float64) - x.astype(np.float64).mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    for direction in directions:
        direction *= np.sign(direction[np.argmax(np.abs(direction))])
    points = centred @ directions[:2].T
    shares = sizes ** 2 / (sizes ** 2).sum()
    print("/* Made by make_pca_golden.py. */")
    print(f"enum {{ PCA_ROWS = {ROWS}, PCA_COLUMNS = {COLUMNS} }};")
    print(f"static float pca_x[] = {{\n    {numbers(x.ravel())}}};")
    print(f"static const float pca_points[] = {{\n    {numbers(points.ravel())}}};")
    print(f"static const double pca_shares[] = {{{shares[0]:.12g}, {shares[1]:.12g}}};")


main()
