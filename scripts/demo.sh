#!/bin/sh
# demo.sh -- the engine at work on real metrics: sets up what is missing, builds, installs into .local, runs examples/demo.lua.
# Needs Debian 12 (or what its packages give); changes nothing outside this directory but missing packages.
set -eu
cd "$(dirname "$0")/.."
. scripts/setup.sh

need_packages $build_packages
say "building (Release) in build/ ..."
build build -DCMAKE_BUILD_TYPE=Release || fail "the build failed; all of it: build/build.log"
cmake --install build --prefix "$local_tree" >build/install.log || fail "the installation failed: build/install.log"

# Nothing but the module path: the module finds its core in the same tree.
LUA_PATH="$local_tree/share/lua/5.1/?.lua;$local_tree/share/lua/5.1/?/init.lua;;"
export LUA_PATH
unset TSENGINE_LIB
exec luajit examples/demo.lua "$@"
