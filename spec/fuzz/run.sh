#!/bin/sh
# Fuzz one target: sh spec/fuzz/run.sh TARGET [SECONDS] [BUILD_DIRECTORY]
#   TARGET  prometheus, influx, metric_text, number: spec/fuzz/fuzz_TARGET.c with clang's libFuzzer, ASAN and UBSAN.
# Starts from spec/fuzz/corpus/TARGET, which it does not change; new inputs and findings go to the build directory.
set -eu
target=${1:?usage: run.sh TARGET [SECONDS] [BUILD_DIRECTORY]}
seconds=${2:-30}
build=${3:-${TMPDIR:-/tmp}/tsengine-fuzz}
cd "$(dirname "$0")/../.."
mkdir -p "$build/$target"
clang -std=c11 -D_GNU_SOURCE -DXXH_INLINE_ALL -DTSE_TESTING=1 -O1 -g -ffp-contract=off -fno-strict-aliasing \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -Icsrc -Ispec/fuzz \
	"spec/fuzz/fuzz_$target.c" csrc/ingest/*.c csrc/base/arena.c csrc/base/buf.c csrc/base/err.c csrc/base/mem.c \
	-lm -o "$build/fuzz_$target"
exec "$build/fuzz_$target" -max_total_time="$seconds" -max_len=4096 -print_final_stats=1 \
	-artifact_prefix="$build/finding-$target-" "$build/$target" "spec/fuzz/corpus/$target"
