#!/usr/bin/env python3
"""The command by its standard output, standard error and exit status, on a model of 32 numbers.

usage: test_cli.py BUILD_FOLDER. Prints TAP.
"""
import json
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import traceback

BUILD = pathlib.Path(sys.argv[1]).resolve()
AKIN = str(BUILD / "akin")
COLOURS = "red blue green white black".split()
THINGS = "cat dog bird fish horse apple pear plum cherry house tree road river sea hill".split()
PAIRS = [{"a": f"{c} {t}", "b": f"the {t} is {c}"} for c in COLOURS for t in THINGS]
cases = []


def case(function):
    cases.append(function)
    return function


def environment():
    kept = {name: value for name, value in os.environ.items()
            if name not in ("COLUMNS", "NO_COLOR", "AKIN_COMMAND")}
    return {**kept, "XDG_CACHE_HOME": os.path.abspath("cache"), "LC_ALL": "C"}


def akin(*words, status=0, says="", stdin="", **more):
    """Runs the command; checks status and a piece of standard error; gives (stdout, stderr)."""
    done = subprocess.run([AKIN, *map(str, words)], input=stdin, capture_output=True, text=True,
                          env=environment(), timeout=120, check=False, **more)
    told = f"akin {' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == status, f"status {done.returncode}, expected {status}: {told}"
    assert says in done.stderr, f"standard error lacks {says!r}: {told}"
    assert "\r" not in done.stderr and "\033" not in done.stderr, f"drawn without a terminal: {told}"
    if status:
        assert not done.stdout, f"output although it failed: {told}"
        assert done.stderr.startswith("akin: ") or "\nakin: " in done.stderr, told
    return done.stdout, done.stderr


def lines(path, records):
    pathlib.Path(path).write_text("".join(json.dumps(record) + "\n" for record in records))


def train(output, *words, **more):
    return akin("train", "pairs.jsonl", "--encoder", "tiny", "--output", output, *words, **more)


def read_npy(path):
    data = pathlib.Path(path).read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    size, = struct.unpack("<H", data[8:10])
    assert (10 + size) % 64 == 0, "numbers are not aligned"
    return data[10:10 + size].decode(), data[10 + size:]


# ---- usage ----

@case
def what_it_is():
    out, err = akin("--version")
    assert out.startswith("akin 0.1.0\n") and not err, out
    out, err = akin("--help")
    assert "usage: akin COMMAND" in out and not err, out
    assert akin("help")[0] == out


@case
def help_of_every_command():
    for command in ("train tune evaluate report encode index search inspect list cache mine "
                    "distill").split():
        out, err = akin(command, "--help")
        assert "Example:\n  akin " + command in out and "--quiet" in out and not err, out
        assert f"Usage: akin {command} [OPTION]" in out, out


@case
def wrong_usage():
    table = [
        (["frob"], 'there is no command "frob"'),
        (["train"], "found 0 arguments"),
        (["train", "a.yaml", "b.yaml"], "found 2 arguments"),
        (["train", "--frob"], "--frob: unknown option"),
        (["evaluate"], "found 0 arguments"),
        (["evaluate", "tiny"], "--data is missing"),
        (["evaluate", "tiny", "--data", "pairs.jsonl"], "--samples must be"),
        (["evaluate", "tiny", "--data", "pairs.jsonl", "--samples", "frob"], "--samples must be"),
        (["evaluate", "tiny", "--data", "pairs.jsonl", "--samples", "pairs", "--repeats", "2"],
         "--sample-size"),
        (["evaluate", "tiny", "--data", "pairs.jsonl", "--samples", "pairs", "--depth", "-1"],
         "--depth is -1"),
        (["encode"], "found 0 arguments"),
        (["encode", "tiny", "a", "b"], "found 3 arguments"),
        (["index", "tiny"], "found 1 arguments"),
        (["index", "tiny", "pairs.jsonl"], "--output is missing"),
        (["search"], "a query"),
        (["search", "tiny", "pairs.jsonl"], "at least one query"),
        (["search", "pairs.jsonl", "cat"], 'akin search MODEL pairs.jsonl "query"'),
        (["search", "-k", "0", "tiny", "pairs.jsonl", "cat"], "-k must be at least 1"),
        (["search", "-k", "x", "tiny", "pairs.jsonl", "cat"], "invalid numeric value"),
        (["inspect"], "found 0 arguments"),
        (["distill"], "found 0 arguments"),
        (["distill", "tiny"], "--output"),
        (["distill", "tiny", "-o", "x", "--field", "a"], "--corpus"),
        (["distill", "tiny", "-o", "x", "--dim", "-4"], "--dim must be at least 1"),
        (["distill", "tiny", "-o", "x", "--dim", "0"], "--dim must be at least 1"),
        (["encode", "tiny", "pairs.jsonl", "--side", "query"], "tiny has no sides"),
        (["list"], "wants one of"),
        (["list", "frobs"], 'not "frobs"'),
    ]
    for words, message in table:
        _, err = akin(*words, status=2, says=message)
        assert err.splitlines()[-1].startswith("try: akin "), err
    done = subprocess.run([AKIN], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "usage: akin COMMAND" in done.stderr and not done.stdout


@case
def manual_covers_every_option():
    manual, _ = akin("--manual")
    for command in "train tune evaluate report encode index search inspect list distill".split():
        for word in akin(command, "--help")[0].split():
            option = word.rstrip(",").split("=")[0]
            if option.startswith("--") and option != "--help":
                assert f"*{option}*" in manual, f"{command} {option}"


# ---- the main job ----

@case
def train_says_what_it_does():
    out, err = train("first", "--set", "train.epochs=3")
    assert out == "first\n", out
    for piece in ("skip_connection", "trainable", "epoch 0 (base)", "epoch 3", "best epoch",
                  "0 vectors reused, 150 encoded"):
        assert piece in err, f"{piece!r} is missing: {err}"
    about = json.loads(pathlib.Path("first/akin.json").read_text())
    assert about["base"]["path"].endswith("/tiny") and about["training"]["epochs"] == 3, about
    assert {"validation_loss", "reciprocal_rank"} <= set(about["metrics"]["base"]), about
    assert sorted(os.listdir("first")) == ["README.md", "akin.json", "encoders",
                                           "head.safetensors"], os.listdir("first")


@case
def a_second_run_reuses_and_repeats():
    _, err = train("second", "--set", "train.epochs=3")
    assert "150 vectors reused, 0 encoded" in err, err
    first, second = (pathlib.Path(name, "head.safetensors").read_bytes()
                     for name in ("first", "second"))
    assert first == second, "the same seed gave other weights"


@case
def outputs_are_not_overwritten():
    before = pathlib.Path("first/akin.json").read_bytes()
    train("first", status=2, says="first exists already; --force replaces it")
    assert pathlib.Path("first/akin.json").read_bytes() == before
    train("second", "--force", "--set", "train.epochs=1")
    assert json.loads(pathlib.Path("second/akin.json").read_text())["training"]["epochs"] == 1


@case
def force_replaces_models_only():
    pathlib.Path("mine").mkdir()
    pathlib.Path("mine/letter.txt").write_text("dear")
    train("mine", "--force", "--set", "train.epochs=1", status=1, says="mine is not a model")
    assert pathlib.Path("mine/letter.txt").read_text() == "dear"
    assert not os.path.exists("mine.checkpoint"), "it was trained before it was refused"


@case
def force_spares_what_the_run_reads():
    train("own", "--set", "train.epochs=1")
    shutil.copytree("tiny", "own/encoders/inner")
    shutil.copy("pairs.jsonl", "own/pairs.jsonl")
    os.symlink("own", "owned")
    says = "own is not replaced: it holds "
    for path, what, *words in [
            ("own/encoders/inner", "an encoder", "--set", "encoders.text.path=own/encoders/inner"),
            ("./own/../own/encoders/inner", "an encoder", "--set",
             "encoders.text.path=./own/../own/encoders/inner"),
            ("owned/encoders/inner", "an encoder", "--set", "encoders.text={type: two_towers, query: "
             "{type: transformer, path: tiny}, document: "
             "{type: transformer, path: owned/encoders/inner}}"),
            ("own", "the teacher", "--set", "train.teacher=own"),
            ("own/pairs.jsonl", "the validation data", "--set", "data.validation=own/pairs.jsonl"),
            ("own/pairs.jsonl", "training data", "--set", "data.train=[own/pairs.jsonl]")]:
        train("own", "--force", *words, status=1, says=f"{path}, {what} of this run")
        train("own", "--force", *words, status=1, says=says)
    train("own/", "--force", "--set", "train.teacher=own", status=1, says="own, the teacher")
    akin("distill", "own", "-o", "owned", "--force", status=1, says="holds own, which is read")
    akin("distill", "own/encoders/inner", "-o", "own", "--force", status=1, says="which is read")
    pathlib.Path("own.yaml").write_text(
        "encoders: {text: {type: transformer, path: own/encoders/inner}}\n"
        "data: {train: pairs.jsonl, samples: pairs}\ntune: {train.epochs: [1, 2]}\n")
    akin("tune", "own.yaml", "-o", "own", "--force", status=1, says="an encoder of this run")
    assert os.path.exists("own/encoders/inner/config.json") and os.path.exists("own/pairs.jsonl")
    shutil.copytree("tiny", "own-tiny")  # a name that only begins like the output's
    train("own", "--force", "--set", "train.epochs=1", "--set", "encoders.text.path=own-tiny")
    os.unlink("owned")


@case
def quiet_is_quiet():
    out, err = train("quiet", "--quiet", "--set", "train.epochs=1")
    assert out == "quiet\n" and not err, err


@case
def a_recipe_and_sets():
    pathlib.Path("r").mkdir()
    pathlib.Path("r/recipe.yaml").write_text(
        "data: {train: ../pairs.jsonl, validation: 0.2, samples: pairs}\n"
        "encoders: {text: {type: transformer, path: ../tiny, max_length: 16}}\n"
        "head: {type: linear}\ntrain: {epochs: 2, batch_size: 16, seed: 7}\n")
    out, err = akin("train", "r/recipe.yaml", "--set", "train.epochs=1", "--output", "third")
    assert out == "third\n" and "epoch 1 " in err and "epoch 2 " not in err, err
    about = json.loads(pathlib.Path("third/akin.json").read_text())
    assert about["head"]["type"] == "linear" and about["training"]["seed"] == 7, about
    akin("train", "r/recipe.yaml", "-o", "x", "-s", "train.epoch=1", status=1,
         says='did you mean "epochs"')
    akin("train", "r/recipe.yaml", "-o", "x", "-s", "loss.type=triplet", status=1, says="groups")
    akin("train", "r/none.yaml", "-o", "x", status=1, says="r/none.yaml")
    pathlib.Path("r/bad.yaml").write_text("data: {train: a.jsonl\nhead: [\n")
    akin("train", "r/bad.yaml", "-o", "x", status=1, says="bad.yaml:")
    assert not os.path.exists("x")


@case
def train_without_an_encoder():
    out, err = akin("train", "pairs.jsonl", "--output", "grams", "--set", "train.epochs=3",
                    says="a model of n-grams learns from the data alone")
    assert out == "grams\n" and "epoch 0 (base)" in err, err
    described = json.loads(pathlib.Path("grams/akin.json").read_text())
    assert described["encoders"]["text"]["type"] == "ngrams", described
    assert described["head"]["type"] == "empty" and described["base"] is None, described
    akin("encode", "grams", "pairs.jsonl", "--field", "a", "-o", "grams.npy")
    header, data = read_npy("grams.npy")
    assert len(data) == 4 * 256 * len(PAIRS), header
    assert akin("search", "grams", "pairs.jsonl", "--field", "b", "-k", "1", "red cat")[0]


@case
def evaluate_as_table_and_json():
    words = ("evaluate", "first", "--data", "pairs.jsonl", "--samples", "pairs")
    out, _ = akin(*words)
    assert out.startswith("75 queries, 75 candidates\nmetric ") and "95 % interval" in out, out
    result = json.loads(akin(*words, "--json")[0])
    assert set(result) == {"metrics", "base", "difference", "queries", "candidates"}, result
    for name, value in result["metrics"].items():
        difference, low, high = result["difference"][name]
        assert abs(value - result["base"][name] - difference) < 1e-6, name
        assert low <= difference + 1e-9 and difference <= high + 1e-9, name
    alone = json.loads(akin("evaluate", "tiny", *words[2:], "--json")[0])
    assert alone["base"] is None and alone["difference"] is None, alone
    assert alone["metrics"] == result["base"], "the base is not the plain folder"
    few = json.loads(akin(*words, "--json", "--sample-size", "10", "-m", "precision@3")[0])
    assert few["queries"] == 10 and list(few["metrics"]) == ["precision@3"], few


@case
def evaluate_samples_and_files():
    words = ("evaluate", "first", "--data", "pairs.jsonl", "--samples", "pairs")
    result = json.loads(akin(*words, "--json", "--repeats", "3", "--sample-size", "9", "--seed",
                             "5")[0])
    assert result["repeats"] == 3 and set(result["deviation"]) == {"metrics", "base", "difference"}
    assert set(result["deviation"]["metrics"]) == set(result["metrics"]), result
    out, _ = akin(*words, "--repeats", "2", "--sample-size", "9")
    assert "passes" in out and "±" in out and "95 %" not in out, out
    both = json.loads(akin(*words, "--json", "--no-distinguish", "--micro")[0])
    assert both["queries"] == both["candidates"] == 150 and "micro_r_precision" in both["metrics"]
    akin(*words, "--run", "run.txt", "--qrels", "qrels.txt", "--depth", "4")
    run = [line.split() for line in open("run.txt")]
    assert len(run) == 4 * 75 and run[0][1] == "Q0" and run[3][3] == "4", run[:4]
    assert [line.split() for line in open("qrels.txt")][4] == ["a5", "0", "b5", "1"]
    akin(*words, "--run", "run.txt", status=1, says="run.txt exists already")
    akin(*words, "--run", "run.txt", "--force")
    lines("apart.jsonl", [{**pair, "score": 0} for pair in PAIRS])
    akin("evaluate", "first", "--data", "apart.jsonl", "--samples", "pairs", status=1,
         says="apart.jsonl: none of the 75 queries has a relevant candidate")


@case
def report_of_a_run():
    out, _ = akin("report", "first")
    assert out == "first-report.html\n", out
    page = pathlib.Path("first-report.html").read_text()
    for piece in ("<h1>first</h1>", "<h2>Figures", "<h2>The run", "<h2>Similarities", "<h2>Map",
                  "<h2>Worst queries", "<h2>How it was trained"):
        assert piece in page, piece
    assert "<script" not in page and "src=" not in page and "@import" not in page
    about = json.loads(pathlib.Path("first/akin.json").read_text())
    epochs = [epoch["epoch"] for epoch in about["training"]["history"]]
    assert epochs == [0, 1, 2, 3] and about["training"]["recipe"]["data"]["train"], about["training"]
    queries = int(page.split("Measured on ")[1].split()[0])
    assert queries < 20, "not the validation data"
    akin("report", "first", status=1, says="first-report.html exists already")
    assert "changed since" not in akin("report", "first", "--force")[1]
    with open("pairs.jsonl", "a+") as data:
        size = data.tell()
        data.write(json.dumps({"a": "a new cat", "b": "the cat is new"}) + "\n")
        data.flush()
        akin("report", "first", "--force", says="pairs.jsonl was changed since the model was trained")
        data.truncate(size)
    bare = {**environment(), "PATH": "/nowhere"}
    done = subprocess.run([AKIN, "report", "first", "--force", "--data", "pairs.jsonl"], env=bare,
                          capture_output=True, text=True, timeout=120, check=True)
    page = pathlib.Path("first-report.html").read_text()
    assert "tables instead of charts" in done.stderr and "<svg" not in page, done.stderr
    assert "Measured on 75 queries" in page and "<details open>" in page
    akin("report", "tiny", status=1, says="keeps no recipe")
    akin("report", "tiny", "--data", "pairs.jsonl", "--tables", "-o", "t.html")
    akin("report", "first", "--samples", "pairs", status=2, says="--data")
    akin("report", "first", "--data", "x", "--samples", "beir", status=2, says="pairs or groups")
    akin("report", status=2, says="found 0 arguments")


@case
def nothing_is_dropped_silently():
    words = ("evaluate", "first", "--data", "pairs.jsonl", "--samples", "pairs")
    akin(*words, "-m", ",".join(f"recall@{k}" for k in range(1, 34)), status=2,
         says="--metrics names more than 32")
    sets = [word for _ in range(257) for word in ("--set", "train.epochs=1")]
    train("x", *sets, status=1, says="--set is there more than 256 times")
    assert not os.path.exists("x")


@case
def encode_in_every_form():
    words = ("encode", "first", "pairs.jsonl", "--field", "b")
    printed = [json.loads(line) for line in akin(*words)[0].splitlines()]
    assert len(printed) == 75 and all(len(vector) == 32 for vector in printed)
    flat = b"".join(struct.pack("<32f", *vector) for vector in printed)
    akin(*words, "-o", "v.npy")
    header, numbers = read_npy("v.npy")
    assert "'<f4'" in header and "(75, 32)" in header and numbers == flat, header
    akin(*words, "-o", "v.safetensors")
    data = pathlib.Path("v.safetensors").read_bytes()
    assert data.endswith(flat) and b"fingerprint" in data
    akin(*words, "-o", "v.jsonl")
    assert b"".join(struct.pack("<32f", *json.loads(line)) for line in open("v.jsonl")) == flat
    akin(*words, "-o", "v.npy", status=1, says="v.npy")
    akin(*words, "-o", "v.npy", "--force")
    akin(*words, "-o", "v.txt", status=1, says=".npy, .safetensors or .jsonl")
    texts = "".join(pair["b"] + "\n" for pair in PAIRS)
    piped = [json.loads(line) for line in akin("encode", "first", stdin=texts)[0].splitlines()]
    assert piped == printed, "standard input gives other vectors"


@case
def encode_with_confidence():
    train("sure", "--set", "head={type: softmax_embeddings, groups: 3, size: 4}",
          "--set", "train.epochs=1")
    words = ("encode", "sure", "pairs.jsonl", "--field", "b")
    vectors = [json.loads(line) for line in akin(*words, "--confidence", "c.jsonl")[0].splitlines()]
    told = [json.loads(line) for line in open("c.jsonl")]
    assert len(vectors) == len(told) == 75
    for vector, (confidence,) in zip(vectors, told):
        expected = sum(max(vector[g:g + 4]) for g in (0, 4, 8)) / 3
        assert len(vector) == 12 and abs(confidence - expected) < 1e-6 and confidence > .25
    akin(*words, "-o", "sure.npy", "--confidence", "c.npy")
    assert "(75, 1)" in read_npy("c.npy")[0]
    akin(*words, "--confidence", "c.npy", status=1, says="c.npy exists already")
    akin("encode", "first", "pairs.jsonl", "--field", "b", "-o", "not.npy", "--confidence",
         "not.jsonl", status=1, says="the head is skip_connection: no confidence")
    assert not os.path.exists("not.npy") and not os.path.exists("not.jsonl")
    base = [json.loads(line) for line in akin(*words, "--base")[0].splitlines()]
    assert len(base) == 75 and {len(vector) for vector in base} == {32}, "not the encoders' width"
    akin(*words, "--base", "--confidence", "c.jsonl", status=2, says="--base leaves out the head")


@case
def search_with_and_without_an_index():
    direct = json.loads(akin("search", "first", "pairs.jsonl", "--field", "b", "-k", "3", "--json",
                             "red cat")[0])
    assert len(direct["hits"]) == 3 and set(direct["hits"][0]) == {"id", "similarity", "document"}
    akin("index", "first", "pairs.jsonl", "--field", "b", "--output", "i.akin",
         says="75 vectors of 32 numbers")
    out, _ = akin("search", "i.akin", "-k", "3", "--json", "red cat", "blue dog")
    first, second = map(json.loads, out.splitlines())
    assert first == direct and second["query"] == "blue dog", out
    out, _ = akin("search", "i.akin", "-k", "2", "red cat")
    assert out.splitlines()[0] == '"red cat"' and direct["hits"][0]["document"] in out, out
    both = json.loads(akin("search", "first", "pairs.jsonl", "--field", "b", "--base", "--json",
                           "red cat")[0])
    assert len(both["base"]) == len(both["hits"]) == 10, both
    shown = json.loads(akin("search", "first", "pairs.jsonl", "--field", "b", "--show", "a,b", "-k",
                            "3", "--json", "red cat")[0])
    for hit, other in zip(shown["hits"], direct["hits"]):
        pair = PAIRS[hit["id"]]
        assert hit["document"] == f'{pair["a"]}: {pair["b"]}' and hit["id"] == other["id"], hit
    akin("index", "first", "pairs.jsonl", "--field", "b", "--show", "a", "--output", "shown.akin")
    assert PAIRS[direct["hits"][0]["id"]]["a"] in akin("search", "shown.akin", "-k", "1", "red cat")[0]
    akin("search", "first", "pairs.jsonl", "--field", "b", "--show", "c", "cat", status=1,
         says='no member "c"')
    akin("search", "first", "-", "--show", "a", "cat", stdin="dog\n", status=1, says="--show needs")
    akin("search", "i.akin", "--base", "cat", status=2, says="--base needs a model")
    akin("search", "i.akin", "--model", "tiny", "cat", status=1, says="or name another model with")
    akin("index", "first", "pairs.jsonl", "--field", "b", "-o", "i.akin", status=1, says="exists")


@case
def search_shows_the_base_of_a_trained_encoder():
    akin("train", "pairs.jsonl", "--encoder", "tiny", "-o", "tuned-whole", "--set", "head=empty", "--set",
         "encoders.text.trainable=true", "--set", "data.validation=false", "--set", "train.epochs=2",
         "--set", "optimizer.lr=0.01")
    words = ["pairs.jsonl", "--field", "b", "--json", "red cat"]
    base, tuned = (json.loads(akin("search", model, *words)[0])["hits"] for model in ("tiny", "tuned-whole"))
    both = json.loads(akin("search", "tuned-whole", *words, "--base")[0])
    assert both["base"] == base != tuned == both["hits"], both
    akin("search", "tiny", *words, "--base", status=1, says="tiny has no base beside it")


@case
def a_query_adapter_leaves_documents_alone():
    words = ["train", "pairs.jsonl", "--encoder", "tiny", "--set",
             "head={type: query_adapter, head: linear}", "--set", "train.epochs=2", "--set",
             "train.early_stopping=false", "--output"]
    akin(*words, "adapter", "--set", "optimizer.lr=0.01")
    akin(*words, "other", "--set", "optimizer.lr=0.02")
    corpus = ["pairs.jsonl", "--field", "b"]
    akin("index", "tiny", *corpus, "-o", "base.akin")
    hits = [akin("search", "base.akin", "--model", model, "--json", "red cat")[0]
            for model in ("tiny", "adapter", "other")]
    assert len(set(hits)) == 3, hits
    assert akin("search", "adapter", *corpus, "--json", "red cat")[0] == hits[1]
    akin("encode", "adapter", *corpus, "-o", "d.safetensors", "--side", "document")
    akin("encode", "tiny", *corpus, "-o", "t.safetensors")
    akin("encode", "other", *corpus, "-o", "b.safetensors", "--base")
    assert pathlib.Path("d.safetensors").read_bytes() == pathlib.Path("t.safetensors").read_bytes()
    assert pathlib.Path("b.safetensors").read_bytes() == pathlib.Path("t.safetensors").read_bytes()
    akin("encode", "adapter", *corpus, "-o", "q.safetensors", "--side", "query")
    assert pathlib.Path("q.safetensors").read_bytes() != pathlib.Path("t.safetensors").read_bytes()
    akin("encode", "adapter", *corpus, status=2, says="--side query or --side document")
    akin("encode", "adapter", *corpus, "--side", "b", status=2, says="must be query or document")
    akin("encode", "adapter", *corpus, "-o", "q.safetensors", "--side", "query", "--base", "--force")
    assert pathlib.Path("q.safetensors").read_bytes() == pathlib.Path("t.safetensors").read_bytes()
    told = json.loads(akin("inspect", "adapter", "--json")[0])
    base = json.loads(akin("inspect", "tiny", "--json")[0])
    assert told["document_fingerprint"] == base["fingerprint"] != told["fingerprint"], told
    result = json.loads(akin("evaluate", "adapter", "-d", "pairs.jsonl", "-s", "pairs", "--json")[0])
    assert result["metrics"] != result["base"], result


@case
def tune_ranks_trials_and_keeps_what_is_better():
    pathlib.Path("t.yaml").write_text(
        "data: {train: pairs.jsonl, validation: 0.3}\n"
        "encoders: {text: {type: transformer, path: tiny}}\n"
        "train: {epochs: 2}\n"
        "tune: {head.type: [gated, linear], optimizer.lr: [1e-3, 1e-2]}\n")
    akin("tune", "t.yaml", "a", status=2, says="found 2 arguments")
    akin("tune", "pairs.jsonl", status=2, says="tune wants a recipe")
    akin("tune", "t.yaml", "--trials", "-1", status=2, says="--trials is -1, must be at least 0")
    out, err = akin("tune", "t.yaml", "-o", "tuned")
    assert out.splitlines()[0].startswith("reciprocal_rank on the inner validation (10 queries)"), out
    assert out.count("optimizer.lr=") == 4 and "the base" in out, out
    assert "trial 4 of 4:" in err and not os.path.exists("tuned.tune"), err
    akin("tune", "t.yaml", "-o", "tuned", status=2, says="exists already")
    words = ["tune", "t.yaml", "-o", "tuned", "--force", "--json", "--trials", "3"]
    first, again = (json.loads(akin(*words)[0]) for _ in range(2))
    assert [t["value"] for t in first["trials"]] == [t["value"] for t in again["trials"]], first
    assert len(first["trials"]) == 3 and first["kept"] in ("tuned", "base"), first
    told = json.loads(akin("inspect", "tuned", "--json")[0])
    assert ("head" in told) == (first["kept"] == "tuned"), told
    akin("tune", "t.yaml", "-o", "x", "--set", "tune={head.type: [gaited]}", status=1,
         says="head.type=gaited")
    out, _ = akin("tune", "t.yaml", "-o", "named", "--set",
                  "tune={head: [linear, {type: linear, rank: 2}]}")
    assert "head=linear\n" in out and "head={type: linear, rank: 2}" in out, out


@case
def inspect_knows_what_it_sees():
    for path, kind in (("first", "model"), ("tiny", "sentence-transformers folder"),
                       ("i.akin", "index"), ("v.npy", "vectors"),
                       ("v.safetensors", "vectors"), ("tiny/model.safetensors", "tensors"), ("pairs.jsonl", "data"),
                       ("r/recipe.yaml", "recipe")):
        assert kind == json.loads(akin("inspect", path, "--json")[0])["kind"], path
        assert kind in akin("inspect", path)[0], path
    akin("inspect", "nothing-there", status=1, says="nothing-there")
    os.mkfifo("pipe.jsonl")
    akin("train", "pipe.jsonl", "-o", "piped", status=1, says="pipe.jsonl: is a pipe")
    akin("encode", "i.akin", status=1, says="a model is a folder, this is a file (index)")
    akin("encode", "pairs.jsonl", status=1, says="this is a file (data)")


@case
def lists():
    for kind, name in (("encoders", "transformer"), ("heads", "skip_connection"),
                       ("losses", "triplet"), ("metrics", "ndcg"), ("optimizers", "adamw"), ("sections", "train.checkpoint")):
        assert f"\n{name} " in "\n" + akin("list", kind)[0], kind
        rows = json.loads(akin("list", kind, "--json")[0])
        assert name in [row["name"] for row in rows] and all(row["summary"] for row in rows), kind


# ---- what goes wrong ----

@case
def the_cache_is_shown_checked_and_cleaned():
    train("kept", "--cache", "own", "--set", "train.epochs=1")
    listed = json.loads(akin("cache", "ls", "--json", "--cache", "own")[0])
    vectors, = (entry for entry in listed["entries"] if entry["kind"] == "vectors")
    assert vectors["vectors"] == 150 and vectors["encoder"]["type"] == "transformer", vectors
    assert vectors["encoder"]["path"].endswith("/tiny") and vectors["reachable"], vectors
    out, _ = akin("cache", "verify", "--cache", "own")
    assert "150 x 32 f32" in out and "broken" not in out, out
    segment = pathlib.Path("own", vectors["path"], "000000.safetensors")
    segment.write_bytes(segment.read_bytes()[:-3])
    done = subprocess.run([AKIN, "cache", "verify", "--cache", "own"], capture_output=True,
                          text=True, env=environment(), check=False)
    assert done.returncode == 1 and "akin: 1 broken file" in done.stderr, done
    assert str(segment) in done.stdout, done.stdout
    _, err = train("again", "--cache", "own", "--set", "train.epochs=1")
    assert "computed again" in err and "; 0 encoded" not in err, err
    akin("cache", "gc", "--cache", "own", status=2, says="say what to remove")
    akin("cache", "gc", "--max-size", "2 apples", "--cache", "own", status=2, says="2G")
    akin("cache", "gc", "--older-than", "5", "--cache", "own", status=2, says="with its unit")
    assert "removed" in akin("cache", "gc", "--older-than", "30m", "--cache", "own")[0]
    akin("cache", "frob", status=2, says="ls, verify and gc")
    out, _ = akin("cache", "gc", "--max-size", "0", "--dry-run", "--cache", "own")
    assert "would be removed" in out and segment.parent.exists(), out
    for file in segment.parent.glob("*.safetensors"):
        file.write_bytes(file.read_bytes()[:-3])
    akin("cache", "gc", "--max-size", "0", "--cache", "own", says="broken")
    assert not json.loads(akin("cache", "ls", "--json", "--cache", "own")[0])["entries"]


@case
def distilled_model_is_a_model():
    words = ["distill", "tiny", "--output", "flat", "--dim", "24"]
    out, err = akin(*words)
    assert out == "flat\n" and "24 of 32 numbers" in err and "akin evaluate flat" in err, err
    akin(*words, status=1, says="exists already")
    akin(*words, "--force", "--corpus", "pairs.jsonl", "--field", "a", "--quiet")
    akin("distill", "tiny", "--output", "wide", "--dim", "33", status=1, says="33 numbers")
    akin("distill", "nowhere", "--output", "wide", status=1, says="no such model folder")
    akin("distill", "tiny", "--output", "wide", "--corpus", "none.txt", status=1, says="none.txt")
    assert not os.path.exists("wide")
    pathlib.Path("mine").mkdir(exist_ok=True)
    akin("distill", "tiny", "--output", "mine", "--force", status=1, says="mine is not a model")
    vector, = akin("encode", "flat", "-", stdin="red cat\n")[0].splitlines()
    assert len(json.loads(vector)) == 24 and abs(sum(x * x for x in json.loads(vector)) - 1) < 1e-5
    rows = json.loads(akin("evaluate", "flat", "--base", "tiny", "--data", "pairs.jsonl",
                           "--samples", "pairs", "--json")[0])
    assert rows["base"] and rows["metrics"], rows
    akin("index", "flat", "pairs.jsonl", "--field", "b", "--output", "flat.index")
    akin("train", "pairs.jsonl", "--encoder", "flat/encoders/text", "--output", "of-flat", "--set",
         "encoders.text.type=static", "--set", "encoders.text.trainable=true", "--set",
         "head.type=empty", "--set", "train.epochs=2")


@case
def mined_pairs_are_training_data():
    words = ["mine", "tiny", "pairs.jsonl", "-k", "2", "--margin", "-2"]
    report = json.loads(akin(*words, "--output", "mined.jsonl", "--json")[0])
    assert report["samples"] == 75 and report["mined"] == 150, report
    records = [json.loads(line) for line in open("mined.jsonl", encoding="utf-8")]
    assert [record["score"] for record in records[:4]] == [1, 0, 0, 1], records[:4]
    known = {(pair["a"], pair["b"]) for pair in PAIRS}
    for record in records:
        assert ((record["a"], record["b"]) in known) == (record["score"] == 1), record
    akin(*words, "--output", "mined.jsonl", status=1, says="exists already")
    akin(*words, status=2, says="--output")
    akin(*words, "--first-rank", "9", "--last-rank", "3", "--output", "m.jsonl", status=1,
         says="behind last_rank")
    akin("train", "mined.jsonl", "--encoder", "tiny", "--output", "of-mined", "--set",
         "data.validation=pairs.jsonl", "--set", "train.epochs=1")
    _, err = train("hard", "--set", "train.epochs=2", "--set", "train.hard_negatives.k=2")
    assert err.count("hard negatives:") == 1, err


@case
def bad_data_is_named_by_line():
    good = json.dumps(PAIRS[0]) + "\n"
    table = [
        ("not_json.jsonl", good + "{frob}\n", "not_json.jsonl:2"),
        ("field.jsonl", good + '{"a": "x"}\n', 'field.jsonl:2: no member "b"'),
        ("score.jsonl", '{"a": "x", "b": "y", "score": NaN}\n', "score.jsonl:1"),
        ("empty.jsonl", "", "empty.jsonl"),
        ("list.jsonl", "[1]\n", "list.jsonl:1"),
        ("short.csv", "a,b\nx\n", "short.csv:2"),
        ("column.tsv", "a\tc\nx\ty\n", "column.tsv:1"),
    ]
    for name, text, message in table:
        pathlib.Path(name).write_text(text)
        akin("train", name, "--encoder", "tiny", "-o", "x", status=1, says=message)
        akin("evaluate", "tiny", "--data", name, "--samples", "pairs", status=1, says=message)
    akin("train", "none.jsonl", "--encoder", "tiny", "-o", "x", status=1, says="none.jsonl")
    train("x", "--encoder", "nowhere", status=1, says="nowhere")
    assert not os.path.exists("x") and not os.path.exists("x.checkpoint")


@case
def a_damaged_model_is_refused():
    shutil.copytree("first", "damaged")
    weights = pathlib.Path("damaged/head.safetensors")
    weights.write_bytes(weights.read_bytes()[:-8])
    akin("encode", "damaged", stdin="cat\n", status=1, says="head.safetensors")
    pathlib.Path("damaged/akin.json").write_text('{"format": 1,')
    akin("encode", "damaged", stdin="cat\n", status=1, says="akin.json:1")


@case
def a_full_disk_loses_nothing():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([AKIN, "encode", "first", "pairs.jsonl", "--field", "b"], stdout=full,
                              stderr=subprocess.PIPE, text=True, env=environment(), check=False)
    assert done.returncode == 1 and "No space left" in done.stderr, done.stderr

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    before = sorted(os.listdir("."))
    akin("encode", "first", "pairs.jsonl", "--field", "b", "-o", "big.npy", "--cache", "none",
         status=1, says="big.npy", preexec_fn=small_files)
    train("big", "--cache", "none", "-s", "train.epochs=1", status=1, preexec_fn=small_files)
    after = [name for name in sorted(os.listdir(".")) if name != "big.checkpoint"]
    assert after == before, f"left behind: {set(after) - set(before)}"
    assert not os.path.isdir("big.checkpoint") or os.listdir("big.checkpoint"), "an empty folder"


@case
def an_interrupted_run_goes_on_as_if_never_stopped():
    sets = ("-s", "train.epochs=400", "-s", "train.batch_size=8", "-s",
            "train.early_stopping.patience=0", "-s", "head.dropout=0.1")
    train("whole", *sets)
    words = [AKIN, "train", "pairs.jsonl", "--encoder", "tiny", "-o", "parts", *sets]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env=environment()) as process:
        for line in process.stderr:
            if line.startswith("epoch 3 "):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        process.stdout.read()
    assert process.returncode == 130, f"status {process.returncode}: {rest}"
    assert "--resume parts.checkpoint" in rest and not os.path.exists("parts"), rest
    train("parts", *sets, status=2, says="parts.checkpoint holds a run that was not finished")
    shutil.copytree("parts.checkpoint", "backup")
    shutil.copytree("parts.checkpoint", "broken")
    with open("broken/checkpoint.safetensors", "r+b") as file:
        file.seek(-5, os.SEEK_END)
        last = file.read(1)
        file.seek(-5, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    train("never", *sets, "--resume", "broken", status=1, says="the checkpoint is damaged")
    before = pathlib.Path("backup/checkpoint.safetensors").read_bytes()
    train("copied", *sets, "--resume", "backup", says="backup, which stays as it is")
    assert os.listdir("backup") == ["checkpoint.safetensors"], os.listdir("backup")
    assert pathlib.Path("backup/checkpoint.safetensors").read_bytes() == before, "written to"
    train("parts", *sets, "--resume", "backup", status=2, says="was not finished")
    train("parts", *sets, "--resume", "parts.checkpoint")
    whole, parts = (pathlib.Path(name, "head.safetensors").read_bytes()
                    for name in ("whole", "parts"))
    assert whole == parts, "the resumed run ended in other weights"
    whole, parts = (json.loads(pathlib.Path(name, "akin.json").read_text())["training"]["history"]
                    for name in ("whole", "parts"))
    assert whole == parts, "the resumed run tells of other epochs"
    assert not os.path.exists("parts.checkpoint"), "a checkpoint was left"


@case
def a_model_that_is_worse_than_its_base_is_told():
    narrow = ("-s", "head={type: stacked_projection, output_sizes: [2]}", "-s", "train.epochs=1")
    train("narrow", *narrow, says="the model saved is worse than its base")
    _, err = train("wide", "-s", "train.epochs=1")
    assert "warning" not in err, err


@case
def a_newcomers_mistakes_say_what_to_do():
    os.mkdir("folder")
    for words, status, says in (
            (("trian", "pairs.jsonl"), 2, "there are train, tune, "),
            (("train", "pairs.jsonl", "--epochs", "3"), 2, "--set train.epochs=5"),
            (("train", "pairs.jsonl", "--encoder", "pairs.jsonl", "-o", "x"), 1, "is a file, expected"),
            (("encode", "tiny", "folder"), 1, "folder: is a folder"),
            (("index", "tiny", "pairs.jsonl", "-o", "x"), 1, '"field" names the one'),
            (("evaluate", "tiny", "--data", "pairs.jsonl", "--samples", "beir"), 1, "is a folder, of")):
        akin(*words, status=status, says=says)
    akin("index", "tiny", "pairs.jsonl", "--field", "b", "-o", "mistaken.akin")
    akin("search", "mistaken.akin", "pairs.jsonl", "red cat", says="is taken for a query")


@case
def standard_output_is_for_vectors():
    for words in (("report", "first", "--data", "pairs.jsonl"), ("train", "pairs.jsonl"),
                  ("index", "tiny", "pairs.jsonl"), ("mine", "tiny", "pairs.jsonl")):
        akin(*words, "--output", "-", status=2, says="does not write to standard output")
    assert not os.path.exists("-")
    words = ("encode", "tiny", "pairs.jsonl", "--field", "a")
    assert akin(*words, "--output", "-")[0] == akin(*words)[0]


@case
def what_measures_nothing_is_told():
    lines("ten.jsonl", PAIRS[:10])
    akin("train", "ten.jsonl", "--encoder", "tiny", "-o", "ten", "-s", "train.epochs=1",
         says="warning: ./ten.jsonl, the validation data (1 samples): there is one b")
    lines("one.jsonl", PAIRS[:1])
    akin("evaluate", "tiny", "--data", "one.jsonl", "--samples", "pairs",
         says="warning: one.jsonl: there is one candidate")
    lines("three.jsonl", PAIRS[:30])
    _, err = akin("train", "three.jsonl", "--encoder", "tiny", "-o", "three", "-s", "train.epochs=1")
    assert "warning" not in err, err


@case
def logs_of_another_run_stay():
    sets = ("-s", "train.epochs=1", "-s", "train.log_folder=logs")
    train("logged", *sets)
    before = pathlib.Path("logs/log.csv").read_bytes()
    train("unlogged", *sets, status=1, says="logs/log.csv exists already")
    assert pathlib.Path("logs/log.csv").read_bytes() == before, "the log was written over"
    assert not os.path.exists("unlogged"), "it was trained before it was refused"
    train("logged", *sets, "--force")


def main():
    print(f"1..{len(cases)}")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        subprocess.run([BUILD / "tests" / "make_tiny_model", "tiny"], check=True)
        lines("pairs.jsonl", PAIRS)
        for number, function in enumerate(cases, 1):
            try:
                function()
                print(f"ok {number} - {function.__name__}", flush=True)
            except Exception:
                failed += 1
                print(f"not ok {number} - {function.__name__}", flush=True)
                traceback.print_exc()
        os.chdir("/")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
