local native = require("spec.support.native")
local base = require("spec.base.support")
local lib = base.lib

native.cdef [[
int tt_u64set_random(struct mem *mem, uint64_t seed);
int tt_u64set_no_memory(struct mem *mem, uint64_t seed);
double tt_u64set_dense_bytes_per_id(struct mem *mem, uint32_t n);
]]

describe("a set of ids", function()
  local mem
  before_each(function() mem = base.mem() end)
  after_each(function()
    assert.equal(0, tonumber(mem.live_blocks))
    assert.equal(0, tonumber(mem.used_bytes))
  end)

  it("agrees with a plain bitmap through random lives", function()
    local seed = native.seed("u64set")
    for i = 1, 25 do native.check(lib.tt_u64set_random(mem, seed + i)) end
  end)

  it("stays valid when any allocation of a union fails", function()
    local seed = native.seed("u64set without memory")
    for i = 1, 5 do native.check(lib.tt_u64set_no_memory(mem, seed + i)) end
  end)

  it("keeps ids made one after the other in a bit each", function()
    assert.is_true(lib.tt_u64set_dense_bytes_per_id(mem, 1000000) < 0.14)
  end)
end)
