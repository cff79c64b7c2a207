#!/usr/bin/env python3
"""Runs the tests of a build folder under meson and closes with "N passed, N failed".

usage: run_tests.py BUILD [TEST]...

A cmocka program prints a TAP line for each of its cases, and so do the shell tests that have several;
a test that prints none counts as one case. A program that died has failed even if none of its lines
says so. The exit status is 0 only if something passed and nothing failed.
"""
import json
import os
import pathlib
import re
import subprocess
import sys

CASE = re.compile(r"^(not )?ok\b(?:.*?(# *skip))?", re.IGNORECASE)


def cases(test):
    """(passed, failed, skipped) of one line of meson's log."""
    counts = [0, 0, 0]
    for line in test.get("stdout", "").splitlines():
        found = CASE.match(line)
        if found:
            counts[2 if found[2] else 1 if found[1] else 0] += 1
    if test["result"] == "SKIP":
        counts[2] += 1
    elif test["result"] not in ("OK", "EXPECTEDFAIL"):
        counts[1] = max(counts[1], 1)
    elif not any(counts):
        counts[0] = 1
    return counts


def main():
    build, names = sys.argv[1], sys.argv[2:]
    log = pathlib.Path(build, "meson-logs", "testlog.json")
    log.unlink(missing_ok=True)
    # Several programs run at once: threads that wait must not spin on each other's processors.
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP"}
    status = subprocess.run(["meson", "test", "-C", build, "--print-errorlogs"]
                            + names, env=environment).returncode
    tests = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    passed, failed, skipped = (sum(column) for column in zip((0, 0, 0), *map(cases, tests)))
    for test in tests:
        if test["result"] == "SKIP":
            print("skipped:", test["name"], test.get("stdout", "").strip())
    if status and not failed:
        failed = 1
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
