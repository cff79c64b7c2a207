#!/bin/sh
# What make install lays down is enough for a C program that knows only pkg-config, and make
# uninstall leaves nothing. usage: check_install.sh BUILD_FOLDER [COMPILER]
set -eu
build=$1 cc=${2:-cc}
scratch=$(mktemp -d)
stage=$scratch/stage

# The log of a real installation is what make uninstall goes by: it is put back.
log=$build/meson-logs/install-log.txt
if [ -e "$log" ]; then cp -p "$log" "$scratch/install-log"; fi
clean_up() {
    rm -f "$log"
    if [ -e "$scratch/install-log" ]; then cp -p "$scratch/install-log" "$log"; fi
    rm -rf "$scratch"
}
trap clean_up EXIT

fail() {
    echo "$*"
    exit 1
}

meson install -C "$build" --no-rebuild --quiet --destdir "$stage" > "$scratch/log" 2>&1 ||
    fail "$(cat "$scratch/log")"
package=$(find "$stage" -name akin.pc)
library=$(find "$stage" -name libakin.so)
[ -n "$package" ] || fail "no akin.pc was installed"
[ -n "$library" ] || fail "no libakin.so was installed"
[ -x "$(find "$stage" -path '*/bin/akin')" ] || fail "no akin was installed"
[ -n "$(find "$stage" -path '*/man1/akin.1')" ] || fail "no manual akin.1 was installed"

# A program with the library's name for itself (SONAME) runs with every later library of that name.
readelf -d "$library" | grep -q 'SONAME.*libakin\.so\.[0-9]' || fail "libakin.so has no SONAME"

cat > "$scratch/program.c" <<'END'
#include <akin.h>
#include <stdio.h>

int main(void)
{
    akin_context *context;
    akin_error error;
    if (akin_context_create(&context, &error))
        return fprintf(stderr, "%s\n", error.message), 1;
    puts(akin_version());
    akin_context_free(context);
    return 0;
}
END
export PKG_CONFIG_SYSROOT_DIR="$stage" PKG_CONFIG_PATH="${package%/*}"
# shellcheck disable=SC2046 # the flags are words
"$cc" -std=c17 -Wall -Wextra -Werror "$scratch/program.c" $(pkg-config --cflags --libs akin) \
    -o "$scratch/program" || fail "a program does not compile with pkg-config --cflags --libs akin"
version=$(LD_LIBRARY_PATH="${library%/*}" "$scratch/program") || fail "the program does not run"
[ "$version" = "$(pkg-config --modversion akin)" ] ||
    fail "the library is $version, akin.pc says $(pkg-config --modversion akin)"

DESTDIR="$stage" ninja -C "$build" uninstall > "$scratch/log" 2>&1 || fail "$(cat "$scratch/log")"
[ ! -e "$stage" ] || fail "left by uninstall: $(find "$stage")"
echo "installed, compiled, ran and uninstalled akin $version"
