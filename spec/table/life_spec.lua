local ffi = require("ffi")
local native = require("spec.support.native")
local parts = require("spec.support.parts")
local support = require("spec.table.support")
local lib = native.lib

local NOON, SECOND, DAY, JANUARY = support.NOON, support.SECOND, support.DAY, support.JANUARY

--- n rows of the hour before NOON, all different.
local function rows_of(n, series, from)
  local rows = {}
  for i = 1, n do rows[i] = { i % (series or 7), (from or NOON) - n + i, i } end
  return rows
end

describe("rows of a partition", function()
  local t

  setup(function() math.randomseed(native.seed("tables")) end)
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
    assert.is_false(t:step())
    assert.are.equal("", t:tiers())
    t:pass(1)
    t:run()
    assert.are.equal("mem", t:tiers())
    assert.are.same(support.bag_of(rows), (t:rows()))
    assert.are.equal(NOON + 5000, t:next_tick())
    t:at(NOON + 4999)
    assert.is_false(t:step())
    t:at(NOON + 5000)
    t:run()
    assert.are.equal("small", t:tiers())
    assert.are.same(support.bag_of(rows), (t:rows()))
    assert.is_true(t:next_tick() > support.FAR)
    assert.are.equal(0, t:reopen())
    assert.are.same(support.bag_of(rows), (t:rows()))
    assert.are.equal("small", t:tiers())
  end)

  it("are flushed together: one file part for all that is in memory", function()
    t = support.open()
    for _ = 1, 5 do
      t:add(rows_of(10))
      t:pass(SECOND)
      t:run()
    end
    assert.are.equal("small", t:tiers())
    assert.are.equal(50, (select(2, t:rows())))
  end)

  it("go to the month of their millisecond", function()
    t = support.open { now = JANUARY }
    local rows = { { 1, JANUARY - 1, 1 }, { 1, JANUARY, 2 }, { 2, JANUARY + 31 * DAY - 1 - 30 * DAY, 3 } }
    assert.are.equal(3, (t:add(rows)))
    assert.are.equal(0, t:flush())
    local list = t:parts()
    assert.are.equal(2, #list)
    assert.are.equal("2020_12", list[1].partition)
    assert.are.equal(JANUARY - 1, list[1].max)
    assert.are.equal("2021_01", list[2].partition)
    assert.are.equal(JANUARY, list[2].min)
    assert.are.same(support.bag_of { rows[1] }, (t:rows(0, JANUARY - 1)))
    assert.are.same(support.bag_of { rows[2] }, (t:rows(JANUARY, JANUARY)))
    assert.are.same({ "big", "small" }, parts.list(t.root .. "/data"))
    assert.are.same({ "2020_12", "2021_01" }, parts.list(t.root .. "/data/big"))
  end)

  it("outside the window are counted, the others kept", function()
    t = support.open { retention = 10 * DAY, future_limit = 2 * DAY }
    local accepted, past, future = t:add { { 1, NOON - 10 * DAY, 1 }, { 1, NOON - 10 * DAY - 1, 2 }, { 1, NOON + 2 * DAY, 3 },
      { 1, NOON + 2 * DAY + 1, 4 }, { 1, -5, 5 }, { 1, NOON, 6 } }
    assert.are.same({ 3, 2, 1 }, { accepted, past, future })
    assert.are.equal(3, (select(2, t:rows())))
    local one, inside = ffi.new("struct row[1]"), ffi.new("bool[1]")
    one[0].series, one[0].timestamp_ms, one[0].value = 1, NOON + 3 * DAY, 1
    native.check(lib.table_add_one(t.table, one, inside))
    assert.is_false(inside[0])
    one[0].timestamp_ms = NOON + 7
    native.check(lib.table_add_one(t.table, one, inside))
    assert.is_true(inside[0])
    assert.are.equal(4, (select(2, t:rows())))
    local stats = t:stats()
    assert.are.same({ 4, 2, 2 }, { tonumber(stats.rows_added), tonumber(stats.rows_past), tonumber(stats.rows_future) })
  end)

  it("overflow a shard into parts made by the adding thread", function()
    t = support.open { shard_rows = 1000, shards = 2 }
    local rows = rows_of(5500)
    for from = 1, #rows, 300 do
      local batch = {}
      for i = from, math.min(from + 299, #rows) do batch[#batch + 1] = rows[i] end
      assert.are.equal(#batch, (t:add(batch)))
    end
    assert.is_true(#t:parts() >= 4)
    assert.are.same(support.bag_of(rows), (t:rows()))
    assert.are.equal(0, t:flush())
    assert.are.same(support.bag_of(rows), (t:rows()))
  end)

  it("are seen exactly once after every single step", function()
    t = support.open { shard_rows = 500, series = 20, fan = 4 }
    local all = {}
    for round = 1, 12 do
      local rows = support.random_rows(math.random(1, 900), 20, NOON - 40 * DAY, NOON)
      assert.are.equal(#rows, (t:add(rows)))
      support.append(all, rows)
      local want = support.bag_of(all)
      assert.are.same(want, (t:rows()))
      t:pass(700)
      local steps = 0
      while t:step(1) do
        steps = steps + 1
        if steps % 3 == round % 3 then assert.are.same(want, (t:rows())) end
      end
    end
    assert.are.equal(0, t:flush())
    assert.are.same(support.bag_of(all), (t:rows()))
    assert.are.equal(0, t:reopen())
    assert.are.same(support.bag_of(all), (t:rows()))
  end)

  it("of a large batch become parts by several steps", function()
    t = support.open { shard_rows = 65536, series = 1000 }
    local n = 65000
    local rows = ffi.new("struct row[?]", n)
    for i = 0, n - 1 do rows[i].series, rows[i].timestamp_ms, rows[i].value = i % 1000, NOON - n + i, i end
    assert.are.equal(n, (t:add_rows(rows, n)))
    t:pass(SECOND)
    assert.is_true(t:step())
    assert.are.equal(n, (select(2, t:rows())))
    assert.are.equal("mem", t:tiers())
    assert.is_true(t:step())
    assert.are.equal("mem mem", t:tiers())
    assert.are.equal(n, (select(2, t:rows())))
    assert.is_false(t:step())
  end)

  it("of wanted series only are shown to a view that names them", function()
    t = support.open { shard_rows = 300 }
    local all = support.random_rows(1000, 50, NOON - DAY, NOON)
    t:add(all)
    local want = {}
    for _, r in ipairs(all) do
      if (r[1] == 3 or r[1] == 44) and r[2] >= NOON - DAY / 2 then want[#want + 1] = r end
    end
    assert.are.same(support.bag_of(want), (t:rows(NOON - DAY / 2, NOON, { 1003, 1044 })))
    t:flush()
    assert.are.same(support.bag_of(want), (t:rows(NOON - DAY / 2, NOON, { 1003, 1044 })))
  end)

  it("stay in a view whatever happens after it was opened", function()
    t = support.open { fan = 4 }
    local rows = rows_of(100)
    t:add(rows)
    t:flush()
    t:add(rows)
    local view, place = ffi.new("struct table_view"), parts.place(10000)
    native.check(lib.tt_table_view_open(t.env, view))
    t:add(rows)
    for _ = 1, 8 do
      t:add(rows)
      t:flush()
    end
    assert.are.equal(0, t:force_merge())
    t:run()
    native.check(lib.tt_table_view_rows(t.env, view, place.struct))
    assert.are.equal(200, tonumber(place.struct.count))
    lib.table_view_close(view)
  end)

  it("are flushed early when memory parts take too much", function()
    t = support.open { shard_rows = 1000, mem_max = 40000 }
    t:add(rows_of(1000))
    t:add(rows_of(1000))
    t:run()
    assert.is_nil(t:tiers():find("small"))
    for _ = 1, 3 do t:add(rows_of(1000)) end
    t:run()
    assert.is_not_nil(t:tiers():find("small"))
  end)

  it("get help from the adding thread when parts pile up", function()
    t = support.open { shard_rows = 10, series = 5 }
    local rows = {}
    for i = 1, 3000 do rows[i] = { i % 5, NOON - 3000 + i, i } end
    for from = 1, 3000, 10 do
      local batch = {}
      for i = from, from + 9 do batch[#batch + 1] = rows[i] end
      t:add(batch)
    end
    assert.is_true(#t:parts() <= 258)
    assert.is_true(t:stats().assisted_merges > 0)
    assert.are.same(support.bag_of(rows), (t:rows()))
  end)
end)

describe("background merges", function()
  local t

  after_each(function()
    assert.are.equal(0, t:close())
  end)

  it("keep the number of parts small", function()
    t = support.open()
    local all = {}
    for round = 1, 60 do
      local rows = rows_of(200, 5, NOON + round * 300)
      t:add(rows)
      support.append(all, rows)
      assert.are.equal(0, t:flush())
    end
    t:run()
    assert.is_true(#t:parts() < 20)
    assert.is_true(t:stats().merges_small > 0)
    assert.are.same(support.bag_of(all), (t:rows()))
    assert.are.equal(0, t:reopen())
    assert.are.same(support.bag_of(all), (t:rows()))
  end)

  it("put into the big tree what is larger than a small part may be", function()
    t = support.open { max_small = 3000, fan = 4 }
    local all = {}
    for round = 1, 12 do
      local rows = {}
      for i = 1, 400 do rows[i] = { i % 5, NOON + round * 1000 + i, math.random(1, 1000000) } end
      t:add(rows)
      support.append(all, rows)
      assert.are.equal(0, t:flush())
      t:run()
    end
    assert.is_not_nil(t:tiers():find("big"))
    assert.are.same(support.bag_of(all), (t:rows()))
    assert.are.equal(0, t:reopen())
    assert.are.same(support.bag_of(all), (t:rows()))
    assert.is_not_nil(t:tiers():find("big"))
  end)

  it("leave an idle table without anything due", function()
    t = support.open()
    for _ = 1, 20 do
      t:add(rows_of(50))
      t:flush()
    end
    t:run()
    assert.is_true(t:next_tick() > support.FAR)
    t:pass(DAY)
    assert.is_false(t:step())
  end)

  it("leave nothing in tmp and txn when they are over", function()
    t = support.open { fan = 4, max_small = 2000 }
    for _ = 1, 20 do
      t:add(rows_of(200))
      t:flush()
    end
    t:run()
    for _, tree in ipairs { "small", "big" } do
      for _, name in ipairs { "tmp", "txn" } do
        assert.are.same({}, parts.list(t.root .. "/data/" .. tree .. "/2020_12/" .. name))
      end
    end
  end)

  it("drop deleted series", function()
    t = support.open()
    local rows = rows_of(700)
    t:add(rows)
    t:flush()
    native.check(lib.tt_table_delete_series(t.env, 1003))
    assert.are.equal(0, t:force_merge())
    local left = {}
    for _, r in ipairs(rows) do if r[1] ~= 3 then left[#left + 1] = r end end
    assert.are.same(support.bag_of(left), (t:rows()))
    for i = 0, 6 do native.check(lib.tt_table_delete_series(t.env, 1000 + i)) end
    assert.are.equal(0, t:force_merge())
    assert.are.equal("", t:tiers())
    t:run()
    assert.are.equal(0, t:reopen())
    assert.are.equal("", t:tiers())
  end)
end)

describe("the index barrier", function()
  it("keeps a part of new rows back until their series are durable", function()
    local t = support.open()
    lib.tt_table_index_set(t.env, 7, 3)
    t:add(rows_of(10))
    t:pass(5 * SECOND)
    t:run()
    assert.are.equal("mem", t:tiers())
    local index = ffi.new("struct tt_table_index")
    lib.tt_table_index(t.env, index)
    assert.is_true(index.requests > 0)
    assert.are.equal(t.now + 10, t:next_tick())
    t:pass(10)
    t:run()
    assert.are.equal("mem", t:tiers())
    lib.tt_table_index_set(t.env, 9, 7)
    assert.are.equal(t.now, t:next_tick())
    t:run()
    assert.are.equal("small", t:tiers())
    assert.are.equal(0, t:close())
  end)
end)
