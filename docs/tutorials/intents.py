#!/usr/bin/env python3
"""Texts and their classes as JSONL, from the data set CLINC150.

The file data_full.json (Larson and others, 2019, CC BY 3.0) is at
https://github.com/clinc/oos-eval/tree/master/data. Written are intents.jsonl, intents-validation.jsonl,
intents-test.jsonl, few-intents.jsonl (the first ten texts of each class) and strange.jsonl (texts of
no class).
"""
import argparse
import collections
import json
import os


def write(folder, name, records):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        for text, intent in records:
            file.write(json.dumps({"text": text, "intent": intent}, ensure_ascii=False) + "\n")


def first_of_each(records, most):
    seen = collections.Counter()
    for text, intent in records:
        seen[intent] += 1
        if seen[intent] <= most:
            yield text, intent


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", metavar="data_full.json")
    parser.add_argument("folder", metavar="FOLDER", help="where the files are written")
    arguments = parser.parse_args()
    with open(arguments.data, encoding="utf-8") as file:
        data = json.load(file)
    write(arguments.folder, "intents.jsonl", data["train"])
    write(arguments.folder, "intents-validation.jsonl", data["val"])
    write(arguments.folder, "intents-test.jsonl", data["test"])
    write(arguments.folder, "few-intents.jsonl", first_of_each(data["train"], 10))
    write(arguments.folder, "strange.jsonl", data["oos_test"])


if __name__ == "__main__":
    main()
