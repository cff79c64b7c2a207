#!/usr/bin/env python3
"""Whatever akin lists has a test and a paragraph in the docs.

usage: check_registry.py AKIN ROOT

Every encoder, head, loss, metric and optimizer that "akin list" shows must be named by a test, and
stand as `name` in docs/; its options must be documented there too. So a class that was added without
its test row fails here.
"""
import json
import pathlib
import re
import subprocess
import sys

KINDS = ("encoders", "heads", "losses", "metrics", "optimizers")


def main():
    command, root = sys.argv[1], pathlib.Path(sys.argv[2])
    tests = "\n".join(path.read_text() for path in sorted((root / "tests").glob("test_*")))
    docs = "\n".join(path.read_text() for path in sorted((root / "docs").glob("*.md")))
    problems, count = [], 0
    for kind in KINDS:
        listed = subprocess.run([command, "list", kind, "--json"], check=True,
                                stdout=subprocess.PIPE).stdout
        for entry in json.loads(listed):
            name = entry["name"]
            count += 1
            if not re.search(rf"(?<![a-z]){re.escape(name)}(?![a-z0-9_])", tests, re.IGNORECASE):
                problems.append(f"{kind}: no test names {name}")
            if not entry.get("summary"):
                problems.append(f"{kind}: {name} has no summary")
            for term in [name] + [option["name"] for option in entry["options"]]:
                if f"`{term}`" not in docs:
                    problems.append(f"{kind}: docs/ says nothing of `{term}` ({name})")
    print("\n".join(problems) if problems else f"{count} classes have tests and docs")
    return 1 if problems or not count else 0


if __name__ == "__main__":
    sys.exit(main())
