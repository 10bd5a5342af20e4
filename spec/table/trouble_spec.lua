local ffi = require("ffi")
local native = require("spec.support.native")
local parts = require("spec.support.parts")
local support = require("spec.table.support")
local lib = native.lib

local NOON, SECOND, DAY, JANUARY, CODE = support.NOON, support.SECOND, support.DAY, support.JANUARY, support.CODE
local EIO, ENOSPC = 5, 28
local CALL = { fsync = 2 ^ 4, rename = 2 ^ 7, fsync_dir = 2 ^ 16 }

local function rows_of(n, from)
  local rows = {}
  for i = 1, n do rows[i] = { i % 7, (from or NOON) - n + i, i } end
  return rows
end

local function sh(command, ...)
  assert.are.equal(0, os.execute(command:format(...)))
end

describe("force merge", function()
  local t
  after_each(function() assert.are.equal(0, t:close()) end)

  it("makes one part of everything, raw rows included", function()
    t = support.open { fan = 4 }
    local all = {}
    for round = 1, 11 do
      local rows = rows_of(100, NOON + round * 1000)
      t:add(rows)
      support.append(all, rows)
      if round < 11 then t:flush() end
    end
    local rc, merges = t:force_merge("2020_12")
    assert.are.equal(0, rc)
    assert.is_true(merges >= 1)
    assert.are.equal("small", t:tiers())
    assert.are.same(support.bag_of(all), (t:rows()))
    assert.are.equal(0, t:reopen())
    assert.are.same(support.bag_of(all), (t:rows()))
  end)

  it("works in stages when there are more parts than the fan", function()
    t = support.open { fan = 3, max_small = 1 } -- everything merged goes to the big tree
    local all = {}
    for round = 1, 9 do
      local rows = rows_of(50, NOON + round * 1000)
      t:add(rows)
      support.append(all, rows)
      t:flush()
    end
    assert.is_true(#t:parts() >= 1)
    assert.are.equal(0, (t:force_merge()))
    assert.are.equal("big", t:tiers())
    assert.are.same(support.bag_of(all), (t:rows()))
  end)

  it("rewrites a single part, and takes all partitions without a name", function()
    t = support.open()
    t:add { { 1, NOON, 1 }, { 1, NOON - 40 * DAY, 1 } }
    t:flush()
    local before = t:parts()
    local rc, merges = t:force_merge()
    assert.are.same({ 0, 2 }, { rc, merges })
    local after = t:parts()
    assert.are.equal(2, #after)
    assert.are_not.equal(before[1].name, after[1].name)
    assert.are.equal(before[1].generation + 1, after[1].generation)
  end)

  it("refuses what it does not know, and what does not fit the disk", function()
    t = support.open()
    assert.are.equal(CODE.NOTFOUND, (t:force_merge("2019_01")))
    assert.are.equal(CODE.NOTFOUND, (t:force_merge("x")))
    t:add(rows_of(100))
    t:flush()
    lib.tt_table_full(t.env, true)
    t:pass(3 * SECOND)
    assert.are.equal(CODE.NOSPACE, (t:force_merge()))
    lib.tt_table_full(t.env, false)
    t:pass(3 * SECOND)
    assert.are.equal(0, (t:force_merge()))
    assert.are.equal(100, (select(2, t:rows())))
  end)
end)

describe("the calendar", function()
  local t
  after_each(function() assert.are.equal(0, t:close()) end)

  it("removes parts that are out of retention every seven minutes", function()
    t = support.open { retention = 5 * DAY }
    t:add(rows_of(10, NOON - 5 * DAY + 1000))
    t:flush()
    t:add(rows_of(10))
    t:flush()
    assert.are.equal("small small", t:tiers())
    t:pass(6 * 60 * SECOND)
    t:run()
    assert.are.equal("small small", t:tiers())
    t:pass(60 * SECOND)
    t:run()
    assert.are.equal("small", t:tiers())
    assert.are.equal(10, (select(2, t:rows())))
    assert.are.equal(1, tonumber(t:stats().parts_dropped))
    assert.are.equal(0, t:reopen())
    assert.are.equal(10, (select(2, t:rows())))
  end)

  it("drops a month that is out of retention, whole and in both trees", function()
    t = support.open { retention = 31 * DAY }
    t:add(rows_of(10, NOON - 25 * DAY)) -- November
    t:add(rows_of(10))
    t:flush()
    t:add(rows_of(5, NOON - 25 * DAY))
    assert.are.same({ "2020_11", "2020_12" }, parts.list(t.root .. "/data/small"))
    t:at(JANUARY + 8 * DAY)
    t:run()
    t:pass(60 * SECOND)
    t:run()
    assert.are.same({ "2020_12" }, parts.list(t.root .. "/data/small"))
    assert.are.same({ "2020_12" }, parts.list(t.root .. "/data/big"))
    assert.are.same({}, parts.list(t.root .. "/tsengine/trash"))
    assert.are.equal(1, tonumber(t:stats().partitions_dropped))
    assert.are.equal(10, (select(2, t:rows())))
    local accepted, past = t:add { { 1, NOON - 25 * DAY, 1 } }
    assert.are.same({ 0, 1 }, { accepted, past })
  end)

  it("applies a larger dedup interval to months that are over", function()
    t = support.open()
    local rows = {}
    for i = 1, 100 do rows[i] = { 1, NOON + i * 1000, i } end
    t:add(rows)
    t:flush()
    t:at(JANUARY + DAY)
    assert.are.equal(0, t:reopen { dedup = 10000 })
    t:pass(59 * 60 * SECOND)
    t:run()
    assert.are.equal(100, (select(2, t:rows())))
    t:pass(60 * SECOND)
    t:run()
    assert.are.equal(10, (select(2, t:rows())))
    t:pass(60 * 60 * SECOND)
    local merges = tonumber(t:stats().merges_small)
    t:run()
    assert.are.equal(merges, tonumber(t:stats().merges_small))
  end)
end)

describe("trouble with the disk", function()
  local t
  after_each(function() assert.are.equal(0, t:close()) end)

  it("a full disk refuses rows, loses none, and ends by itself", function()
    t = support.open()
    local rows = rows_of(100)
    t:add(rows)
    lib.tt_table_full(t.env, true)
    t:pass(5 * SECOND)
    t:run()
    assert.are.same(support.bag_of(rows), (t:rows()))
    local accepted, code, message = t:add { { 1, NOON, 1 } }
    assert.is_nil(accepted)
    assert.are.equal(CODE.NOSPACE, code)
    assert.is_not_nil(message:find("full"))
    assert.are.equal(CODE.NOSPACE, (t:flush()))
    assert.is_true(t:stats().no_space)
    lib.tt_table_full(t.env, false)
    t:pass(2 * SECOND)
    t:run()
    assert.are.equal("small", t:tiers())
    assert.are.equal(1, (t:add { { 1, NOON, 1 } }))
    assert.are.equal(0, (t:flush()))
    assert.are.equal(101, (select(2, t:rows())))
    assert.are.equal(0, t:reopen())
    assert.are.equal(101, (select(2, t:rows())))
  end)

  it("a merge that met a full disk is done later, without anybody adding rows", function()
    t = support.open { fan = 2 }
    t:add(rows_of(100))
    t:flush()
    t:add(rows_of(100))
    t:pass(5 * SECOND)
    while t:tiers() ~= "small small" do assert.is_true(t:step()) end
    lib.tt_table_full(t.env, true)
    t:pass(3 * SECOND)
    t:run()
    assert.are.equal("small small", t:tiers())
    assert.are.equal(t.now + 10 * SECOND, t:next_tick())
    lib.tt_table_full(t.env, false)
    t:pass(10 * SECOND)
    t:run()
    assert.are.equal("small", t:tiers())
    assert.is_true(t:next_tick() > support.FAR)
  end)

  it("a full disk after the commit point delays the rest of a merge", function()
    t = support.open()
    t:add(rows_of(50))
    t:flush()
    t:add(rows_of(60, NOON + 1000))
    t:flush()
    lib.tt_table_fault(t.env, 1, ENOSPC, true, CALL.rename, "data/small/2020_12/50_")
    assert.are.equal(CODE.NOSPACE, (t:force_merge()))
    assert.are.equal(110, (select(2, t:rows())))
    assert.are.equal(0, tonumber(t:stats().partitions_read_only))
    lib.tt_table_fault(t.env, 0, 0, false, 0, nil)
    t:pass(SECOND)
    t:run()
    assert.are.equal("small", t:tiers())
    assert.are.equal(110, (select(2, t:rows())))
    assert.are.equal(60, (t:add(rows_of(60, NOON + 2000))))
    assert.are.equal(0, (t:flush()))
    assert.are.equal(0, t:reopen())
    assert.are.equal(170, (select(2, t:rows())))
  end)

  it("a snapshot does not wait for a merge that waits for space", function()
    t = support.open()
    t:add(rows_of(50))
    t:flush()
    t:add(rows_of(60, NOON + 1000))
    t:flush()
    lib.tt_table_fault(t.env, 1, ENOSPC, true, CALL.rename, "data/small/2020_12/50_")
    assert.are.equal(CODE.NOSPACE, (t:force_merge()))
    assert.are.equal(CODE.NOSPACE, lib.table_snapshot(t.table, t.root .. "/small", t.root .. "/big"))
    lib.tt_table_fault(t.env, 0, 0, false, 0, nil)
    t:pass(SECOND)
    t:run()
    assert.are.equal(0, lib.table_snapshot(t.table, t.root .. "/small2", t.root .. "/big2"))
    local name = t:parts()[1].name
    assert.are.same(parts.list(t.root .. "/data/small/2020_12/" .. name), parts.list(t.root .. "/small2/2020_12/" .. name))
  end)

  for _, name in ipairs { "fsync", "fsync_dir" } do
    it("a failed " .. name .. " makes the partition read-only, others go on", function()
      t = support.open()
      local old = rows_of(50, NOON - 40 * DAY)
      t:add(old)
      t:flush()
      local rows = rows_of(100)
      t:add(rows)
      lib.tt_table_fault(t.env, 1, EIO, false, CALL[name], "2020_12")
      local rc, message = t:flush()
      assert.are.equal(CODE.READONLY, rc)
      assert.is_not_nil(message:find("2020_12"))
      assert.are.equal(150, (select(2, t:rows())))
      local accepted, code = t:add { { 1, NOON, 1 } }
      assert.is_nil(accepted)
      assert.are.equal(CODE.READONLY, code)
      assert.are.equal(1, (t:add { { 1, NOON - 40 * DAY, 77 } }))
      t:pass(60 * SECOND)
      t:run()
      assert.are.equal(1, tonumber(t:stats().partitions_read_only))
      assert.are.equal(0, t:reopen())
      assert.are.equal(1, (t:add { { 1, NOON, 1 } }))
      assert.is_true(select(2, t:rows()) >= 51)
    end)
  end

  for name, errno in pairs { EIO = EIO, ENOSPC = ENOSPC } do
    for _, for_ever in ipairs { false, true } do
      it(("%s at any call%s loses nothing durable and counts no row twice"):format(name, for_ever and " and ever after" or ""), function()
        t = support.open { fan = 2, max_small = 600 }
        local n = 0
        local calls
        repeat
          n = n + 1
          lib.tt_table_close(t.env)
          sh("rm -rf %s/*", t.root)
          lib.tt_table_fault(t.env, 0, 0, false, 0, nil)
          assert.are.equal(0, t:reopen())
          local durable, all = {}, {}
          lib.tt_table_fault(t.env, n, errno, for_ever, 0, nil)
          for round = 1, 3 do
            local rows = rows_of(60, NOON + round * 1000)
            local accepted = t:add(rows)
            if accepted then support.append(all, rows) end
            if t:flush() == 0 and accepted then support.append(durable, rows) end
            t:run()
          end
          calls = tonumber(lib.tt_table_fault_calls(t.env))
          lib.tt_table_fault(t.env, 0, 0, false, 0, nil)
          assert.are.same(support.bag_of(all), (t:rows()))
          t:pass(5 * SECOND)
          assert.are.equal(0, t:reopen(), n)
          local seen, want, sure = t:rows(), support.bag_of(all), support.bag_of(durable)
          for key, times in pairs(sure) do assert.are.equal(times, seen[key], n) end
          for key, times in pairs(seen) do assert.are.equal(want[key], times, n) end
          n = n + (n > 60 and 2 or 0)
        until calls < n
        assert.is_true(n > 60)
      end)
    end
  end
end)

describe("memory that runs out", function()
  it("at any allocation loses no accepted row", function()
    local t = support.open { fan = 2 }
    t:add(rows_of(10))
    t:flush()
    local all = rows_of(10)
    for n = 1, 400 do
      lib.tt_table_fail_memory(t.env, n)
      local rows = rows_of(20, NOON + n * 1000)
      if t:add(rows) then support.append(all, rows) end
      t:pass(SECOND)
      pcall(t.run, t)
      lib.tt_table_fail_memory(t.env, 0)
      if n % 30 == 1 then
        t:pass(10 * SECOND)
        t:run()
        assert.are.same(support.bag_of(all), (t:rows()))
      end
    end
    t:pass(2 * SECOND)
    local rc, message = t:flush()
    assert.are.equal(0, rc, message)
    assert.are.equal(0, t:reopen())
    assert.are.same(support.bag_of(all), (t:rows()))
    assert.are.equal(0, t:close())
  end)
end)

describe("opening", function()
  local t
  after_each(function() assert.are.equal(0, t:close()) end)

  local function part_path(tree)
    for _, p in ipairs(t:parts()) do if p.tier == tree then return t.root .. "/data/" .. tree .. "/" .. p.partition .. "/" .. p.name, p.name end end
  end

  it("sets a damaged part aside, names it, and opens the rest", function()
    t = support.open()
    t:add(rows_of(10))
    t:flush()
    t:add(rows_of(20))
    t:flush()
    local path, name = part_path("small")
    local hurt = tonumber(name:match("^%d+"))
    lib.tt_table_close(t.env)
    parts.write_file(path .. "/metaindex.bin", "nothing")
    assert.are.equal(0, t:reopen())
    local _, count, partial = t:rows()
    assert.are.equal(30 - hurt, count)
    assert.are.equal(1, partial)
    assert.are.equal("2020_12/" .. name .. "\n", t:damaged())
    assert.are.same({ "2020_12_" .. name }, parts.list(t.root .. "/tsengine/damaged"))
    assert.is_not_nil(t:messages():find(name, 1, true))
    assert.are.equal(0, t:reopen())
    assert.are.equal("", t:damaged())
  end)

  it("is not needed to leave a part out of merges once it was found damaged", function()
    t = support.open()
    t:add(rows_of(10))
    t:flush()
    local path, name = part_path("small")
    for round = 1, 3 do
      t:add(rows_of(100, NOON + round * 1000))
      t:flush()
    end
    for _, file in ipairs { "index.bin", "values.bin", "timestamps.bin" } do -- the open descriptors see it
      parts.write_file(path .. "/" .. file, "")
    end
    local rc, _, message = t:force_merge()
    assert.are.equal(CODE.CORRUPTED, rc)
    assert.is_not_nil(message:find(name, 1, true))
    assert.are.equal("2020_12/" .. name .. "\n", t:damaged())
    assert.are.equal(1, tonumber(t:stats().parts_damaged))
    assert.are.equal(0, (t:force_merge()))
    local list = t:parts()
    assert.are.equal(2, #list)
    assert.are.same({ true, 10, false, 300 }, { list[1].damaged, list[1].rows, list[2].damaged, list[2].rows })
    assert.are.equal(0, t:reopen())
    local _, count, partial = t:rows()
    assert.are.same({ 300, 1 }, { count, partial })
  end)

  it("changes nothing when read-only, damage included", function()
    t = support.open()
    t:add(rows_of(10))
    t:flush()
    local path = part_path("small")
    lib.tt_table_close(t.env)
    parts.write_file(path .. "/metaindex.bin", "nothing")
    sh("mkdir %s/data/small/2020_12/empty", t.root)
    sh("find %s | sort > %s.before", t.root, t.root)
    assert.are.equal(0, t:reopen { read_only = true })
    local accepted, code = t:add(rows_of(1))
    assert.is_nil(accepted)
    assert.are.equal(CODE.READONLY, code)
    assert.are.equal(support.MAX, lib.table_next_tick_ms(t.table))
    sh("find %s | sort | cmp - %s.before && rm %s.before", t.root, t.root, t.root)
  end)

  it("removes empty directories and leftovers, ignores files", function()
    t = support.open()
    t:add(rows_of(10))
    t:flush()
    lib.tt_table_close(t.env)
    sh("cd %s/data/small/2020_12 && mkdir empty tmp/0000000000000001 && touch stray tmp/0000000000000001/x txn/1.tmp.2", t.root)
    assert.are.equal(0, t:reopen())
    assert.are.equal(10, (select(2, t:rows())))
    assert.are.same({}, parts.list(t.root .. "/data/small/2020_12/tmp"))
    assert.are.same({}, parts.list(t.root .. "/data/small/2020_12/txn"))
    assert.is_nil(table.concat(parts.list(t.root .. "/data/small/2020_12"), " "):find("empty"))
  end)

  it("takes one missing tree, and refuses what it does not understand", function()
    t = support.open()
    t:add(rows_of(10))
    t:flush()
    lib.tt_table_close(t.env)
    sh("rm -r %s/data/big", t.root)
    assert.are.equal(0, t:reopen())
    assert.are.equal(10, (select(2, t:rows())))
    lib.tt_table_close(t.env)
    sh("mkdir %s/data/small/lost+found", t.root)
    local rc, message = t:reopen()
    assert.are.equal(CODE.LAYOUT, rc)
    assert.is_not_nil(message:find("lost+found", 1, true))
    sh("rmdir %s/data/small/lost+found; touch %s/data/small/2020_12/parts.json", t.root, t.root)
    rc, message = t:reopen()
    assert.are.equal(CODE.LAYOUT, rc)
    assert.is_not_nil(message:find("parts.json", 1, true))
    sh("rm %s/data/small/2020_12/parts.json", t.root)
    assert.are.equal(0, t:reopen())
  end)

  --- Leaves a merge between its commit point and the removal of its sources.
  local function with_pending_transaction(opts)
    t = support.open(opts)
    t:add(rows_of(30))
    t:flush()
    t:add(rows_of(40))
    t:flush()
    lib.tt_table_fault(t.env, 1, EIO, false, CALL.rename, opts.tree .. "/2020_12/tmp")
    local rc = t:force_merge()
    assert.are_not.equal(0, rc)
    lib.tt_table_fault(t.env, 0, 0, false, 0, nil)
    assert.are.equal(70, (select(2, t:rows())))
    lib.tt_table_close(t.env)
  end

  for _, tree in ipairs { "small", "big" } do
    it("finishes a pending transaction whose result belongs to the " .. tree .. " tree, also in a moved directory", function()
      with_pending_transaction { tree = tree, max_small = tree == "big" and 1 or nil }
      assert.are.equal(1, #parts.list(t.root .. "/data/small/2020_12/txn") + #parts.list(t.root .. "/data/big/2020_12/txn"))
      sh("cp -r %s %s.moved", t.root, t.root)
      local moved = support.open { root = t.root .. ".moved", read_only = true }
      assert.are.equal(70, (select(2, moved:rows())))
      assert.are.equal(0, moved:reopen {})
      assert.are.equal(70, (select(2, moved:rows())))
      assert.are.equal(tree, moved:tiers())
      assert.are.equal(0, moved:close())
      sh("rm -r %s.moved", t.root)
      assert.are.equal(0, t:reopen())
      assert.are.equal(70, (select(2, t:rows())))
      assert.are.equal(tree, t:tiers())
    end)
  end
end)

describe("a snapshot", function()
  it("links every part and opens as a table", function()
    local t = support.open { max_small = 600, fan = 2 }
    local all = {}
    for round = 1, 5 do
      local rows = rows_of(60, NOON - round * 20 * DAY)
      t:add(rows)
      support.append(all, rows)
      t:flush()
    end
    t:force_merge("2020_11")
    sh("mkdir -p %s/snap/data", t.root)
    native.check(lib.table_snapshot(t.table, t.root .. "/snap/data/small", t.root .. "/snap/data/big"))
    t:add(rows_of(500))
    t:flush()
    t:force_merge()
    local copy = support.open { root = t.root .. "/snap", read_only = true }
    assert.are.same(support.bag_of(all), (copy:rows()))
    assert.are.equal(0, copy:close())
    assert.are.same(parts.list(t.root .. "/snap/data/small"), parts.list(t.root .. "/snap/data/big"))
    assert.are.equal(3, #parts.list(t.root .. "/snap/data/big"))
    assert.are.equal(0, t:close())
  end)
end)

describe("a memory limit", function()
  it("makes adding threads flush before it is reached", function()
    local t = support.open { shard_rows = 2000 }
    local all = 0
    local rows = ffi.new("struct row[2000]")
    for i = 0, 1999 do rows[i].series, rows[i].timestamp_ms, rows[i].value = i % 50, NOON - i, i end
    lib.tt_table_limit_memory(t.env, 6000000)
    assert.are.equal(0, t:reopen()) -- an eighth of it may be parts in memory
    for _ = 1, 500 do -- 16 MB of columns
      local accepted = t:add_rows(rows, 2000)
      all = all + (accepted or 0)
    end
    assert.is_true(all == 2000 * 500, all)
    assert.is_true(t:stats().assisted_merges > 0)
    lib.tt_table_limit_memory(t.env, 0)
    assert.are.equal(0, (t:flush()))
    assert.are.equal(all, (select(2, t:rows())))
    assert.are.equal(0, t:close())
  end)
end)
