--- All threads at once: adders, searchers, background work, flushes, merges, deletes, snapshots, and a close among them.
local ffi = require("ffi")
local module = require("spec.support.module")
local native = require("spec.support.native")

native.cdef "int tt_storage_stress(const char *path, int rounds, int threads, char *report, size_t report_bytes);"

describe("four threads that add and two that search", function()
  after_each(module.cleanup)

  for _, threads in ipairs { 0, 1, 4 } do
    it(("see every acknowledged row, and all end when the database is closed, with %d background threads"):format(threads), function()
      local report = ffi.new("char[2048]")
      local rc = native.lib.tt_storage_stress(module.directory() .. "/db", 100, threads, report, 2048)
      assert(rc == 0, ffi.string(report))
    end)
  end
end)
