#!/usr/bin/env python3
"""akin's token ids beside those of Hugging Face's `tokenizers`, on a nasty corpus.

usage: token_ids.py BUILD [--lines 100000] [--only NAME] [--seed 1] [--show 5] [--folder FOLDER]

Tokenizers of every kind that akin reads are trained on the pages of this project and on prose in many
languages, then both packages encode the same lines. --folder compares one with a tokenizer.json instead.
"""
import argparse
import pathlib
import struct
import subprocess
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

import nasty

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>"]
MASK = [AddedToken("<mask>", lstrip=True)]
ADDED = [AddedToken("foo", single_word=True), AddedToken("<x>", lstrip=True, rstrip=True),
         AddedToken("h\u00e9llo", normalized=True), AddedToken("   ", normalized=True), AddedToken("\t\t", normalized=False),
         AddedToken("[MASK][MASK]", normalized=False), AddedToken("\ufb01", normalized=True)]
WORD_PIECES = {  # BertNormalizer's options, whether tokens are added, post-processor
    "uncased": ({}, False, "template"),
    "cased": ({"lowercase": False}, False, "bert"),
    "lower_keeping_accents": ({"strip_accents": False}, True, "bert"),
    "cased_without_accents": ({"lowercase": False, "strip_accents": True}, True, "template"),
    "without_ideographs": ({"handle_chinese_chars": False}, True, "none"),
    "not_cleaned": ({"clean_text": False}, True, "roberta"),
}
NFC, NFD, NFKC, NFKD = normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD()
LOWER = normalizers.Lowercase()
BYTES = {  # normalizer, add_prefix_space, whether tokens are added, post-processor
    "roberta": (None, False, False, "roberta"),
    "roberta_prefix": (None, True, True, "roberta"),
    "modernbert": (NFC, False, True, "template"),
    "bytes_nfkc": (NFKC, True, True, "sequence"),
    "bytes_nfd": (normalizers.Sequence([NFD, LOWER]), False, False, "bytes"),
}
JOIN = normalizers.Replace(Regex(" {2,}"), " ")
STRIP_RIGHT = normalizers.Strip(left=False, right=True)
PIECES = {  # SentencePiece's rule, normalizers (COMPILED stands for its charsmap), WhitespaceSplit, prepend scheme
    "xlmr": ("nmt_nfkc", ["COMPILED"], True, "always"),
    "xlmr_new": ("nmt_nfkc", ["COMPILED", STRIP_RIGHT, normalizers.Replace(Regex(" {2,}"), "\u2581")], False, "always"),
    "pieces_folded": ("nmt_nfkc_cf", ["COMPILED", JOIN], False, "never"),
    "pieces_never": ("identity", [NFKC, JOIN], False, "never"),
    "old_rules": ("nmt_nfkc", [normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), NFKD, LOWER, "COMPILED", JOIN],
               False, "always"),
}


def finish(t, kind, special, added, post):
    first, last = special
    t.add_special_tokens(kind)
    t.add_tokens(added)
    pairs = [(name, t.token_to_id(name)) for name in (first, last)]
    template = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=pairs)
    made = {"template": template, "bert": processors.BertProcessing(pairs[1], pairs[0]),
            "roberta": processors.RobertaProcessing(pairs[1], pairs[0]), "bytes": processors.ByteLevel(),
            "sequence": processors.Sequence([processors.ByteLevel(), template])}
    if post != "none":
        t.post_processor = made[post]
    return t


def word_pieces(options, added, post, lines):
    t = Tokenizer(models.WordPiece({}, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(**options)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=6000, show_progress=False, special_tokens=BERT))
    return finish(t, BERT, ("[CLS]", "[SEP]"), ADDED if added else [], post)


def byte_level(normalizer, prefix, added, post, lines):
    t = Tokenizer(models.BPE())
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    t.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=5000, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=ROBERTA))
    t.add_special_tokens(ROBERTA)
    return finish(t, MASK, ("<s>", "</s>"), ADDED if added else [], post)


def sentence_pieces(rule, lines):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "text.txt").write_text("\n".join(lines), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(path / "text.txt"), model_prefix=str(path / "sp"), vocab_size=3000, model_type="unigram",
            normalization_rule_name=rule, character_coverage=0.99, hard_vocab_limit=False, minloglevel=2)
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString((path / "sp.model").read_bytes())
    return [(p.piece, p.score) for p in model.pieces[3:]], model.normalizer_spec.precompiled_charsmap


def unigram(rule, steps, words, scheme, lines):
    pieces, charsmap = sentence_pieces(rule, lines)
    t = Tokenizer(models.Unigram([(s, 0.0) for s in ROBERTA] + pieces, unk_id=3, byte_fallback=False))
    made = [normalizers.Precompiled(charsmap) if step == "COMPILED" else step for step in steps]
    t.normalizer = made[0] if len(made) == 1 else normalizers.Sequence(made)
    metaspace = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace]) if words else metaspace
    t.add_special_tokens(ROBERTA)
    # a token that normalises to nothing would make `tokenizers` panic
    return finish(t, MASK, ("<s>", "</s>"), [token for token in ADDED if token.content.strip()], "template")


def ids_of(program, folder, texts, longest):
    data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    out = subprocess.run([program, folder] + ([str(longest)] if longest else []), input=data, stdout=subprocess.PIPE, check=True)
    return [[int(word) for word in line.split()] for line in out.stdout.decode().split("\n")[:-1]]


def encode(t, texts):
    """The ids by `tokenizers`; None where it panics, as it does when it cuts its own alignments."""
    try:
        return t.encode_batch(texts)
    except BaseException as error:  # a panic of Rust is no Exception
        if type(error).__name__ != "PanicException":
            raise
    if len(texts) == 1:
        return [None]
    half = len(texts) // 2
    return encode(t, texts[:half]) + encode(t, texts[half:])


def compare(program, name, t, texts, show):
    differ = panics = 0
    with tempfile.TemporaryDirectory() as folder:
        t.no_padding()
        t.no_truncation()
        t.save(folder + "/tokenizer.json")
        for longest in (0, 12):
            some = texts if not longest else texts[::10]
            if longest:
                t.enable_truncation(longest)
            theirs = encode(t, [text.decode("utf-8", "replace") for text in some])
            panics += theirs.count(None)
            for text, own, other in zip(some, ids_of(program, folder, some, longest), theirs, strict=True):
                if other and own != other.ids:
                    differ += 1
                    if differ <= show:
                        at = next((i for i, (x, y) in enumerate(zip(own, other.ids)) if x != y), min(len(own), len(other.ids)))
                        print(f"  {text.decode('utf-8', 'replace')!a:.300}\n    at {at}, akin {own[at:at + 8]}, tokenizers "
                              f"{other.ids[at:at + 8]} {other.tokens[at:at + 8]!a}")
    print(f"{name:24} {len(texts)} lines, {differ} differ" +
          (f" ({panics} that `tokenizers` panics at)" if panics else ""), flush=True)
    return differ


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--lines", type=int, default=100000)
    parser.add_argument("--only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5)
    parser.add_argument("--folder", help="with a tokenizer.json")
    arguments = parser.parse_args()
    program = str(pathlib.Path(arguments.build, "tests/ids").resolve())
    lines = nasty.corpus()
    makers = {}
    for table, make in ((WORD_PIECES, word_pieces), (BYTES, byte_level), (PIECES, unigram)):
        for name, row in table.items():
            makers[name] = lambda make=make, row=row: make(*row, lines)
    if arguments.folder:
        makers = {arguments.folder: lambda: Tokenizer.from_file(arguments.folder + "/tokenizer.json")}
    texts = list(nasty.bytes_of(arguments.lines, arguments.seed))
    differ = sum(compare(program, name, make(), texts, arguments.show) for name, make in makers.items()
                 if arguments.only in (None, name))
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
