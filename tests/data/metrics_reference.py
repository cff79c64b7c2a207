#!/usr/bin/env python3
"""Reference values of akin's metrics in plain float64, written from the formulas: sorts everything.

Prints metrics_reference.txt, which tests/test_metrics.c reads: the cases and the values. Only the
standard library is used. Run: python3 metrics_reference.py > metrics_reference.txt
"""
import math
import struct


def random_numbers(seed):
    """A small linear congruential generator (Knuth's MMIX constants), the same everywhere."""
    while True:
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        yield (seed >> 33) / 2 ** 31


def f32(x):
    return struct.unpack('f', struct.pack('f', x))[0]


# ---- rankings: gains of all candidates in ranked order ----

def found(gains, k):
    return sum(g > 0 for g in gains[:k])


def reciprocal_rank(gains, k):
    return next((1 / (i + 1) for i, g in enumerate(gains[:k]) if g > 0), 0.0)


def average_precision_at(gains, k):
    total = sum(g > 0 for g in gains)
    if not total:
        return math.nan
    return sum(found(gains, i + 1) / (i + 1) for i, g in enumerate(gains[:k]) if g > 0) / min(k, total)


def dcg(gains, k):
    return sum(g / math.log2(i + 2) for i, g in enumerate(gains[:k]))


def ndcg(gains, k):
    best = dcg(sorted(gains, reverse=True), k)
    return dcg(gains, k) / best if best else math.nan


def recall(gains, k):
    total = found(gains, len(gains))
    return found(gains, k) / total if total else math.nan


def r_precision(gains):
    total = found(gains, len(gains))
    return found(gains, total) / total if total else math.nan


def ranking_rows(gains):
    n = len(gains)
    yield 'reciprocal_rank', reciprocal_rank(gains, n)
    yield 'reciprocal_rank@2', reciprocal_rank(gains, 2)
    for k in (1, 3, 50):
        yield 'precision@%d' % k, found(gains, k) / k
    for k in (1, 5):
        yield 'recall@%d' % k, recall(gains, k)
        yield 'hit_rate@%d' % k, float(found(gains, k) > 0)
    yield 'map', average_precision_at(gains, n)
    yield 'map@3', average_precision_at(gains, 3)
    yield 'ndcg@1000', ndcg(gains, n)
    yield 'ndcg@3', ndcg(gains, 3)
    yield 'r_precision', r_precision(gains)


# ---- scored pairs ----

def pearson(x, y):
    n = len(x)
    mx, my = sum(x) / n, sum(y) / n
    sxx = sum((a - mx) ** 2 for a in x)
    syy = sum((b - my) ** 2 for b in y)
    if n < 2 or sxx == 0 or syy == 0:
        return math.nan
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / math.sqrt(sxx * syy)


def mean_ranks(x):
    return [sum(b < a for b in x) + (sum(b == a for b in x) + 1) / 2 for a in x]


def spearman(x, y):
    return pearson(mean_ranks(x), mean_ranks(y))


def thresholds(x):
    """From 'nothing is alike' to 'all are': halfway between neighbouring distinct similarities."""
    values = sorted(set(x), reverse=True)
    cuts = [math.nextafter(values[0], math.inf)]
    return cuts + [(a + b) / 2 for a, b in zip(values, values[1:])] + [values[-1]]


def accuracy_at(x, alike, t):
    return sum((a >= t) == b for a, b in zip(x, alike)) / len(x)


def f1_at(x, alike, t):
    true = sum(a >= t and b for a, b in zip(x, alike))
    return 2 * true / (sum(a >= t for a in x) + sum(alike))


def average_precision(x, alike):
    area, recall_before = 0.0, 0.0
    for t in sorted(set(x), reverse=True):
        called = [b for a, b in zip(x, alike) if a >= t]
        recall_now = sum(called) / sum(alike)
        area += (recall_now - recall_before) * sum(called) / len(called)
        recall_before = recall_now
    return area


def scored_rows(x, y):
    alike = [b > .5 for b in y]
    yield 'spearman', spearman(x, y)
    yield 'pearson', pearson(x, y)
    best = max(accuracy_at(x, alike, t) for t in thresholds(x))
    yield 'accuracy', best
    yield 'threshold', next(t for t in thresholds(x) if accuracy_at(x, alike, t) == best)
    some = any(alike)
    yield 'f1', max(f1_at(x, alike, t) for t in thresholds(x)) if some else math.nan
    yield 'average_precision', average_precision(x, alike) if some else math.nan


def show(numbers):
    return ' '.join('%.9g' % x for x in numbers)


def main():
    draw = random_numbers(1)
    # One case a line: "ranking | gains in ranked order | metric value ...".
    cases = [[1], [0], [0, 1], [1, 0, 1, 0, 0, 1], [0, 0, 0], [0, 2, 0, 1, 3, 0, .5], [1, 1, 1, 1]]
    for n in (10, 40, 200):
        cases.append([f32(int(next(draw) * 4)) if next(draw) < .3 else 0 for _ in range(n)])
    for gains in cases:
        values = ' '.join('%s %.17g' % row for row in ranking_rows(gains))
        print('ranking | %s | %s' % (show(gains), values))
    # "scored | similarities | scores | metric value ...", with ties on both sides.
    pairs = [([.9, .1], [1, 0]), ([.1, .9], [1, 0]), ([.5, .5, .5, .2], [1, 0, 1, 0]),
             ([.3, .2, .1], [0, 0, 0]), ([-.5, .25, 0, .75], [.2, .8, .4, 1]), ([.7, .7], [1, 1])]
    for n, steps in ((15, 8), (100, 1000), (100, 10)):
        y = [f32(int(next(draw) * 6) / 5) for _ in range(n)]
        x = [f32(round((b + next(draw)) / 2 * steps) / steps) for b in y]
        pairs.append((x, y))
    for x, y in pairs:
        x, y = [f32(a) for a in x], [f32(b) for b in y]
        values = ' '.join('%s %.17g' % row for row in scored_rows(x, y))
        print('scored | %s | %s | %s' % (show(x), show(y), values))


main()
