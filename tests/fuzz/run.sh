#!/bin/sh
# Runs every libFuzzer program of a build for some seconds, from its corpus and from what earlier
# runs found (BUILD/found/NAME). usage: run.sh BUILD_FOLDER SECONDS
set -eu
build=$1 seconds=$2
corpora=$(dirname "$0")/corpus
failed=
for program in "$build"/tests/fuzz/fuzz_*; do
    name=${program##*/fuzz_}
    case $name in *_replay | *.p) continue ;; esac
    mkdir -p "$build/found/$name"
    echo "== $name"
    "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$build/found/$name-" "$build/found/$name" "$corpora/$name" \
        2> "$build/found/$name.log" || failed="$failed $name"
    grep -E '^(SUMMARY|stat::number_of_executed_units)' "$build/found/$name.log" || true
done
if [ -n "$failed" ]; then
    echo "failed:$failed (what they choked on is in $build/found)"
    exit 1
fi
