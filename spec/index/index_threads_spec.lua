--- Many threads on one index.
local ffi = require("ffi")
local s = require("spec.index.index_support")
local native = require("spec.support.native")

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
