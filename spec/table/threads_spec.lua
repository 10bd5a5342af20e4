local ffi = require("ffi")
local native = require("spec.support.native")
local support = require("spec.table.support")
local lib = native.lib

native.cdef [[
int tt_table_threads(struct tt_table_env *env, uint64_t rows_each, uint64_t *views, char *why, size_t why_bytes);
]]

local ROWS_EACH = 40000

describe("four adding, two looking and two stepping threads", function()
  it("agree on every row", function()
    local t = support.open { shard_rows = 2000, shards = 2, workers = 2, visible = 20, durable = 100, fan = 5, now = os.time() * 1000 }
    local views, why = ffi.new("uint64_t[1]"), ffi.new("char[256]")
    local rc = lib.tt_table_threads(t.env, ROWS_EACH, views, why, 256)
    assert.are.equal("", ffi.string(why))
    assert.are.equal(0, rc)
    assert.is_true(views[0] > 0)
    assert.are.equal(4 * ROWS_EACH, (select(2, t:rows())))
    assert.are.equal(0, t:reopen())
    assert.are.equal(4 * ROWS_EACH, (select(2, t:rows())))
    assert.are.equal(0, t:close())
  end)
end)
