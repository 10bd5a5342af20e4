local support = require("spec.index.item_support")
local native = require("spec.support.native")
local base, lib = support.base, support.lib

local PATH = "/indexdb/18E9B81D4F3D67BF"

-- Sets of items by round; tag rows of one tag in every round, so that merges join across parts.
local function round_items(round)
  local items = {}
  for i = 1, 20 do items[#items + 1] = ("\3%02d name of %02d"):format(i, round) end
  items[#items + 1] = "\1job\1api\1" .. support.u64(round)
  table.sort(items)
  return items
end

local function add_all(set, items)
  for key in pairs(support.meaning(items)) do set[key] = true end
end

-- What must be there after k marks, and what may be.
local function expectations(rounds)
  local sets = { [0] = {} }
  for round = 1, rounds do
    sets[round] = {}
    for r = 1, round do add_all(sets[round], round_items(r)) end
  end
  return sets
end

describe("a crash at any moment of an item table's life", function()
  local ROUNDS = 4

  -- Every round is added, then flushed, then marked; a forced merge in the middle and at the end.
  local function live(disk)
    disk:mkdir_all("/indexdb")
    local t = assert(support.open(disk, PATH))
    for round = 1, ROUNDS do
      native.check(lib.io_crash_mark(disk.io, round, "added"))
      t:add(round_items(round))
      assert.equal(0, (t:flush()))
      assert.equal(round, t:durable())
      native.check(lib.io_crash_mark(disk.io, round, "durable"))
      if round >= 3 then
        lib.item_table_force_merge(t.table)
        assert.equal(0, (t:run()))
        assert.equal(1, #t:parts())
      end
    end
    t:close()
  end

  local function mark(disk, k, text)
    local ffi = require("ffi")
    local number, found = ffi.new("uint64_t[1]"), ffi.new("bool[1]")
    lib.io_crash_last_mark(disk.io, k, text, number, found)
    return found[0] and tonumber(number[0]) or 0
  end

  -- Opens a state, compares, goes on writing, opens again.
  local function check_state(disk, sets, k, choice, label)
    local state = disk:state(k, choice)
    local t, rc = support.open(state, PATH, { now_ms = support.START_MS + 1000 })
    assert(t, label .. " does not open: " .. tostring(rc) .. " " .. base.message())
    assert.equal(0, tonumber(t:stats().damaged_parts), label .. ": " .. base.message())
    local items = assert(t:items(), label)
    local found = support.meaning(items)
    assert.is_nil(support.missing(sets[mark(disk, k, "durable")], found), label)
    for key in pairs(found) do assert(sets[mark(disk, k, "added")][key], label .. ": an item that nobody added") end
    assert.equal(1, t:add { "\3later" }, label)
    assert.equal(0, (t:flush()), label)
    t:close()
    t = assert(support.open(state, PATH, { now_ms = support.START_MS + 2000 }), label)
    found["\3later"] = true
    assert.is_nil(support.difference(found, support.meaning(t:items())), label)
    t:close()
    state:destroy()
  end

  local function each_state(disk, choices)
    local sets, seen, states = expectations(ROUNDS), {}, 0
    for k = 0, disk:ops() do
      for _, choice in ipairs(choices(k)) do
        local state = disk:state(k, choice)
        local print = tostring(lib.io_crash_fingerprint(state.io)) .. mark(disk, k, "durable") .. "/" .. mark(disk, k, "added")
        state:destroy()
        if not seen[print] then
          seen[print] = true
          states = states + 1
          check_state(disk, sets, k, choice, ("before operation %d of %d (model %d data %d seed %s)"):format(k, disk:ops(),
            choice.model, choice.data or 0, tostring(choice.seed or 0)))
        end
      end
    end
    return states
  end

  local disk

  before_each(function()
    disk = base.crash()
    live(disk)
  end)
  after_each(function()
    local mem = disk.mem
    disk:destroy()
    assert.equal(0, tonumber(mem.live_blocks))
  end)

  it("leaves all that was durable and nothing strange, on a disk that keeps order", function()
    local states = each_state(disk, function()
      local choices = {}
      for _, data in pairs(base.data) do choices[#choices + 1] = { model = base.model.ORDERED, data = data } end
      return choices
    end)
    assert.is_true(states > 100)
  end)

  it("leaves all that was durable and nothing strange, on a disk that orders nothing", function()
    local random = support.random(native.seed("item_crash"))
    local states = each_state(disk, function(k)
      local uncertain = tonumber(lib.io_crash_uncertain(disk.io, k))
      local choices = {}
      if uncertain <= 4 then
        for seed = 0, 2 ^ uncertain - 1 do choices[#choices + 1] = { model = base.model.WEAK, seed = seed } end
      else
        for _ = 1, 12 do choices[#choices + 1] = { model = base.model.WEAK, seed = random(65536) } end
      end
      return choices
    end)
    assert.is_true(states > 200)
  end)

  it("in the middle of recovery is as harmless", function()
    local sets = expectations(ROUNDS)
    -- A state with work left in tmp/ and sources not yet removed: in the middle of the last merge.
    for k = disk:ops() - 60, disk:ops(), 7 do
      local state = disk:state(k, { model = base.model.ORDERED, data = base.data.FULL })
      local t = assert(support.open(state, PATH))
      t:close()
      for j = 0, state:ops() do
        local again = state:state(j, { model = base.model.WEAK, seed = j })
        local u = assert(support.open(again, PATH))
        assert.equal(0, tonumber(u:stats().damaged_parts))
        assert.is_nil(support.missing(sets[mark(disk, k, "durable")], support.meaning(u:items())))
        u:close()
        again:destroy()
      end
      state:destroy()
    end
  end)
end)
