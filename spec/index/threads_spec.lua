--- Many threads on one item table, and on one index.
local ffi = require("ffi")
local support = require("spec.index.item_support")
local native = require("spec.support.native")
local s = require("spec.index.index_support")
local base, lib = support.base, support.lib

describe("an item table used by several threads", function()
  it("finds what was added while others add, flush, merge and search", function()
    local ROUNDS = os.getenv("TSE_SANITIZED") and 100 or 200
    local disk = base.crash()
    disk:mkdir_all("/indexdb")
    local path = "/indexdb/18E9B81D4F3D67BF"
    local t = assert(support.open(disk, path, { durable_ms = 0, mem_bytes_max = 100000 }))
    local looked_up = ffi.new("uint64_t[1]")
    native.check(lib.tt_item_storm(t.table, t.mem, ROUNDS, looked_up))
    assert.is_true(tonumber(looked_up[0]) > 0)
    assert.equal(0, (t:flush()))
    assert.equal(ROUNDS, t:durable())
    assert.equal(ROUNDS * 200, #t:items())
    t:close()
    t = assert(support.open(disk, path))
    assert.equal(ROUNDS * 200, #t:items())
    t:close()
    local mem = disk.mem
    assert.equal(0, tonumber(disk.counters.open_files))
    disk:destroy()
    assert.equal(0, tonumber(mem.live_blocks))
  end)
end)

native.cdef [[
int tt_index_stress(const char *root, int layout, uint32_t rounds, bool changing, double *violations, double *searches, double *live);
]]

describe("threads on one index", function()
  teardown(s.cleanup)

  local function run(changing)
    local violations, searches, live = ffi.new("double[1]"), ffi.new("double[1]"), ffi.new("double[1]")
    s.check(s.lib.tt_index_stress(s.scratch() .. "/indexdb", 0, 100, changing, violations, searches, live))
    assert.equal(0, violations[0])
    assert.equal(0, live[0])
    assert.is_true(searches[0] > 0)
  end

  it("give every name one id, over seals and merges", function() run(false) end)
  it("never bring an old id back after deletions and rotations", function() run(true) end)
end)
