#!/bin/sh
# The examples run, and say what they should.
# usage: check_examples.sh BUILD_FOLDER SOURCE_FOLDER
set -eu
build=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME="$work/cache"
things=$source/examples/data/things.jsonl
"$build/tests/make_tiny_model" "$work/tiny"

fail() {
    echo "$*" >&2
    exit 1
}

"$build/examples/quick_start" "$work/tiny" "$things" "$things" "$work/things" > "$work/out" 2> "$work/log"
grep -q '^32 numbers: ' "$work/out" || fail "quick_start: $(cat "$work/out")"
grep -q '^epoch 10 ' "$work/log" || fail "quick_start: min_epochs 10 was not kept"
[ -f "$work/things/akin.json" ] || fail "quick_start saved no model"

# A second process gives the same vector.
"$build/examples/own_encoder" train "$work/tiny" "$things" "$work/own" > "$work/first" 2> /dev/null
"$build/examples/own_encoder" encode "$work/own" '{"description": "a cup"}' > "$work/second"
cmp "$work/first" "$work/second" || fail "own_encoder: the loaded model gives another vector"
[ "$(wc -w < "$work/first")" = 33 ] || fail "own_encoder: expected 33 numbers"
"$build/akin" inspect "$work/own" 2> "$work/error" && fail "the command knows no class \"description\""
grep -q 'there is no encoder "description"' "$work/error" || fail "$(cat "$work/error")"

"$build/examples/own_loss" "$work/tiny" 2> "$work/log"
grep -q '^loss  *margin' "$work/log" || fail "own_loss: the table of parts names no margin"
"$build/examples/own_dataset" "$work/tiny" 2> /dev/null | grep -q '^best epoch' || fail own_dataset

# The plug-in, in the command.
for word in cat dog bird fish horse apple pear plum cherry house tree road; do
    echo "{\"a\": \"red $word\", \"b\": \"the $word is red\"}"
done > "$work/pairs.jsonl"
"$build/akin" train "$work/pairs.jsonl" --encoder "$work/tiny" --output "$work/margin" \
    --plugin "$build/examples/margin.so" --set loss.type=margin --set loss.margin=2 \
    --set train.epochs=2 2> "$work/log"
grep -q '"margin":2' "$work/margin/akin.json" || grep -q '"margin": 2' "$work/margin/akin.json" ||
    fail "the model's record does not name the plug-in's loss"
"$build/akin" list losses --plugin "$build/examples/margin.so" | grep -q '^margin ' ||
    fail "akin list does not show the plug-in's loss"
