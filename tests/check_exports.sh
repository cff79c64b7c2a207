#!/bin/sh
# The shared library exports what akin.h declares as AKIN_API, all of it and nothing else.
# usage: check_exports.sh libakin.so akin.h
set -eu
library=$1 header=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

nm --dynamic --defined-only "$library" | awk '{ print $NF }' | sort -u > "$scratch/exported"

# A declaration may run over several lines; the name is what stands before its first parenthesis.
awk '/^#/ { next }
     /^AKIN_API/ { text = ""; open = 1 }
     open { text = text " " $0 }
     open && /;/ { sub(/\(.*/, "", text); n = split(text, word, /[ *]+/); print word[n]; open = 0 }' \
    "$header" | sort -u > "$scratch/declared"

test -s "$scratch/declared" || { echo "no AKIN_API was found in $header"; exit 1; }
comm -13 "$scratch/declared" "$scratch/exported" > "$scratch/extra"
comm -23 "$scratch/declared" "$scratch/exported" > "$scratch/missing"
status=0
if [ -s "$scratch/extra" ]; then
    echo "exported, but not declared AKIN_API in akin.h:"
    sed 's/^/  /' "$scratch/extra"
    status=1
fi
if [ -s "$scratch/missing" ]; then
    echo "declared AKIN_API in akin.h, but not exported:"
    sed 's/^/  /' "$scratch/missing"
    status=1
fi
[ $status -ne 0 ] || echo "$(wc -l < "$scratch/exported") functions, all of akin.h"
exit $status
