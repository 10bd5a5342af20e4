local ffi = require("ffi")
local support = require("spec.index.item_support")
local native = require("spec.support.native")
local base, lib = support.base, support.lib
local code = base.code

local PATH = "/indexdb/18E9B81D4F3D67BF"
local EIO, ENOSPC = 5, 28

describe("an item table on a failing disk", function()
  local inner, disk, t

  before_each(function()
    inner = base.crash()
    disk = base.fault(inner)
    disk:mkdir_all(PATH)
  end)
  after_each(function()
    if t and t.table then t:close() end
    t = nil
    assert.equal(0, tonumber(disk.counters.open_files))
    local mems = { disk.mem, inner.mem }
    disk:destroy()
    inner:destroy()
    for _, mem in ipairs(mems) do assert.equal(0, tonumber(mem.live_blocks)) end
  end)

  local function plan(values) lib.io_fault_plan(disk.io, values and ffi.new("struct io_fault_plan", values) or nil) end

  -- Adds, flushes and merges; returns the items accepted and those known to be durable.
  local function live()
    local accepted, durable, seqs = {}, {}, {}
    for round = 1, 3 do
      local item = ("k%02d"):format(round)
      local seq = t:add { item }
      if seq then
        accepted[#accepted + 1] = item
        seqs[seq] = item
      end
      t:flush()
      t:pass(2000)
      t:run()
    end
    lib.item_table_force_merge(t.table)
    t:run()
    t:pass(2000)
    t:run()
    for seq, item in pairs(seqs) do
      if seq <= t:durable() then durable[#durable + 1] = item end
    end
    return accepted, durable
  end

  local function as_set(items)
    local set = {}
    for _, item in ipairs(items) do set[item] = true end
    return set
  end

  local function count_calls(calls)
    t = assert(support.open(disk, PATH))
    plan { calls = calls or 0 }
    live()
    local n = tonumber(lib.io_fault_calls(disk.io))
    plan(nil)
    t:close()
    disk:remove_tree("/indexdb")
    disk:mkdir_all(PATH)
    return n
  end

  for _, for_ever in ipairs { false, true } do
    for _, errno in ipairs { EIO, ENOSPC } do
      it(("goes on answering, and loses nothing durable, whichever call fails (%s, errno %d)"):format(for_ever and "for ever" or "once", errno), function()
        local n = count_calls()
        assert.is_true(n > 60)
        for at = 1, n do
          t = assert(support.open(disk, PATH))
          plan { fail_at = at, for_ever = for_ever, errno_value = errno }
          local accepted, durable = live()
          local last = ffi.string(lib.io_fault_last(disk.io))
          plan(nil)
          local label = ("call %d of %d: %s"):format(at, n, last)
          if errno == ENOSPC and not for_ever then
            -- A full disk passes by itself; only a failed fsync of a directory leaves doubts that last.
            local lasting = last:find("fsync", 1, true) ~= nil and t:stats().read_only
            lib.item_table_retry(t.table)
            assert.equal(0, (t:flush()), label)
            if not lasting then
              assert.is_false(t:stats().read_only, label)
              assert.equal(#accepted, t:durable(), label)
              lib.item_table_force_merge(t.table)
              assert.equal(0, (t:run()), label)
              assert.equal(1, #t:parts(), label)
            end
          end
          local items, rc = t:items()
          assert(items, label .. " " .. tostring(rc) .. base.message())
          assert.is_nil(support.difference(as_set(accepted), as_set(items)), label)
          t:close()
          t = assert(support.open(disk, PATH), label)
          assert.equal(0, tonumber(t:stats().damaged_parts), label)
          items = t:items()
          assert.is_nil(support.missing(as_set(durable), as_set(items)), label)
          for _, item in ipairs(items) do assert(as_set(accepted)[item], label) end
          t:close()
          disk:remove_tree("/indexdb")
          disk:mkdir_all(PATH)
        end
      end)
    end
  end

  it("is read-only after a failed fsync, and never syncs that file again", function()
    t = assert(support.open(disk, PATH))
    t:add { "a" }
    plan { fail_at = 1, errno_value = EIO, calls = base.call.FSYNC }
    assert.equal(code.IO, (t:flush()))
    local calls = tonumber(lib.io_fault_calls(disk.io))
    assert.is_true(t:stats().read_only)
    local _, rc = t:add { "b" }
    assert.equal(code.READONLY, rc)
    assert.truthy(base.message():find("injected", 1, true))
    assert.equal(0, (t:flush()))
    assert.equal(calls, tonumber(lib.io_fault_calls(disk.io)))
    assert.same({ "a" }, t:items())
    assert.equal(0, t:durable())
    assert.equal(math.huge, t:next_tick())
  end)

  it("waits while the disk is full, and flushes when it is told to try again", function()
    t = assert(support.open(disk, PATH))
    t:add { "a" }
    lib.io_fault_set_full(disk.io, true)
    assert.equal(code.NOSPACE, (t:flush()))
    assert.is_true(t:stats().no_space)
    assert.is_false(t:stats().read_only)
    assert.same({}, disk:list(PATH .. "/tmp"))
    t:add { "b" }
    assert.equal(math.huge, t:next_tick())
    assert.equal(0, (t:flush()))
    assert.same({ "a", "b" }, t:items())
    lib.io_fault_set_full(disk.io, false)
    assert.equal(0, (t:flush()))
    assert.equal(0, t:durable())
    lib.item_table_retry(t.table)
    assert.equal(0, (t:flush()))
    assert.equal(2, t:durable())
    assert.is_false(t:stats().no_space)
  end)

  it("leaves a merge that has no room for its output, and says so", function()
    t = assert(support.open(disk, PATH))
    for i = 1, 3 do
      t:add { ("k%d"):format(i) }
      t:flush()
    end
    lib.io_crash_set_free_space(inner.io, 8 * 1024 * 1024)
    lib.item_table_force_merge(t.table)
    assert.equal(0, (t:run()))
    assert.is_false(lib.item_table_force_merging(t.table))
    assert.equal(3, #t:parts())
    assert.is_false(t:stats().no_space)
  end)

  it("leaves a part out of merges whose blocks turn out to be damaged", function()
    t = assert(support.open(disk, PATH))
    for i = 1, 3 do
      t:add { ("k%d"):format(i) .. ("x"):rep(100), ("k%d"):format(i) .. ("y"):rep(100) }
      t:flush()
    end
    local victim = t:parts()[2]
    local file = PATH .. "/" .. victim .. "/items.bin"
    local content = disk:get(file)
    t:close()
    native.check(lib.io_crash_set_content(inner.io, file, ("!"):rep(#content), #content))
    t = assert(support.open(disk, PATH))
    assert.equal(0, tonumber(t:stats().damaged_parts))
    lib.item_table_force_merge(t.table)
    assert.equal(code.CORRUPTED, (t:run()))
    assert.truthy(base.message():find(victim .. "/items.bin", 1, true))
    assert.equal(0, (t:run()))
    assert.is_false(lib.item_table_force_merging(t.table))
    assert.equal(1, tonumber(t:stats().damaged_parts))
    assert.is_false(t:stats().read_only)
    assert.equal(2, #t:parts())
    local items, rc = t:items()
    assert.is_nil(items)
    assert.equal(code.CORRUPTED, rc)
    assert.equal(1, t:add { "still accepted" })
    assert.equal(0, (t:flush()))
  end)

  it("survives every failed allocation", function()
    local function total()
      t = assert(support.open(disk, PATH))
      local before = tonumber(disk.mem.calls)
      live()
      t:items()
      local n = tonumber(disk.mem.calls) - before
      t:close()
      disk:remove_tree("/indexdb")
      disk:mkdir_all(PATH)
      return n
    end
    local n = total()
    for _, for_ever in ipairs { false, true } do
      for at = 1, n, 3 do
        t = assert(support.open(disk, PATH))
        disk.mem.fail_at = disk.mem.calls + at
        disk.mem.fail_for_ever = for_ever
        local accepted, durable = live()
        t:items()
        disk.mem.fail_at = 0
        disk.mem.fail_for_ever = false
        t:pass(2000)
        assert.equal(0, (t:flush()), "allocation " .. at)
        assert.equal(#accepted, t:durable(), "allocation " .. at)
        assert.is_nil(support.difference(as_set(accepted), as_set(t:items())))
        assert.is_true(#durable <= #accepted)
        t:close()
        t = assert(support.open(disk, PATH))
        assert.same(accepted, t:items())
        t:close()
        disk:remove_tree("/indexdb")
        disk:mkdir_all(PATH)
      end
    end
  end)

  it("fails to open, and leaves nothing behind, when an allocation fails", function()
    t = assert(support.open(disk, PATH))
    t:add { "a", "b" }
    t:flush()
    t:close()
    local opened = false
    for at = 1, 1000 do
      local live_before = tonumber(disk.mem.live_blocks)
      disk.mem.fail_at = disk.mem.calls + at
      local log_failed
      local ok, result, rc = pcall(support.open, disk, PATH)
      disk.mem.fail_at = 0
      log_failed = not ok
      if ok and result then
        opened = true
        assert.same({ "a", "b" }, result:items())
        result:close()
        break
      end
      if not log_failed then
        assert.equal(code.MEMORY, rc)
        assert.equal(live_before, tonumber(disk.mem.live_blocks), "allocation " .. at)
      end
    end
    assert.is_true(opened)
  end)
end)
