#!/bin/sh
# test.sh -- every test of the project; the last line is "N passed, N failed".
#
#   sh scripts/test.sh                 all of it
#   sh scripts/test.sh spec/part ...   only these parts (a part is a name of the table that is printed)
#
# Sets up what is missing (Debian 12), builds five libraries (Release, test, clang, ASAN+UBSAN, TSAN), then runs the
# parts, two at a time. A part of specs counts its specs, any other part counts one. A part whose summary line is
# missing has failed, and a pending spec counts as failed: nothing is skipped in silence. Logs: build-test/logs/.
set -u
cd "$(dirname "$0")/.." || exit 1
. scripts/setup.sh

logs=$PWD/build-test/logs
LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;;"
export LUA_PATH
# One seed for all property tests: a run that failed fails again. Others: TSE_SEED=$(date +%s) sh scripts/test.sh
TSE_SEED=${TSE_SEED:-20261120}
export TSE_SEED

# -- One part, run by itself: test.sh --part NAME -----------------------------------------------------------------------

# count_specs NAME COMMAND...: runs busted and counts by its summary line.
count_specs() {
	name=$1
	shift
	timeout 1500 "$@" >"$log" 2>&1
	code=$?
	summary=$(grep -aE '^[0-9]+ success(es)? / [0-9]+ failures? / [0-9]+ errors? / [0-9]+ pending : ' "$log" | tail -n 1)
	if [ -z "$summary" ]; then
		echo "no summary line, exit code $code" >>"$log"
		passed=0 failed=1
		return
	fi
	# shellcheck disable=SC2046
	set -- $(printf '%s\n' "$summary" | tr -cd '0-9 ')
	passed=$1 failed=$(($2 + $3 + $4))
	[ "$4" -gt 0 ] && echo "$4 pending count as failed" >>"$log"
	# Failing without a failed spec: a crash or a sanitizer's report after the summary.
	if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then
		echo "exit code $code after a summary without failures" >>"$log"
		failed=1
	fi
}

# check NAME COMMAND...: counts one by the exit code.
check() {
	name=$1
	shift
	if timeout 1500 "$@" >"$log" 2>&1; then passed=1 failed=0; else passed=0 failed=1; fi
}

# sanitized RUNTIME LUA-CODE FOLDER: specs in a sanitized library. The interpreter is not, so the runtime is loaded before it.
sanitized() {
	runtime=$(gcc -print-file-name="$1")
	count_specs "$part" env LD_PRELOAD="$runtime" luajit -e "$2" /usr/bin/busted --ignore-lua "$3"
}

# The shell crashes under the thread sanitizer: children of the interpreter do without it.
alone='local ffi = require("ffi") ffi.cdef("int unsetenv(const char *name);") ffi.C.unsetenv("LD_PRELOAD")'

if [ "${1:-}" = --part ]; then
	part=$2
	log=$logs/$(printf '%s' "$part" | tr / -).log
	started=$(date +%s)
	TSENGINE_LIB=$PWD/build-test/tsengine/core.so
	export TSENGINE_LIB
	case $part in
	floors) check "$part" luajit scripts/check_floors.lua csrc ;;
	clang-format) check "$part" sh -c 'find csrc spec/native -name "*.[ch]" -o -name "*.cc" | xargs clang-format-14 --dry-run -Werror' ;;
	luacheck) check "$part" luacheck --no-color -q lua spec scripts bench examples rockspec ;;
	# Replays the corpus and goes on from it for a while; any finding ends it with an error.
	fuzz/*) check "$part" sh spec/fuzz/run.sh "${part#fuzz/}" 10 "$PWD/build-test/fuzz" ;;
	ctest) check "$part" sh -c 'ctest --test-dir build --output-on-failure' ;;
	asan/*)
		TSENGINE_LIB=$PWD/build-asan/tsengine/core.so
		# Leaks are counted by the specs themselves: what only Lua points to looks leaked to the sanitizer.
		ASAN_OPTIONS=detect_leaks=0
		TSE_SANITIZED=address
		export ASAN_OPTIONS TSE_SANITIZED
		sanitized libasan.so "" "spec/${part#asan/}"
		;;
	tsan/*)
		TSENGINE_LIB=$PWD/build-tsan/tsengine/core.so
		TSE_SANITIZED=thread
		export TSE_SANITIZED
		sanitized libtsan.so "$alone" "spec/${part#tsan/}"
		;;
	spec/*) count_specs "$part" busted --lua=luajit "$part" ;;
	*)
		echo "there is no part '$part'" >"$log"
		passed=0 failed=1
		;;
	esac
	echo "$passed $failed" >"$log.result"
	word=ok
	[ "$failed" -eq 0 ] || word=FAILED
	printf '  %-6s %-28s %5d passed %4d failed %5d s\n' "$word" "$part" "$passed" "$failed" $(($(date +%s) - started))
	if [ "$failed" -ne 0 ]; then
		grep -aE '^(Failure|Error|Pending) (→|->)|SUMMARY|==ERROR' "$log" | head -n 20
		tail -n 40 "$log" | sed 's/^/      | /'
	fi
	exit 0
fi

# -- All parts ----------------------------------------------------------------------------------------------------------

# shellcheck disable=SC2086
need_packages $build_packages clang clang-format-14 libclang-rt-14-dev lua-busted lua-check luarocks lua5.1 zstd curl procps
need_peer

rm -rf "$logs"
mkdir -p "$logs"
passed_total=0
failed_total=0

# build_part NAME DIRECTORY CMAKE-OPTION...: warnings are errors, so a build is a test.
build_part() {
	name=$1
	shift
	started=$(date +%s)
	if build "$@"; then
		passed_total=$((passed_total + 1))
		word=ok passed=1 failed=0
	else
		failed_total=$((failed_total + 1))
		word=FAILED passed=0 failed=1
	fi
	printf '  %-6s %-28s %5d passed %4d failed %5d s\n' "$word" "$name" "$passed" "$failed" $(($(date +%s) - started))
}

folders=$(for file in spec/*/*_spec.lua; do dirname "$file"; done | sort -u)
if [ $# -gt 0 ]; then
	parts=$(printf '%s\n' "$@")
else
	# The longest first, so that no core is idle at the end.
	parts=$(
		for folder in spec/crash spec/compat spec/fault; do
			case "$folders" in *"$folder"*) printf '%s\n' "$folder" ;; esac
		done
		for folder in $folders; do
			# These run no code of the core.
			case "$folder" in spec/checks | spec/bench) ;; *) printf 'asan/%s\n' "${folder#spec/}" ;; esac
		done
		for file in spec/*/threads_spec.lua; do [ -e "$file" ] && printf 'tsan/%s\n' "${file#spec/}"; done
		for folder in $folders; do
			case "$folder" in spec/crash | spec/compat | spec/fault) ;; *) printf '%s\n' "$folder" ;; esac
		done
		for file in spec/fuzz/fuzz_*.c; do
			target=${file##*/fuzz_}
			printf 'fuzz/%s\n' "${target%.c}"
		done
		printf '%s\n' ctest floors clang-format luacheck
	)
fi

say "builds (warnings are errors)"
wants() { printf '%s\n' "$parts" | grep -q "$1"; }
build_part build/release-gcc build -DCMAKE_BUILD_TYPE=Release
build_part build/test-gcc build-test -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTSE_TESTING=ON
[ $# -eq 0 ] && build_part build/test-clang build-clang -DCMAKE_BUILD_TYPE=Release -DTSE_TESTING=ON \
	-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++
wants '^asan/' && build_part build/asan-ubsan build-asan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTSE_TESTING=ON \
	-DTSE_SANITIZE=address,undefined
wants '^tsan/' && build_part build/tsan build-tsan -DCMAKE_BUILD_TYPE=RelWithDebInfo -DTSE_TESTING=ON -DTSE_SANITIZE=thread

say "parts (logs in build-test/logs)"
printf '%s\n' "$parts" | xargs -P 2 -I '{}' sh scripts/test.sh --part '{}'

for part in $parts; do
	result=$logs/$(printf '%s' "$part" | tr / -).log.result
	if [ -r "$result" ] && read -r passed failed <"$result"; then
		passed_total=$((passed_total + passed))
		failed_total=$((failed_total + failed))
	else
		say "  FAILED $part left no result"
		failed_total=$((failed_total + 1))
	fi
done

printf '%d passed, %d failed\n' "$passed_total" "$failed_total"
[ "$failed_total" -eq 0 ]
