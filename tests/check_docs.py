#!/usr/bin/env python3
"""Every class that akin lists has a section of its own.

usage: check_docs.py AKIN ROOT KIND...

For every class of "akin list KIND" docs/KIND.md must have a section "## NAME" that says when to use it
and where it comes from, with a row | `option` | default | for each of its options, and no row or section
of what does not exist.
"""
import json
import pathlib
import re
import subprocess
import sys

# Sections of a page that are no class.
OTHER = re.compile(r"[A-Z]")
ROW = re.compile(r"^\| `(\w+)` \|([^|]*)\|", re.MULTILINE)


def sections(text):
    """{title: text} of the second-level headings."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def problems_of(entry, section):
    for word in ("**When**", "**Source**"):
        if word not in section:
            yield f"does not say {word}"
    rows = {name: default.strip() for name, default in ROW.findall(section)}
    options = {option["name"]: option["default"] or "" for option in entry["options"]}
    for name, default in options.items():
        if name not in rows:
            yield f"has no row of `{name}`"
        elif rows[name] != default:
            yield f"says {rows[name]!r} is the default of `{name}`, which is {default!r}"
    for name in rows.keys() - options.keys():
        yield f"has a row of `{name}`, which is no option"


def main():
    command, root = sys.argv[1], pathlib.Path(sys.argv[2])
    problems, count = [], 0
    for kind in sys.argv[3:]:
        listed = subprocess.run([command, "list", kind, "--json"], check=True,
                                stdout=subprocess.PIPE).stdout
        entries = {entry["name"]: entry for entry in json.loads(listed)}
        page = sections((root / "docs" / f"{kind}.md").read_text(encoding="utf-8"))
        count += len(entries)
        for name, entry in entries.items():
            if name not in page:
                problems.append(f"docs/{kind}.md has no section {name}")
            else:
                problems += [f"docs/{kind}.md, {name}: {what}"
                             for what in problems_of(entry, page[name])]
        problems += [f"docs/{kind}.md: {title} is not in akin list {kind}"
                     for title in page if title not in entries and not OTHER.match(title)]
    print("\n".join(problems) if problems else f"{count} classes have sections")
    return 1 if problems or not count else 0


if __name__ == "__main__":
    sys.exit(main())
