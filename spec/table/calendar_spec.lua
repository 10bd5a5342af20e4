--- Retention on a disk that is full: what frees space must not need space for good.
local support = require("spec.table.support")
local native = require("spec.support.native")
local parts = require("spec.support.parts")
local lib = native.lib

local NOON, SECOND, DAY, JANUARY = support.NOON, support.SECOND, support.DAY, support.JANUARY
local ENOSPC = 28
local RENAME = 2 ^ 7

local function rows_of(n, from)
  local rows = {}
  for i = 1, n do rows[i] = { i % 7, (from or NOON) - n + i, i } end
  return rows
end

describe("the calendar on a full disk", function()
  local t
  after_each(function() assert.are.equal(0, t:close()) end)

  it("a part out of retention goes when a rename works again, and nothing becomes read-only", function()
    t = support.open { retention = 5 * DAY }
    t:add(rows_of(10, NOON - 5 * DAY + 1000))
    t:flush()
    t:add(rows_of(10))
    t:flush()
    lib.tt_table_fault(t.env, 1, ENOSPC, true, RENAME, nil)
    t:pass(7 * 60 * SECOND)
    assert.is_true(t:run() < 20)
    lib.tt_table_fault(t.env, 0, 0, false, 0, nil)
    assert.are.equal(0, tonumber(t:stats().partitions_read_only))
    assert.are.equal("small small", t:tiers())
    t:pass(7 * 60 * SECOND)
    t:run()
    assert.are.equal("small", t:tiers())
    assert.are.equal(10, (select(2, t:rows())))
  end)

  it("a month out of retention goes when a rename works again, without reopening", function()
    t = support.open { retention = 31 * DAY }
    t:add(rows_of(10, NOON - 25 * DAY))
    t:add(rows_of(10))
    t:flush()
    lib.tt_table_fault(t.env, 1, ENOSPC, true, RENAME, nil)
    t:at(JANUARY + 8 * DAY)
    assert.is_true(t:run() < 20)
    assert.are.same({ "2020_11", "2020_12" }, parts.list(t.root .. "/data/small"))
    lib.tt_table_fault(t.env, 0, 0, false, 0, nil)
    t:pass(SECOND)
    t:run()
    assert.are.same({ "2020_12" }, parts.list(t.root .. "/data/small"))
    assert.are.same({ "2020_12" }, parts.list(t.root .. "/data/big"))
    assert.are.same({}, parts.list(t.root .. "/tsengine/trash"))
    assert.are.equal(1, tonumber(t:stats().partitions_dropped))
    assert.are.equal(10, (select(2, t:rows())))
  end)
end)
