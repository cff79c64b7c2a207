#!/bin/sh
# Runs the benchmarks that bench/README.md reports, on what ./bootstrap left: MiniLM and the package
# descriptions (a text a line: short ones and long ones). usage: run.sh BUILD_FOLDER
set -eu
build=$1
minilm=${XDG_CACHE_HOME:-$HOME/.cache}/akin/minilm
corpus=$build/demo/corpus.jsonl
if [ ! -d "$minilm" ] || [ ! -f "$corpus" ]; then
    echo "MiniLM or the descriptions are missing: ./bootstrap makes both" >&2
    exit 1
fi
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"

# write_texts MEMBER COUNT
write_texts() {
    python3 -c 'import itertools, json, sys
for line in itertools.islice(sys.stdin, int(sys.argv[2])): print(json.loads(line)[sys.argv[1]])' \
        "$1" "$2" < "$corpus" > "$build/demo/$1.txt"
}
write_texts short 4000
write_texts text 1000

show() {
    printf '\n$'
    printf ' %s' "$@"
    printf '\n'
    "$@"
}
precisions=f32
grep -qs avx512_bf16 /proc/cpuinfo && precisions="f32 bf16" # elsewhere bf16 is emulated
for precision in $precisions; do
    show "$build/bench/bench_encode" "$minilm" "$build/demo/short.txt" 128 "$precision" 5
    show "$build/bench/bench_encode" "$minilm" "$build/demo/text.txt" 128 "$precision" 5
done
show "$build/bench/bench_tokenizer" "$minilm" "$build/demo/short.txt"
for precision in $precisions; do
    show "$build/bench/bench_finetune" "$minilm" "$build/demo/short.txt" "$build/demo/text.txt" \
        "max_length: 128, train_embeddings: true" "$precision"
    show "$build/bench/bench_finetune" "$minilm" "$build/demo/short.txt" "$build/demo/text.txt" \
        "max_length: 128, trainable_layers: 2" "$precision"
done
show "$build/bench/bench_head"
show "$build/bench/bench_losses"
show "$build/bench/bench_search"
show "$build/bench/bench_static"
show "$build/bench/bench_static" '{}' "$build/demo/short.txt"
