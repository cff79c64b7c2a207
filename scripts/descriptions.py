#!/usr/bin/env python3
"""Pairs for the demonstration from this machine's own package lists.

A Debian package has a short description and a long one. The short one and the first paragraph of the
long one are about the same thing, in other words: a pair. One pair is taken of each source package
(packages of one source share much of their text), so that no source package stands on both sides
of train and test. PAIRS limits how many are taken, by a fixed shuffle. Written are

  train.jsonl  {"name": "imagemagick", "short": "image manipulation programs", "text": "...",
                "section": "graphics"} a line
  test.jsonl   a fifth of the pairs, 2000 at most
  corpus.jsonl what is searched in: the descriptions of both files; without PAIRS every description
"""
import argparse
import glob
import hashlib
import json
import os
import re
import subprocess

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


def packages():
    """Package name -> names of its source package and of its section ("non-free/games": "games")."""
    return {record["Package"]: (record.get("Source", record["Package"]).split(" ")[0],
                                record.get("Section", "unknown").split("/")[-1])
            for record in stanzas("apt-cache", "dumpavail")}


def first_paragraph(lines):
    """A line with a single dot ends a paragraph."""
    text = "\n".join(line.strip() for line in lines)
    return re.sub(r"\s+", " ", re.split(r"^\.$", text, maxsplit=1, flags=re.MULTILINE)[0]).strip()


def descriptions(known):
    """Every package once, by name; equal texts once."""
    lists = sorted(glob.glob("/var/lib/apt/lists/*Translation-en*"))
    if not lists:
        raise SystemExit("descriptions.py: no English descriptions in /var/lib/apt/lists; "
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
            section = known.get(name, (name, "unknown"))[1]
            yield {"name": name, "short": short, "text": text, "section": section}


def one_of_each_source(records, known):
    """The package named as its source, or else the first; in a shuffled order that never changes."""
    chosen = {}
    for record in records:
        source, _ = known.get(record["name"], (None, None))
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
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", help="where the files are written")
    parser.add_argument("pairs", metavar="PAIRS", nargs="?", type=int,
                        help="how many pairs, train and test together (default: all)")
    arguments = parser.parse_args()
    known = packages()
    everything = list(descriptions(known))
    pairs = one_of_each_source(everything, known)[:arguments.pairs]
    tests = min(len(pairs) // 5, 2000)
    os.makedirs(arguments.folder, exist_ok=True)
    write(arguments.folder, "test.jsonl", pairs[:tests])
    write(arguments.folder, "train.jsonl", pairs[tests:])
    write(arguments.folder, "corpus.jsonl", pairs if arguments.pairs else everything)


if __name__ == "__main__":
    main()
