local ffi = require("ffi")
local native = require("spec.support.native")
require("spec.merge.support")
local lib = native.lib

local NO_LIMIT = 1e12

--- Picks from sizes; returns the picked sizes joined, and the score. opts: fan, max, busy = set of indexes, times.
local function pick(sizes, opts)
  opts = opts or {}
  local list, plan = ffi.new("struct merge_candidate[?]", math.max(#sizes, 1)), ffi.new("struct merge_plan")
  for i, size in ipairs(sizes) do
    list[i - 1].bytes, list[i - 1].id = size, i
    list[i - 1].busy = opts.busy and opts.busy[i] or false
    list[i - 1].min_timestamp_ms = opts.times and opts.times[i] or 0
  end
  lib.merge_plan_pick(list, #sizes, opts.fan or 15, opts.max or NO_LIMIT, plan)
  local picked, ids = {}, {}
  for i = 0, tonumber(plan.count) - 1 do
    ids[i + 1] = plan.ids[i]
    picked[i + 1] = sizes[plan.ids[i]]
  end
  return table.concat(picked, " "), plan.score, table.concat(ids, " ")
end

local function repeated(size, n)
  local t = {}
  for i = 1, n do t[i] = size end
  return t
end

--- The rule, written down a second time without any cleverness.
local function model(sizes, fan, max)
  local parts = {}
  for i, size in ipairs(sizes) do
    if size <= math.floor(max / 1.7) then parts[#parts + 1] = { size = size, id = i } end
  end
  table.sort(parts, function(a, b)
    if a.size ~= b.size then return a.size < b.size end
    return a.id < b.id
  end)
  if #sizes < 2 then return "" end
  local high = math.min(fan, #parts)
  local low = math.max(2, math.floor((high + 1) / 2))
  local best, answer = 0, ""
  for length = low, high do
    for first = 1, #parts - length + 1 do
      local sum, ids = 0, {}
      for i = first, first + length - 1 do
        sum = sum + parts[i].size
        ids[#ids + 1] = parts[i].id
      end
      local last = parts[first + length - 1].size
      if parts[first].size * length >= last then
        if sum > max then break end
        if sum / last >= best then best, answer = sum / last, table.concat(ids, " ") end
      end
    end
  end
  return best >= math.max(fan / 2, 1.7) and answer or ""
end

describe("the built-in policy", function()
  it("finds nothing worth merging in few or uneven parts", function()
    assert.are.equal("", (pick {}))
    assert.are.equal("", (pick { 10 }))
    assert.are.equal("", (pick { 10, 10 }))
    assert.are.equal("", (pick(repeated(10, 7))))
    assert.are.equal("", (pick { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000 }))
  end)

  it("merges eight equal parts, and at most fifteen", function()
    assert.are.equal(table.concat(repeated(10, 8), " "), (pick(repeated(10, 8))))
    local picked, score = pick(repeated(10, 40))
    assert.are.equal(table.concat(repeated(10, 15), " "), picked)
    assert.are.equal(15, score)
  end)

  it("prefers the later of equal windows", function()
    local _, _, ids = pick(repeated(10, 16))
    assert.are.equal("2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", ids)
  end)

  it("takes the younger of equal parts first", function()
    local _, _, ids = pick(repeated(10, 8), { times = { 1, 2, 3, 4, 5, 6, 7, 8 } })
    assert.are.equal("8 7 6 5 4 3 2 1", ids)
  end)

  it("leaves busy parts alone", function()
    assert.are.equal("", (pick(repeated(10, 8), { busy = { true } })))
    local _, _, ids = pick(repeated(10, 9), { busy = { [4] = true } })
    assert.is_nil((" " .. ids .. " "):find(" 4 ", 1, true))
  end)

  it("keeps the output within the limit, and parts that fill it out", function()
    assert.are.equal("", (pick(repeated(10, 15), { max = 70 })))
    assert.are.equal(8, select(2, pick(repeated(10, 15), { max = 80 })))
    assert.are.equal("", (pick(repeated(10, 15), { max = 16 })))
  end)

  it("does not rewrite a large part for small ones", function()
    local sizes = repeated(10, 14)
    sizes[15] = 1000
    assert.are.equal(table.concat(repeated(10, 14), " "), (pick(sizes)))
  end)

  it("works with a fan of two and with sizes at the ends of the range", function()
    assert.are.equal("10 10", (pick({ 10, 10 }, { fan = 2 })))
    assert.are.equal("", (pick({ 4, 10 }, { fan = 2 })))
    assert.are.equal("", (pick({ 0xFFFFFFFFFFFFFFFFULL, 0xFFFFFFFFFFFFFFFFULL }, { fan = 2 })))
  end)

  it("agrees with the rule written down naively", function()
    math.randomseed(native.seed("plans"))
    for _ = 1, 1500 do
      local sizes, fan = {}, math.random(2, 15)
      for i = 1, math.random(0, 40) do sizes[i] = math.floor(10 ^ (math.random() * math.random(1, 6))) + i end
      local max = math.random(3) == 1 and math.random(10, 1000000) or NO_LIMIT
      local _, _, ids = pick(sizes, { fan = fan, max = max })
      assert.are.equal(model(sizes, fan, max), ids, table.concat(sizes, " ") .. " fan " .. fan .. " max " .. max)
    end
  end)
end)
