local support = require("spec.table.support")

local NOON, SECOND, DAY = support.NOON, support.SECOND, support.DAY

describe("rows of a partition", function()
  local t

  after_each(function()
    assert.are.equal(0, t:close())
  end)

  it("are seen at once, become a part after a second and are on disk after five", function()
    t = support.open()
    local rows = { { 1, NOON, 1 }, { 2, NOON + 5, 2.5 }, { 1, NOON - 7, -3 } }
    assert.are.equal(3, (t:add(rows)))
    assert.are.same(support.bag_of(rows), (t:rows()))
    assert.are.equal("", t:tiers())
    assert.are.equal(NOON + 1000, t:next_tick())
    t:pass(999)
    assert.are.equal(0, t:run() - 1)
    assert.are.equal("", t:tiers())
    t:pass(1)
    t:run()
    assert.are.equal("mem", t:tiers())
    assert.are.same(support.bag_of(rows), (t:rows()))
    assert.are.equal(NOON + 5000, t:next_tick())
    t:at(NOON + 5000)
    t:run()
    assert.are.equal("small", t:tiers())
    assert.are.same(support.bag_of(rows), (t:rows()))
    assert.is_true(t:next_tick() > support.FAR)
    assert.are.equal(0, t:reopen())
    assert.are.same(support.bag_of(rows), (t:rows()))
    assert.are.equal("small", t:tiers())
  end)
end)
