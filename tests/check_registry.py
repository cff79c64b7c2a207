#!/usr/bin/env python3
"""Whatever can be named in a recipe has a test, a help text and a place in the docs.

usage: check_registry.py AKIN ROOT

Every encoder, head, loss, metric, optimizer and sampler of "akin list" must be named by a test program, and have
a summary and a help text for each option: a class that was added without its test row fails here. Every
key of the recipe's own sections must stand in docs/formats.md, every option of a run in docs/training.md with its default.
"""
import json
import pathlib
import re
import subprocess
import sys

KINDS = ("encoders", "heads", "losses", "metrics", "optimizers", "samplers")
RUN = ("train.early_stopping", "train.checkpoint", "the run (docs/training.md)")
ROW = re.compile(r"^\| `(\w+)` \| ([^|]*?) \|", re.MULTILINE)


def listed(command, kind):
    return json.loads(subprocess.run([command, "list", kind, "--json"], check=True,
                                     stdout=subprocess.PIPE).stdout)


def class_problems(kind, entry, tests):
    name = entry["name"]
    if not re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z0-9_])", tests, re.IGNORECASE):
        yield f"{kind}: no test names {name}"
    if not entry.get("summary"):
        yield f"{kind}: {name} has no summary"
    for option in entry["options"]:
        if not option["help"]:
            yield f"{kind}: {name}'s option {option['name']} has no help"


def section_problems(sections, optimizer, formats, training):
    """Keys of a recipe without a row in its page, options of a run without one that has the default."""
    for entry in sections:
        for option in entry["options"]:
            if f"`{option['name']}`" not in formats:
                yield f"docs/formats.md says nothing of `{option['name']}` in {entry['name']}"
            if not option["help"]:
                yield f"{entry['name']}: {option['name']} has no help"
    rows = set(ROW.findall(training))
    of_runs = [option for entry in sections for option in entry["options"]
               if entry["name"] in RUN or entry["summary"] in RUN]
    of_runs += [option for option in optimizer["options"] if option["name"] != "type"]
    for option in of_runs:
        default = option["default"] or "none"
        if (option["name"], default) not in rows:
            yield f"docs/training.md has no row of `{option['name']}` with the default {default}"
    if len(of_runs) < 40:
        yield f"only {len(of_runs)} options of runs were found"


def main():
    command, root = sys.argv[1], pathlib.Path(sys.argv[2])
    tests = "\n".join(path.read_text() for pattern in ("test_*.c", "*.h", "data/*.inc")
                      for path in sorted((root / "tests").glob(pattern)))
    formats, training = ((root / "docs" / name).read_text(encoding="utf-8")
                         for name in ("formats.md", "training.md"))
    problems, count = [], 0
    for kind in KINDS:
        entries = listed(command, kind)
        count += len(entries)
        for entry in entries:
            problems += class_problems(kind, entry, tests)
    sections = listed(command, "sections")
    problems += section_problems(sections, listed(command, "optimizers")[0], formats, training)
    keys = sum(len(entry["options"]) for entry in sections)
    if keys < 50 or count < 20:
        problems.append(f"only {keys} recipe keys and {count} classes were found")
    print("\n".join(problems) or f"{count} classes and {keys} recipe keys")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
