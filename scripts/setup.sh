# setup.sh -- what demo.sh and test.sh share; to be sourced, with the project's root as the current directory.
# Installs only packages that are missing (Debian 12; sudo when not root), builds only what has changed.

say() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }

cores=$(nproc 2>/dev/null || echo 1)
local_tree=$PWD/.local

# as_root COMMAND...
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

package_lists_fresh=
refresh_package_lists() {
	[ -n "$package_lists_fresh" ] && return
	as_root apt-get update -qq || fail "apt-get update failed"
	package_lists_fresh=yes
}

# need_packages PACKAGE...: installs those that are missing.
need_packages() {
	missing=
	for package in "$@"; do
		dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $package"
	done
	[ -z "$missing" ] && return
	command -v apt-get >/dev/null || fail "missing packages, and no apt-get to install them:$missing"
	say "installing:$missing"
	refresh_package_lists
	# shellcheck disable=SC2086
	output=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing 2>&1) || {
		printf '%s\n' "$output" | tail -n 20
		fail "apt-get install failed:$missing"
	}
}

build_packages="gcc g++ make cmake libzstd-dev libxxhash-dev libre2-dev zlib1g-dev luajit"

# The real victoria-metrics, for the specs that compare with it. The package would start a service; only its program is wanted.
need_peer() {
	PATH=$local_tree/peer/usr/bin:$PATH
	export PATH
	command -v victoria-metrics >/dev/null && return
	say "unpacking victoria-metrics into .local/peer"
	refresh_package_lists
	mkdir -p "$local_tree/peer"
	(cd "$local_tree/peer" && apt-get download -qq -o APT::Sandbox::User=root victoria-metrics && dpkg -x victoria-metrics_*.deb . && rm -f ./*.deb) ||
		fail "victoria-metrics could not be downloaded"
}

# build DIRECTORY CMAKE-OPTION...: configures once, then builds what changed; output only when it fails.
build() {
	directory=$1
	shift
	mkdir -p "$directory"
	{ cmake -S . -B "$directory" "$@" && cmake --build "$directory" -j "$cores"; } >"$directory/build.log" 2>&1 || {
		grep -nE -A 6 'error|undefined reference' "$directory/build.log" | head -n 60
		say "all of it: $directory/build.log"
		return 1
	}
}
