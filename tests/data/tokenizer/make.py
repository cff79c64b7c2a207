#!/usr/bin/env python3
"""Makes the golden files beside it with Hugging Face's `tokenizers` (0.23) and SentencePiece (0.2):
pip install tokenizers sentencepiece protobuf.

uncased.json, cased.json  two small tokenizer.json, the second with added tokens of every kind
bytes.json, prefix.json   two of byte-level BPE, the second with a space put before every piece
words.json, pieces.json   two of Unigram, with and without WhitespaceSplit, and a charsmap of few rules
modern.json, rules.json   byte-level BPE as ModernBERT's, and Unigram with other normalizers
golden.json, golden_bytes.json, golden_unigram.json, golden_nasty.json  texts (or their bytes in hexadecimal, for invalid UTF-8) with their ids
points.json, forms.json   a hash (FNV-1a, 64 bits) of how every 4096 code points are treated, and of their normal forms
"""
import json
import pathlib
import random
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "parity"))
import nasty  # noqa: E402
SENTENCES = """
A small library that finds what is alike: texts, pictures and records get close vectors.
The quick brown fox jumps over the lazy dog while the unaffable embedding is sleeping.
Resize pictures from the command line, convert between formats, and rotate without loss.
Network monitoring tools for servers; they watch packets, connections and bandwidth.
Der schnelle braune Fuchs springt über den faulen Hund. Straße, Größe, Übung, Äpfel.
Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë au delà des îles.
El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío, añoraba a su niña.
Pijamalı hasta yağız şoföre çabucak güvendi. İstanbul, IĞDIR, ılık.
Tôi có thể ăn thủy tinh mà không hại gì. Việt Nam, Hà Nội, đường phố.
Съешь же ещё этих мягких французских булок, да выпей чаю. Українська їжа.
Ταχίστη αλώπηξ βαφής ψημένη γη, δρασκελίζει υπέρ νωθρού κυνός. Άλφα ᾳ ΐ.
यह एक छोटा पुस्तकालय है जो समान वस्तुओं को खोजता है। क़ ख़ ड़
هذه مكتبة صغيرة تجد ما هو متشابه. مُحَمَّد شَمْس
זוהי ספרייה קטנה שמוצאת מה דומה. שָׁלוֹם
นี่คือห้องสมุดขนาดเล็กที่ค้นหาสิ่งที่คล้ายกัน กำลัง
这是一个寻找相似事物的小型库。東京都 豈 更 車
これは似ているものを見つける小さなライブラリです。ガギグ ｶﾞ が
이것은 비슷한 것을 찾는 작은 라이브러리입니다. 한국어 각 힣
""".strip().split("\n")
ODD = ("[SEP] [MASK] [CLS] [sep] [UNK] [PAD] [MASK][MASK] x[SEP]y ##ing # ## don't ﬁnd ǅ ß ẞ ſ İ ı Å Å Ⱥ ꟍ 𐐀 "
       "ｆｕｌｌ 👩‍👩‍👧 🇩🇪 ☃️ é e\u0301\u0327 a\u0327\u0301 a\u302e\U0001d165 𝅘𝅥𝅮 \u00ad \u200b \u200d \ufeff \ufffd "
       "\u2028 \x85 \x7f \x1c \x0b \u180e \u3000 \u00a0 \u2003 foo Foo FOO foo2 xfoo <b> yesterday Yesterday "
       "yesterdays <x> <x>y héllo Héllo ᙭ 𑇉 \u1734 𞥄 \U000e0041 \ue000 \U0010ffff ᾳ ŉ ½ ² ① 々 〇 ￥ $ ^ ` ~ | + < =").split(" ")


def tokenizer(vocab, lowercase, added):
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    t.add_tokens(added)
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])])
    return t


def vocabulary(lowercase):
    t = tokenizer({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}, lowercase, [])
    t.train_from_iterator(SENTENCES * 3, trainers.WordPieceTrainer(
        vocab_size=1100, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    vocab = t.get_vocab(with_added_tokens=True)
    for c in list(range(0x21, 0x7f)) + [0x302e, 0x302f, 0x1d165, 0x1d16d, 0x16ff0, 0x1b44, 0x307, 0x111c9, 0x1c8a,
                                         0x8d4, 0x1dfb, 0x1e000, 0x1e944, 0x7fd]:
        for token in (chr(c), "##" + chr(c)):
            vocab.setdefault(token, len(vocab))
    return vocab


def byte_level(prefix):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(SENTENCES * 3, trainers.BpeTrainer(
        vocab_size=900, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"]))
    t.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    t.add_tokens([AddedToken("foo", single_word=True, normalized=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=prefix)
    return t


def sentence_pieces():
    """Tokens with scores, and a charsmap that makes spaces of spaces, fi of the ligature, and so on."""
    rules = {"\t": " ", "\n": " ", "\u00a0": " ", "\u3000": " ", "\ufb01": "fi", "e\u0301": "\u00e9",
             "\uff46": "f", "\u00bd": "1\u20442", "\u200b": "", "\x01": "", "\u1100\u1161": "\uac00"}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        lines = ["\t".join(" ".join("%X" % ord(c) for c in side) for side in pair) for pair in rules.items()]
        (path / "rules.tsv").write_text("\n".join(lines) + "\n")
        (path / "text.txt").write_text("\n".join(SENTENCES * 30), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(path / "text.txt"), model_prefix=str(path / "sp"), vocab_size=700, model_type="unigram",
            normalization_rule_tsv=str(path / "rules.tsv"), character_coverage=0.98, hard_vocab_limit=False)
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString((path / "sp.model").read_bytes())
    return [(p.piece, p.score) for p in model.pieces[3:]], model.normalizer_spec.precompiled_charsmap


def unigram(pieces, charsmap, words):
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    t = Tokenizer(models.Unigram([(s, 0.0) for s in special] + pieces, unk_id=3, byte_fallback=False))
    compiled = normalizers.Precompiled(charsmap)
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="always")
    t.normalizer = compiled if words else normalizers.Sequence(
        [compiled, normalizers.Strip(left=False), normalizers.Replace(Regex(" {2,}"), "\u2581")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace]) if words else metaspace
    t.add_special_tokens(special)
    t.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    t.add_tokens([AddedToken("foo", single_word=True, normalized=True)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return t


def modern():
    """NFC, added tokens of spaces, and two post-processors of which one adds tokens."""
    t = byte_level(False)
    t.normalizer = normalizers.NFC()
    t.add_tokens([AddedToken(" " * n, normalized=True) for n in (4, 3, 2)])
    template = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return t


def rules(pieces, charsmap):
    t = unigram(pieces, charsmap, False)
    t.normalizer = normalizers.Sequence(
        [normalizers.Replace("``", '"'), normalizers.NFKD(), normalizers.Lowercase(), normalizers.Precompiled(charsmap),
         normalizers.Strip(right=False), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    return t


def texts(r):
    words = " ".join(SENTENCES).split() + ODD * 4
    yield from ["", " ", "\n\t ", "a" * 99, "a" * 100, "a" * 101, "é" * 100, "é" * 101, "각" * 33, "각" * 34,
                "w" * 10000, "x " * 1500 + "y", "fox\x01" * 400, "\u302e\U0001d165" * 60, "\u302e\U0001d165" * 700]
    yield from SENTENCES
    for _ in range(240):
        yield "".join(r.choice(words) + r.choice(["", " ", " ", " ", "  ", "\t", ",", "-", "\u0301"])
                      for _ in range(r.randint(1, 9)))
    for _ in range(60):
        yield "a" + "".join(chr(r.choice([0x301, 0x327, 0x302e, 0x302f, 0x1d165, 0x1d16d, 0x16ff0, 0x1b44, 0x111c9,
                                          0x1734, 0x93c, 0x5b0, 0xe38, 0x1e000, 0x8d4, 0x1dfb, 0x941,
                                          0x1e944, 0x7fd]))
                            for _ in range(r.randint(1, 8)))


def golden(name, t, r):
    out = []
    for text in texts(r):
        longest = r.choice([0, 0, 0, 2, 3, 5, 16])
        t.no_truncation()
        if longest or len(text) > 2000:
            t.enable_truncation(longest or 32)
            longest = longest or 32
        out.append({"tokenizer": name, "text": text, "max_length": longest, "ids": t.encode(text).ids})
    for raw in (b"\xff", b"ab\xc3", b"\xed\xa0\x80 lone", b"\xf0\x9f\x91 cut", b"fo\xffx", b"\xc0\xafover", b"\xe2\x82",
                b"\xf4\x90\x80\x80", b"fox \x80\xbf dog", b"[SEP\xff]", b"\xf8\x88\x80\x80\x80",
                b"fo\x00x", b"\x00", b"fox \x00 dog\x00"):
        t.no_truncation()
        out.append({"tokenizer": name, "hex": raw.hex(), "max_length": 0,
                    "ids": t.encode(raw.decode("utf-8", "replace")).ids})
    return out


def hash_of(value, data):
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return value


def forms():
    """Of every code point before and after marks: two that sort, one that composes."""
    four = [normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD()]
    hashes = []
    for first in range(0, 0x110000, 4096):
        value = 0xcbf29ce484222325
        for point in range(first, first + 4096):
            if 0xD800 <= point < 0xE000:
                continue
            for form in four:
                value = hash_of(value, form.normalize_str("e\u0301\u0327" + chr(point) + "\u0323\u0301").encode() + b"\xff")
        hashes.append("%016x" % value)
    return hashes


def points():
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    four = [normalizers.BertNormalizer(**{**off, key: True}) for key in off]
    splits = pre_tokenizers.BertPreTokenizer()
    hashes = []
    for first in range(0, 0x110000, 4096):
        value = 0xcbf29ce484222325
        for point in range(first, first + 4096):
            if 0xD800 <= point < 0xE000:
                continue
            c = chr(point)
            pieces = len(splits.pre_tokenize_str("a" + c + "a"))
            treated = b"\xff".join(n.normalize_str(c).encode() for n in four) + bytes([0xff, pieces])
            value = hash_of(value, treated)
        hashes.append("%016x" % value)
    return hashes


def write(name, made, r):
    rows = []
    for kind, t in made.items():
        t.no_truncation()
        (HERE / (kind + ".json")).write_text(t.to_str(pretty=kind == "cased"), encoding="utf-8")
        rows += golden(kind, t, r)
    write_rows(name, rows)


def write_rows(name, rows):
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]
    (HERE / name).write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def nasty_rows(name, t):
    """Short ones of the corpus of the parity suite."""
    for data in [data for data in nasty.bytes_of(270, 3, SENTENCES) if len(data) < 110]:
        text = data.decode("utf-8", "replace")
        about = {"text": text} if text.encode() == data else {"hex": data.hex()}
        yield {"tokenizer": name, **about, "max_length": 0, "ids": t.encode(text).ids}


def main():
    r = random.Random(7)
    added = [AddedToken("foo", single_word=True), AddedToken("<b>", lstrip=True), AddedToken("<x>", rstrip=True, single_word=True),
             AddedToken("Yesterday", normalized=True), AddedToken("yesterdays", normalized=False),
             AddedToken("h\u00e9llo", normalized=True), AddedToken("[MASK][MASK]", special=True, normalized=False)]
    rows = []
    made = {"uncased": tokenizer(vocabulary(True), True, []), "cased": tokenizer(vocabulary(False), False, added)}
    write("golden.json", made, r)
    write("golden_bytes.json", {"bytes": byte_level(False), "prefix": byte_level(True)}, r)
    pieces, charsmap = sentence_pieces()
    write("golden_unigram.json", {"words": unigram(pieces, charsmap, True), "pieces": unigram(pieces, charsmap, False)}, r)
    for name, t in (("modern", modern()), ("rules", rules(pieces, charsmap))):
        (HERE / (name + ".json")).write_text(t.to_str(), encoding="utf-8")
        rows += nasty_rows(name, t)
    write_rows("golden_nasty.json", rows)
    (HERE / "points.json").write_text(json.dumps(points(), indent=0) + "\n")
    (HERE / "forms.json").write_text(json.dumps(forms(), indent=0) + "\n")


if __name__ == "__main__":
    main()
