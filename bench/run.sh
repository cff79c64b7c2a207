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

for member in short text; do
    python3 -c 'import json, sys
for line in sys.stdin: print(json.loads(line)[sys.argv[1]])' "$member" < "$corpus" |
        head -n 4000 > "$build/demo/$member.txt"
done

show() {
    printf '\n$'
    printf ' %s' "$@"
    printf '\n'
    "$@"
}
for precision in f32 bf16; do
    show "$build/bench/bench_encode" "$minilm" "$build/demo/short.txt" 128 $precision 5
    show "$build/bench/bench_encode" "$minilm" "$build/demo/text.txt" 128 $precision 3
done
show "$build/bench/bench_tokenizer" "$minilm" "$build/demo/short.txt"
show "$build/bench/bench_losses"
show "$build/bench/bench_search"
