#!/usr/bin/env python3
"""Pairs for the demonstration from this machine's own package lists.

usage: descriptions.py FOLDER [PAIRS]

A Debian package has a short description and a long one. The short one and the first paragraph of the
long one are about the same thing, in other words: a pair. One pair is taken of each source package
(packages of one source share much of their text), so that no source package stands on both sides
of train and test. PAIRS (default: all) limits how many are taken, by a fixed shuffle. Written are

  train.jsonl  {"name": "imagemagick", "short": "image manipulation programs", "text": "..."} a line
  test.jsonl   a fifth of the pairs, 2000 at most
  corpus.jsonl what is searched in: the descriptions of both files; without PAIRS every description
"""
import glob
import hashlib
import json
import os
import re
import subprocess
import sys

FEWEST = 40  # characters of a paragraph that says something


def stanzas(*command):
    """The records of a Debian control file, as dictionaries."""
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.decode()
    for block in output.split("\n\n"):
        fields, name = {}, None
        for line in block.split("\n"):
            if line[:1] in (" ", "\t") and name:
                fields[name] += "\n" + line[1:]
            elif ":" in line:
                name, value = line.split(":", 1)
                fields[name] = value.strip()
        if "Package" in fields:
            yield fields


def sources():
    """Package name -> source package name."""
    return {record["Package"]: record.get("Source", record["Package"]).split(" ")[0]
            for record in stanzas("apt-cache", "dumpavail")}


def first_paragraph(lines):
    """A line with a single dot ends a paragraph."""
    text = "\n".join(line.strip() for line in lines)
    return re.sub(r"\s+", " ", re.split(r"^\.$", text, maxsplit=1, flags=re.MULTILINE)[0]).strip()


def descriptions():
    """Every package once, by name; equal texts once."""
    lists = sorted(glob.glob("/var/lib/apt/lists/*Translation-en*"))
    if not lists:
        sys.exit("descriptions.py: no English descriptions in /var/lib/apt/lists; "
                 "get them with: apt-get update -o Acquire::Languages=en")
    records = {}
    for record in stanzas("/usr/lib/apt/apt-helper", "cat-file", *lists):
        short, *rest = record.get("Description-en", "").split("\n")
        text = first_paragraph(rest)
        if short and len(text) >= FEWEST:
            records.setdefault(record["Package"], (short.strip(), text))
    seen = set()
    for name, (short, text) in sorted(records.items()):
        if short not in seen and text not in seen:
            seen.update((short, text))
            yield {"name": name, "short": short, "text": text}


def one_of_each_source(records, source_of):
    """The package named as its source, or else the first; in a shuffled order that never changes."""
    chosen = {}
    for record in records:
        source = source_of.get(record["name"])
        if source and (source not in chosen or source == record["name"]):
            chosen[source] = record
    return [record for source, record in sorted(
        chosen.items(), key=lambda item: hashlib.sha256(item[0].encode()).digest())]


def write(folder, name, records):
    path = os.path.join(folder, name)
    with open(path + ".part", "w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    os.replace(path + ".part", path)
    print(f"{len(records):6} {path}")


def main():
    folder, limit = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None
    everything = list(descriptions())
    pairs = one_of_each_source(everything, sources())[:limit]
    tests = min(len(pairs) // 5, 2000)
    os.makedirs(folder, exist_ok=True)
    write(folder, "test.jsonl", pairs[:tests])
    write(folder, "train.jsonl", pairs[tests:])
    write(folder, "corpus.jsonl", pairs if limit else everything)


if __name__ == "__main__":
    main()
