"""Nasty texts, the same ones for the same seed: every script, and what breaks tokenizers.

bytes_of(count, seed) yields texts as bytes, some of which are no valid UTF-8; Python's
decode("utf-8", "replace") is what they are to become.
"""
import pathlib
import random
import unicodedata

HERE = pathlib.Path(__file__).resolve().parent
# First and last code point of ranges that are drawn from more often than the rest of Unicode.
RANGES = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF),
          (0x900, 0xDFF), (0xE00, 0xFFF), (0x1000, 0x10FF), (0x1100, 0x11FF), (0x1E00, 0x1FFF),
          (0x2000, 0x206F), (0x2070, 0x218F), (0x2460, 0x24FF), (0x2600, 0x27BF), (0x2E80, 0x2FDF),
          (0x3000, 0x30FF), (0x3130, 0x318F), (0x3400, 0x9FFF), (0xA960, 0xA97F), (0xAC00, 0xD7FF),
          (0xE000, 0xF8FF), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFE6F), (0xFE70, 0xFFFF),
          (0x10000, 0x107FF), (0x11000, 0x11FFF), (0x1D100, 0x1D7FF), (0x1E800, 0x1EEFF),
          (0x1F000, 0x1FAFF), (0x20000, 0x2A6DF), (0x2F800, 0x2FA1F), (0xE0000, 0xE01EF)]
PIECES = ["\u200b", "\u200c", "\u200d", "\ufeff", "\u00ad", "\u202e", "\u202d", "\u2066", "\u2069", "\u061c",
          "\u0301", "\u0327", "\u0308", "\u0345", "\u3099", "\u0653", "\u093c", "\u1d165", "\U0001d165",
          "\u1100\u1161\u11a8", "\u1100", "\u1161", "\u11a8", "\uac00\u11a8", "e\u0301\u0327", "a\u0327\u0301",
          "\u212b", "\u2126", "\ufb01", "\u01c5", "\u1e9e", "\u0130", "\u0131", "\u03a3", "\u03c2", "\u017f", "\u0149",
          "\u00a0", "\u2003", "\u3000", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\t", "\n", "\r\n",
          "\x00", "\x01", "\x1f", "\x7f", "\x9f", "\ufffd", "\ufffe", "\U0010ffff", "\ue000", "\U000f0000",
          "\U0001f469\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2603\ufe0f", "\U0001f44d\U0001f3fd",
          "#\ufe0f\u20e3", "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\\ud83d", "\\ud83d\\ude00", "\\u0000", "&#x1F600;",
          "[SEP]", "[CLS]", "[MASK]", "[PAD]", "[UNK]", "<s>", "</s>", "<mask>", "<unk>", " <mask> ", "##", "\u2581",
          "\u2581\u2581", "\u0120", "\u010a", "don't", "we'll", "I'VE", "'s", " 's", "''", "``", "\u2019s", "1234567", "3.14",
          "\u00bd", "\u2460", "\u0968", "\u3007", "foo", "Foo", "xfoo", "foo_", "   ", "    ", "\t\t", "  \n", "<x>", "h\u00e9llo",
          "hello\u0301", "$", "^", "`", "|", "\uff04", "\uff5e", "\ufe4f", "\u17b4", "\u180e", "\u1160", "\u115f", "\u3164"]
WHOLE = ["", " ", "  ", "\n", "\n\n a", " \n a", "a", "a" * 99, "a" * 100, "a" * 101, "\u00e9" * 101, "w" * 5000, "\uac01" * 40,
         "x " * 700 + "y", "\u0301" * 300, "a" + "\u0327\u0301" * 1100, "\u1161" * 50, "." * 1000, "\u2581" * 30, "\u200b",
         "\u3000\u3000", "\x00", "[SEP]" * 40, " " * 400 + "x"]
BROKEN = [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x9f\x91", b"\xc0\xaf", b"\xe2\x82", b"\xf4\x90\x80\x80",
          b"\x80\xbf", b"\xf8\x88\x80\x80\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xfe\xfe", b"\xef\xbf"]


def corpus():
    """Lines of prose in many languages and of this project's pages."""
    text = (HERE.parent / "data/tokenizer/make.py").read_text(encoding="utf-8").split('"""')[3]
    for page in sorted((HERE.parents[1] / "docs").glob("*.md")):
        text += page.read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line.strip()]


def character(draw):
    while True:
        point = draw.randrange(0x110000) if draw.random() < .1 else draw.randint(*draw.choice(RANGES))
        if not 0xD800 <= point < 0xE000:
            return chr(point)


def text(draw, lines):
    """One text: prose with insertions, a heap of characters, or one script's characters."""
    kind = draw.random()
    if kind < .4:
        made = list(draw.choice(lines)[:draw.randint(10, 160)])
        for _ in range(draw.randint(1, 8)):
            piece = draw.choice(PIECES) if draw.random() < .6 else character(draw) * draw.choice([1, 1, 2, 9])
            made.insert(draw.randint(0, len(made)), piece)
        made = "".join(made)
    elif kind < .6:
        low, high = draw.choice(RANGES)
        made = "".join(" " if draw.random() < .15 else chr(draw.randint(low, high))
                       for _ in range(draw.randint(1, 40)))
    else:
        made = "".join(draw.choice(PIECES) if draw.random() < .5 else character(draw)
                       for _ in range(draw.randint(1, 30)))
    form = draw.random()
    return unicodedata.normalize(draw.choice(["NFC", "NFD", "NFKC", "NFKD"]), made) if form < .1 else made


def bytes_of(count, seed=1, lines=None):
    draw, lines = random.Random(seed), lines or corpus()
    for number in range(count):
        made = (WHOLE[number] if number < len(WHOLE) else text(draw, lines)).encode()
        if draw.random() < .03:
            at = draw.randint(0, len(made))
            made = made[:at] + draw.choice(BROKEN) + made[at:]
        yield made
