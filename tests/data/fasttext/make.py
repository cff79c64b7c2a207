#!/usr/bin/env python3
"""Writes a tiny fastText .bin and what fastText makes of it, in plain Python from the published format.

    python3 make.py FOLDER      FOLDER/tiny.bin, FOLDER/plain.bin and FOLDER/golden.h

Checked by hand against the fasttext package of PyPI, which reads both files and gives these vectors."""
import pathlib
import struct
import sys

DIM, BUCKET, MINN, MAXN = 3, 7, 2, 3
WORDS = ["</s>", "cat", "the", "\u00e9t\u00e9", "x"]
ASKED = ["cat", "cats", "the", "\u00e9t\u00e9", "t\u00e9", "</s>", "x", "y", ""]


def value(row, column):
    return ((row * 7 + column * 5) % 23 - 11) / 16


def hashed(data):
    h = 2166136261
    for byte in data:
        h = ((h ^ ((byte - 256 if byte > 127 else byte) & 0xFFFFFFFF)) * 16777619) & 0xFFFFFFFF
    return h


def ngrams(word, minn, maxn):
    marked = "<" + word + ">"
    for start in range(len(marked)):
        for n in range(minn, maxn + 1):
            if start + n <= len(marked) and not (n == 1 and (start == 0 or start + n == len(marked))):
                yield marked[start:start + n]


def vector(word, minn, maxn):
    rows = [WORDS.index(word)] if word in WORDS else []
    if word != "</s>":
        rows += [len(WORDS) + hashed(g.encode()) % BUCKET for g in ngrams(word, minn, maxn)]
    return [sum(value(r, j) for r in rows) / max(1, len(rows)) for j in range(DIM)]


def binary(minn, maxn):
    out = struct.pack("<2i", 793712314, 12)
    out += struct.pack("<12i", DIM, 5, 1, 1, 5, 1, 2, 2, BUCKET, minn, maxn, 100)
    out += struct.pack("<d", 1e-4)
    out += struct.pack("<3i2q", len(WORDS), len(WORDS), 0, 99, -1)
    for number, word in enumerate(WORDS):
        out += word.encode() + b"\0" + struct.pack("<qb", 9 - number, 0)
    rows = len(WORDS) + BUCKET
    for matrix_rows in (rows, len(WORDS)):
        out += b"\0" + struct.pack("<2q", matrix_rows, DIM)
        out += struct.pack(f"<{matrix_rows * DIM}f",
                           *[value(r, j) for r in range(matrix_rows) for j in range(DIM)])
    return out


def c_text(word):
    return '"' + "".join(c if c.isascii() else "".join(f"\\{b:03o}" for b in c.encode())
                         for c in word) + '"'


folder = pathlib.Path(sys.argv[1])
(folder / "tiny.bin").write_bytes(binary(MINN, MAXN))
(folder / "plain.bin").write_bytes(binary(0, 0))
lines = ["/* Made by make.py. */",
         f"enum {{ FASTTEXT_DIM = {DIM}, FASTTEXT_ASKED = {len(ASKED)} }};",
         "static const struct {", "    const char *word;",
         "    double tiny[FASTTEXT_DIM], plain[FASTTEXT_DIM];", "} fasttext_golden[] = {"]
for word in ASKED:
    both = [", ".join(f"{x:.9g}" for x in vector(word, *n)) for n in ((MINN, MAXN), (0, -1))]
    lines.append(f"    {{{c_text(word)}, {{{both[0]}}}, {{{both[1]}}}}},")
(folder / "golden.h").write_text("\n".join(lines + ["};", ""]))
