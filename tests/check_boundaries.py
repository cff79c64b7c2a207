#!/usr/bin/env python3
"""Holds the table of who may include whom, and who may touch what. usage: check_boundaries.py ROOT"""
import pathlib
import re
import sys

# A module may include itself and these, so the flow stays one-way.
MAY_INCLUDE = {
    "base": "",
    "kernels": "base",
    "nn": "base kernels",
    "data": "base",
    "text": "base",
    "loss": "base kernels nn",
    "model": "base kernels nn data text",
    "features": "base kernels nn data text model",
    "eval": "base kernels nn data text model features",
    "search": "base kernels nn data text model features",
    "train": "base kernels nn data text loss model features eval search",
}

# Only these files may include a library's header.
ONLY_HERE = {
    "jansson.h": r"src/base/json\w*\.c|cli/\w+\.c",
    "libfyaml.h": r"src/base/yaml\w*\.c",
    "popt.h": r"cli/\w+\.[ch]",
    "zlib.h": r"src/base/gzip\w*\.c",
    "xxhash.h": r"src/base/hash\.c",
    "utf8proc.h": r"src/text/\w+\.c",
    "csv.h": r"src/data/csv\.c",
}

# (what, a call that does it, files that may)
CALLS = [
    ("opens or changes files",
     r"fopen|fdopen|freopen|open|openat|creat|opendir|fdopendir|gzopen|gzdopen|mmap|mkdir|mkdtemp|"
     r"mkstemp|rename|renameat|unlink|unlinkat|rmdir|remove|truncate|ftruncate|popen|socket",
     r"src/base/(file|folder|gzip|path)\w*\.c|cli/\w+\.c"),
    ("prints", r"printf|vprintf|puts|putchar|perror|fputs|fputc|putc|fprintf|vfprintf",
     r"cli/\w+\.c"),
    ("ends the process", r"exit|_exit|_Exit|abort|quick_exit|raise|kill", r"cli/\w+\.c"),
    ("starts a process", r"fork|vfork|system|popen|execv|execvp|execl|execlp|posix_spawnp?",
     r"cli/(main|gnuplot)\.c"),
    ("reads numbers by the locale", r"strtod|strtof|strtold|atof|setlocale",
     r"cli/\w+\.c"),
    ("allocates past akin's allocator", r"malloc|calloc|realloc|strdup|strndup|aligned_alloc|"
     r"posix_memalign|asprintf|vasprintf|getline", r"src/base/(memory|arena)\.c|cli/\w+\.c"),
]

TOKENS = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def without_comments_and_texts(source):
    def blank(match):
        return "\n" * match[0].count("\n") if match[0][0] == "/" else '""'
    return TOKENS.sub(blank, source)


def include_complaints(path, source):
    parts = path.split("/")
    for found in INCLUDE.finditer(source):
        quote, name = found.groups()
        line = source.count("\n", 0, found.start()) + 1
        if name in ONLY_HERE and not re.fullmatch(ONLY_HERE[name], path):
            yield line, f"only {ONLY_HERE[name]} may include {name}"
        if quote == "<" or name == "akin.h":
            continue
        if parts[0] == "cli":
            if "/" in name:
                yield line, f'the command is a client of akin.h alone, not of "{name}"'
            continue
        module, other = parts[1], name.split("/")[0]
        if "/" not in name:
            yield line, f'"{name}" is not spelled from src/'
        elif other not in MAY_INCLUDE:
            yield line, f'"{name}": there is no module {other}'
        elif other != module and other not in MAY_INCLUDE[module].split():
            yield line, f"{module} may not include {other} (it may: {MAY_INCLUDE[module] or '-'})"


def call_complaints(path, source):
    code = without_comments_and_texts(source)
    for what, calls, allowed in CALLS:
        if re.fullmatch(allowed, path):
            continue
        for found in re.finditer(rf"(?<![\w.>])(?:{calls})\s*\(", code):
            line = code.count("\n", 0, found.start()) + 1
            yield line, f"{found[0].rstrip('( ')}() {what}; only {allowed} may"


def complaints(path, source):
    yield from include_complaints(path, source)
    yield from call_complaints(path, source)


def self_test():
    """A check that finds nothing anywhere would be worthless: these must be found."""
    bad = [("src/loss/a.c", '#include "model/model.h"'), ("src/data/a.c", '#include "nn/nn.h"'),
           ("src/nn/a.c", "#include <jansson.h>"), ("cli/a.c", '#include "base/base.h"'),
           ("src/eval/a.c", 'void f(void)\n{\n    printf("x");\n}'),
           ("src/text/a.c", 'FILE *f = fopen(path, "r");'), ("src/base/a.c", "abort();")]
    good = [("src/model/a.c", '#include "nn/nn.h"\n/* printf("x") */\nchar *s = "abort()";'),
            ("src/base/json.c", "#include <jansson.h>"), ("src/data/a.c", "type->open(self);")]
    return ([f"self test: {path} was not found bad" for path, text in bad
             if not list(complaints(path, text))] +
            [f"self test: {path}: {why}" for path, text in good
             for _, why in complaints(path, text)])


def main():
    root = pathlib.Path(sys.argv[1])
    found = self_test()
    files = [path for folder in ("src", "cli") for path in sorted((root / folder).rglob("*.[ch]"))]
    for path in files:
        name = str(path.relative_to(root))
        if name.startswith("src/") and name.split("/")[1] not in MAY_INCLUDE:
            found.append(f"{name}: the module is not in the table of {sys.argv[0]}")
            continue
        found += [f"{name}:{line}: {why}" for line, why in complaints(name, path.read_text())]
    print("\n".join(found) if found else f"{len(files)} files keep to the table")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
