local ffi = require("ffi")
local support = require("spec.index.item_support")
local native = require("spec.support.native")
local base, lib = support.base, support.lib

describe("an item table under random use", function()
  -- Items as an index has them: long common prefixes, tag rows that join, a few giants.
  local function random_item(random)
    local kind = random(10)
    if kind < 5 then
      return "\6" .. support.u64(20775 + random(2)) .. ("label%d\1value%d\1"):format(random(3), random(5)) .. support.u64(random(400))
    elseif kind == 5 then
      return "\1" .. ("label%d\1value%d\1"):format(random(3), random(5)) .. support.u64(random(400)) .. support.u64(400 + random(400))
    elseif kind < 9 then
      return "\3" .. support.u64(random(500)) .. ("metric_name_%d"):format(random(50))
    end
    return "\0" .. ("n"):rep(random(20) == 0 and random(60000) or random(300))
  end

  -- Where the first item of a sorted list that is not smaller than key stands.
  local function lower_bound(items, key)
    local from, to = 1, #items + 1
    while from < to do
      local middle = math.floor((from + to) / 2)
      if items[middle] < key then from = middle + 1 else to = middle end
    end
    return from
  end

  -- One cursor, many seeks: each must stand at the first item >= key of the dump, and go on from there.
  local function check_seeks(t, random)
    local items = t:items()
    assert.is_true(support.is_sorted(items))
    local view, cursor = ffi.new("struct item_view *[1]"), ffi.new("struct item_cursor *[1]")
    local item, found = ffi.new("struct bytes"), ffi.new("bool[1]")
    native.check(lib.item_table_view(t.table, view))
    native.check(lib.item_cursor_create(t.mem, view, 1, cursor))
    for _ = 1, 60 do
      local key = #items > 0 and random(2) == 0 and items[1 + random(#items)] or random_item(random)
      if random(3) == 0 then key = key:sub(1, random(#key + 1)) end
      native.check(lib.item_cursor_seek(cursor[0], support.bytes(key)))
      local at = lower_bound(items, key)
      for i = at, at + random(6) do
        native.check(lib.item_cursor_next(cursor[0], item, found))
        assert.equal(items[i], found[0] and ffi.string(item.data, item.len) or nil)
        if not found[0] then break end
      end
    end
    lib.item_cursor_delete(cursor[0])
    lib.item_view_release(view[0])
  end

  it("holds what was added, modulo joining, after any flushes, merges and openings", function()
    local seed = native.seed("item_properties")
    for round = 1, 12 do
      local random = support.random(seed + round)
      local disk = base.crash()
      disk:mkdir_all("/indexdb")
      local path = "/indexdb/18E9B81D4F3D67BF"
      local t = assert(support.open(disk, path))
      local expected = {}
      for _ = 1, 40 do
        local action = random(10)
        if action < 6 then
          local items = {}
          for i = 1, 1 + random(400) do items[i] = random_item(random) end
          table.sort(items)
          for key in pairs(support.meaning(items)) do expected[key] = true end
          assert(t:add(items))
        elseif action == 6 then
          assert.equal(0, (t:flush()))
        elseif action == 7 then
          t:pass(random(20000))
          for _ = 1, random(30) do t:step() end
        elseif action == 8 then
          lib.item_table_force_merge(t.table)
          assert.equal(0, (t:run()))
        else
          assert.equal(0, (t:flush()))
          t:close()
          t = assert(support.open(disk, path))
        end
      end
      assert.is_nil(support.difference(expected, support.meaning(t:items())))
      check_seeks(t, random)
      assert.equal(0, (t:flush()))
      lib.item_table_force_merge(t.table)
      assert.equal(0, (t:run()))
      local merged = t:items()
      assert.is_nil(support.difference(expected, support.meaning(merged)))
      for i = 2, #merged do assert.is_true(merged[i - 1] < merged[i]) end -- each once
      check_seeks(t, random)
      t:close()
      local mem = disk.mem
      assert.equal(0, tonumber(disk.counters.open_files))
      disk:destroy()
      assert.equal(0, tonumber(mem.live_blocks))
    end
  end)
end)
