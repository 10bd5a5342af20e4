rockspec_format = "3.0"
package = "tsengine"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "A time-series database inside a LuaJIT process, in VictoriaMetrics' files",
  detailed = [[
Opens a directory and gives a LuaJIT process a time-series database: millions of rows per second in, well under a byte
per row on disk, queried by label matchers. The directory is a VictoriaMetrics storage directory.]],
  license = "MIT",
  labels = { "database", "metrics", "timeseries", "luajit" },
}
-- Not "luajit": luarocks would look for a rock of that name on the network. The module says itself what it needs.
dependencies = { "lua >= 5.1, < 5.2" }
external_dependencies = {
  ZSTD = { header = "zstd.h", library = "zstd" },
  XXHASH = { header = "xxhash.h" },
  RE2 = { header = "re2/re2.h", library = "re2" },
  ZLIB = { header = "zlib.h", library = "z" },
}
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    LUADIR = "$(LUADIR)",
    LIBDIR = "$(LIBDIR)",
    ZSTD_INCDIR = "$(ZSTD_INCDIR)",
    ZSTD_LIBDIR = "$(ZSTD_LIBDIR)",
    XXHASH_INCDIR = "$(XXHASH_INCDIR)",
    RE2_INCDIR = "$(RE2_INCDIR)",
    RE2_LIBDIR = "$(RE2_LIBDIR)",
  },
}
-- luarocks' wrappers start lua5.1; scripts of this rock start luajit by themselves.
deploy = { wrap_bin_scripts = false }
test = { type = "command", command = "sh scripts/test.sh" }
