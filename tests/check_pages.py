#!/usr/bin/env python3
"""What the pages show works: commands exist with the options they are given, links lead somewhere; the
README's recipe is one and its C compiles. usage: check_pages.py BUILD_FOLDER ROOT [COMPILER]
"""
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

BUILD, ROOT = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
COMPILER = sys.argv[3] if len(sys.argv) > 3 else "cc"
AKIN = BUILD / "akin"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run(*words, **more):
    return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, **more)


def blocks(text, language):
    return [body for kind, body in BLOCK.findall(text) if kind == language]


def command_problems(line):
    words = shlex.split(line, comments=True)
    shown = run(AKIN, words[1], "--help")
    if shown.returncode and not words[1].startswith("--"):
        yield f"there is no command: {line}"
    for word in words[2:]:
        if word.startswith("--") and not re.search(rf"{re.escape(word)}\b", shown.stdout):
            yield f"akin {words[1]} has no option {word}: {line}"


def target_problems(line):
    words = [word for word in shlex.split(line, comments=True)[1:] if "=" not in word]
    makefile = (ROOT / "Makefile").read_text()
    for word in words:
        if not re.search(rf"^{re.escape(word)}:", makefile, re.MULTILINE):
            yield f"the Makefile has no {word}: {line}"


def shell_problems(body):
    for line in body.replace("\\\n", " ").splitlines():
        if line.startswith("akin "):
            yield from command_problems(line)
        elif line.startswith("make"):
            yield from target_problems(line)
        elif line.startswith("./") and not (ROOT / line.split()[0]).exists():
            yield f"there is no {line.split()[0]}"


def recipe_problems(body):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "recipe.yaml")
        path.write_text(body)
        done = run(AKIN, "inspect", path)
        if done.returncode or "recipe" not in done.stdout:
            yield f"the recipe is refused: {done.stderr}"


def program_problems(body):
    if "main(" not in body:
        body = "#include <akin.h>\nint main(void)\n{\n" + body + "return 0;\n}\n"
    done = run(COMPILER, "-std=c17", "-Wall", "-Werror", "-fsyntax-only", "-xc", "-I",
               ROOT / "include", "-", input=body)
    if done.returncode:
        yield f"the C does not compile: {done.stderr}"


def page_problems(path):
    text = path.read_text(encoding="utf-8")
    for body in blocks(text, "sh"):
        yield from shell_problems(body)
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        if not (path.parent / target).exists():
            yield f"there is no {target}"


def main():
    problems = []
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for language, check in (("sh", shell_problems), ("yaml", recipe_problems),
                            ("c", program_problems)):
        found = blocks(text, language)
        if not found:
            problems.append(f"README.md shows no {language}")
        for body in found if language != "sh" else ():
            problems += check(body)
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md")),
             ROOT / "examples/README.md"]
    for page in pages:
        problems += [f"{page.relative_to(ROOT)}: {problem}" for problem in page_problems(page)]
    print("\n".join(problems) if problems else f"{len(pages)} pages hold")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
