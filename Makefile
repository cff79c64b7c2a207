# Short names for the usual calls of Meson and Ninja, which do the work.
#
#   make            release build: build/akin and build/libakin.so
#   make check      every test; the last line is "N passed, N failed"
#   make install    to PREFIX (/usr/local), below DESTDIR; make uninstall removes it
#   make bench      the measurements of bench/README.md
#   make asan       the tests under the address and undefined-behaviour sanitizers
#   make tsan       the tests of what runs in threads, under the thread sanitizer
#   make fuzz       every fuzz target for SECONDS (30) each; needs clang
#   make parity     comparisons with packages from PyPI: tests/parity/README.md; PYTHON=venv/bin/python
#   make style      fails and tells what clang-format would change; make format changes it
#
# TESTS="nn heads" makes check, asan and tsan run only these.
PREFIX ?= /usr/local
DESTDIR ?=
TESTS ?=
SECONDS ?= 30
MESON ?= meson
PYTHON ?= python3

.PHONY: all check install uninstall bench asan tsan fuzz parity style format clean

all: build/build.ninja
	@ninja -C build product

build/build.ninja:
	$(MESON) setup build --prefix=$(PREFIX)

# Meson builds what the tests need.
check: build/build.ninja
	@python3 tests/run_tests.py build $(TESTS)

# A prefix given now replaces the one of the first build.
install: all
	@$(MESON) configure build -Dprefix=$(PREFIX)
	@ninja -C build product
	$(MESON) install -C build --no-rebuild --quiet $(if $(DESTDIR),--destdir=$(abspath $(DESTDIR)))
	$(if $(DESTDIR),,@ldconfig 2>/dev/null || true)

uninstall:
	$(if $(DESTDIR),DESTDIR=$(abspath $(DESTDIR))) ninja -C build uninstall
	$(if $(DESTDIR),,@ldconfig 2>/dev/null || true)

bench: build/build.ninja
	@ninja -C build bench/bench_encode bench/bench_finetune bench/bench_tokenizer bench/bench_losses bench/bench_search
	@bench/run.sh build

SANITIZED = -Dbuildtype=debugoptimized -Db_lundef=false -Db_ndebug=false

build-asan/build.ninja:
	$(MESON) setup build-asan $(SANITIZED) -Db_sanitize=address,undefined

asan: build-asan/build.ninja
	@UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 python3 tests/run_tests.py build-asan $(TESTS)

build-tsan/build.ninja:
	$(MESON) setup build-tsan $(SANITIZED) -Db_sanitize=thread

# GCC's OpenMP runtime is not instrumented: one OpenMP thread, and the tests of akin's own threads,
# which are the loader's and those of callers that share a model.
THREAD_TESTS = loader features file model train examples
tsan: build-tsan/build.ninja
	@OMP_NUM_THREADS=1 python3 tests/run_tests.py build-tsan $(or $(TESTS),$(THREAD_TESTS))

build-fuzz/build.ninja:
	CC=clang $(MESON) setup build-fuzz -Dbuildtype=debugoptimized -Dfuzz=true -Db_lundef=false

fuzz: build-fuzz/build.ninja
	@ninja -C build-fuzz
	@tests/fuzz/run.sh build-fuzz $(SECONDS)

PARITY = $(filter-out %/nasty.py %/folders.py,$(wildcard tests/parity/*.py))
parity: build/build.ninja
	@ninja -C build product tests/ids tests/make_tiny_model
	@failed=; for script in $(PARITY); do echo "$$script"; $(PYTHON) $$script build || failed="$$failed $$script"; \
	    done; if [ "$$failed" ]; then echo "failed:$$failed"; exit 1; fi

# Headers are set by hand: a column of comments beside the members. Tables are between
# "clang-format off" and "on".
FORMATTED = git ls-files '*.c' | xargs clang-format

style:
	@$(FORMATTED) --dry-run --Werror

format:
	@$(FORMATTED) -i

clean:
	rm -rf build build-asan build-tsan build-fuzz
