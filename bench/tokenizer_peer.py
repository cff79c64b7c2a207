#!/usr/bin/env python3
"""tokenizer_peer.py FOLDER TEXTS [ROUNDS]: as bench_tokenizer, with `tokenizers` (RAYON_NUM_THREADS)."""
import statistics
import sys
import time

from tokenizers import Tokenizer

start = time.perf_counter()
tokenizer = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
loaded = time.perf_counter() - start
tokenizer.no_padding()
tokenizer.no_truncation()
texts = open(sys.argv[2], encoding="utf-8", newline="\n").read().split("\n")[:-1]
seconds = []
for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 9):
    start = time.perf_counter()
    encoded = tokenizer.encode_batch_fast(texts)
    seconds.append(time.perf_counter() - start)
median = statistics.median(seconds)
tokens = sum(len(e.ids) for e in encoded)
print("load %.2f ms; %d texts, %.1f tokens each, %.0f texts/s, %.0f tokens/s"
      % (1e3 * loaded, len(texts), tokens / len(texts), len(texts) / median, tokens / median))
