#!/bin/sh
# Fuzz one target: sh spec/fuzz/run.sh TARGET [SECONDS] [BUILD_DIRECTORY]
#   TARGET  prometheus, influx, metric_text, number, item_block, item_part, int64s, decimal, part_name, part: spec/fuzz/fuzz_TARGET.c with clang's libFuzzer, ASAN and UBSAN.
# Starts from spec/fuzz/corpus/TARGET, which it does not change; new inputs and findings go to the build directory.
set -eu
target=${1:?usage: run.sh TARGET [SECONDS] [BUILD_DIRECTORY]}
seconds=${2:-30}
build=${3:-${TMPDIR:-/tmp}/tsengine-fuzz}
cd "$(dirname "$0")/../.."
mkdir -p "$build/$target"
case $target in
item_*)
	sources="csrc/index/item_*.c csrc/codec/zstd.c csrc/codec/hash.c csrc/base/cache.c csrc/base/clock.c csrc/base/crash_*.c
		csrc/base/io.c csrc/base/io_crash.c csrc/base/log.c csrc/base/machine.c csrc/base/io_posix.c csrc/base/thread.c csrc/base/txn.c"
	libraries="-lzstd -lpthread" ;;
int64s | decimal | part_name | part)
	sources="csrc/codec/*.c csrc/part/*.c csrc/base/arena.c csrc/base/clock.c csrc/base/crash_*.c csrc/base/io.c csrc/base/io_crash*.c
		csrc/base/log.c csrc/base/machine.c csrc/base/io_posix.c csrc/base/thread.c"
	libraries="-lzstd -lpthread" ;;
*)
	sources="csrc/ingest/*.c csrc/base/arena.c"
	libraries="" ;;
esac
# shellcheck disable=SC2086  # lists of words and patterns
clang -std=c11 -D_GNU_SOURCE -DXXH_INLINE_ALL -DTSE_TESTING=1 -O1 -g -ffp-contract=off -fno-strict-aliasing \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Icsrc -Ispec/fuzz \
	"spec/fuzz/fuzz_$target.c" $sources csrc/base/buf.c csrc/base/err.c csrc/base/mem.c \
	-lm $libraries -o "$build/fuzz_$target"
exec "$build/fuzz_$target" -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 \
	-artifact_prefix="$build/finding-$target-" "$build/$target" "spec/fuzz/corpus/$target"
