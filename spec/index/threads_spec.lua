local ffi = require("ffi")
local support = require("spec.index.item_support")
local native = require("spec.support.native")
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
