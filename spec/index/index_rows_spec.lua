--- The items of the index: golden ones, and what a seal writes against a list made naively.
local bit = require("bit")
local s = require("spec.index.index_support")
local native = require("spec.support.native")

local function read_hex_lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = s.unhex(line) end
  return list
end

local function u64(id)
  local bytes = {}
  for i = 1, 8 do bytes[i] = string.char(tonumber(bit.band(bit.rshift(id + 0ULL, 64 - 8 * i), 0xffULL))) end
  return table.concat(bytes)
end

local function replace(text, from, to)
  local pieces, at = {}, 1
  while true do
    local i = text:find(from, at, true)
    if not i then break end
    pieces[#pieces + 1] = text:sub(at, i - 1) .. to
    at = i + #from
  end
  return table.concat(pieces) .. text:sub(at)
end

local function map_hex(items)
  local out = {}
  for i, item in ipairs(items) do out[i] = s.hex(item) end
  return out
end

describe("the items of two series", function()
  teardown(s.cleanup)

  it("are the peer's, single layout (index format 16.1)", function()
    local golden = read_hex_lines("spec/data/index/golden_single.txt")
    local index = assert(s.open())
    local first = index:register { { "__name__", "cpu.load" }, { "job", "api" }, { "zone", "a" } }
    local second = index:register { { "__name__", "up" }, { "instance", "h1:9100" }, { "job", "api" } }
    assert.equal(28, #golden)
    for i, item in ipairs(golden) do
      golden[i] = replace(replace(item, s.unhex("18e9b803614d5ba6"), u64(first)), s.unhex("18e9b803614d5ba7"), u64(second))
    end
    assert.same(map_hex(golden), map_hex(index:items()))
    index:close()
  end)

  it("are the peer's, cluster layout (index format 16.2)", function()
    local golden = read_hex_lines("spec/data/index/golden_cluster.txt")
    local index = assert(s.open(nil, { layout = "cluster" }))
    local first = index:register({ { "__name__", "up" }, { "job", "api" }, { "instance", "h1:9100" } }, s.TODAY, { 0, 0 })
    local second = index:register({ { "__name__", "cpu.load" }, { "job", "api" }, { "zone", "a" } }, s.TODAY, { 7, 9 })
    assert.equal(30, #golden)
    for i, item in ipairs(golden) do
      golden[i] = replace(replace(item, s.unhex("18e9b877096db8cf"), u64(first)), s.unhex("18e9b877096db8d0"), u64(second))
    end
    assert.same(map_hex(golden), map_hex(index:items()))
    index:close()
  end)
end)

-- A naive writer of rows -----------------------------------------------------------------------------------------------

local function estr(text)
  return (text:gsub("[%z\1\2]", function(c) return "\0" .. string.char(48 + c:byte()) end)) .. "\1"
end

local function varint(n)
  local out = ""
  while n >= 128 do
    out = out .. string.char(n % 128 + 128)
    n = math.floor(n / 128)
  end
  return out .. string.char(n)
end

--- (key, value) of every tag row of a series (index format 10.2).
local function tag_rows(labels)
  local group, rows = "", {}
  for _, label in ipairs(labels) do if label[1] == "__name__" then group = label[2] end end
  rows[1] = { "", group }
  if group:find(".", 1, true) then rows[2] = { "\255", group:reverse() } end
  for _, label in ipairs(labels) do
    if label[1] ~= "__name__" then
      rows[#rows + 1] = label
      rows[#rows + 1] = { "\254" .. varint(#group) .. group .. label[1], label[2] }
    end
  end
  return rows
end

--- Tag rows of items split into one entry for each id: prefix .. id.
local function split_tag_rows(items, prefix_bytes)
  local out = {}
  for _, item in ipairs(items) do
    local kind = item:byte()
    if kind == 1 or kind == 6 then
      local at = 2 + prefix_bytes + (kind == 6 and 8 or 0)
      for _ = 1, 2 do at = item:find("\1", at, true) + 1 end
      local ids, last = item:sub(at), nil
      assert(#ids >= 8 and #ids % 8 == 0 and #ids <= 64 * 8, "a row has 1 to 64 ids")
      for i = 1, #ids, 8 do
        local id = ids:sub(i, i + 7)
        assert(last == nil or last < id, "ids of a row ascend without repeats")
        last = id
        out[item:sub(1, at - 1) .. id] = true
      end
    end
  end
  return out
end

describe("a seal", function()
  setup(function() math.randomseed(native.seed("index rows")) end)
  teardown(s.cleanup)

  local function pick(list) return list[math.random(#list)] end

  local function run(layout, rounds)
    local cluster = layout == "cluster"
    local keys = { "job", "Job", "host", "a", "b", "\254", "\254\2up", "\254\2upjob", "\255", "\255a", "\0k", "\1k", "zz" }
    local values = { "1", "2", "a.b", "\0", "\1\2", ("x"):rep(100), "\255" }
    local names = { "", "up", "a.b", "a.c", "\1.\2", ("n"):rep(127) .. ".", ("n"):rep(128), ("n"):rep(300) }
    for _ = 1, rounds do
      local index = assert(s.open(nil, { layout = layout }))
      local expected, items_expected = {}, {}
      for _ = 1, math.random(1, 150) do
        local labels = { { "__name__", pick(names) } }
        for _ = 1, math.random(1, 4) do labels[#labels + 1] = { pick(keys), pick(values) } end
        local tenant = cluster and { math.random(0, 1), math.random(0, 2) } or { 0, 0 }
        local prefix = cluster and u64(bit.bor(bit.lshift(tenant[1] + 0ULL, 32), tenant[2] + 0ULL)) or ""
        local date = s.TODAY + math.random(-2, 2)
        local name = assert(index:canonical(labels, tenant))
        local id = u64((index:register(labels, date, tenant)))
        items_expected["\3" .. prefix .. id .. name] = true
        items_expected["\5" .. prefix .. u64(date) .. id] = true
        for _, row in ipairs(tag_rows(assert(index:decode(name)))) do
          expected["\1" .. prefix .. estr(row[1]) .. estr(row[2]) .. id] = true
          expected["\6" .. prefix .. u64(date) .. estr(row[1]) .. estr(row[2]) .. id] = true
        end
      end
      local items = index:items()
      local found, kinds = {}, { [0] = 0, [2] = 0, [3] = 0 }
      for i, item in ipairs(items) do
        assert(i == 1 or items[i - 1] <= item, "items ascend: " .. s.hex(items[i - 1] or "") .. " then " .. s.hex(item))
        local kind = item:byte()
        if kind == 3 or kind == 5 then found[item] = true end
        kinds[kind] = (kinds[kind] or 0) + 1
      end
      assert.same(items_expected, found)
      assert.same(expected, split_tag_rows(items, cluster and 8 or 0))
      assert.equal(kinds[3], kinds[0])
      assert.equal(kinds[3], kinds[2])
      index:close()
    end
  end

  it("writes exactly the rows of each series and day, sorted, up to 64 ids a row, single layout", function() run("single", 12) end)
  it("writes them in the cluster layout too", function() run("cluster", 12) end)

  it("joins what many series share", function()
    local index = assert(s.open())
    for i = 1, 1000 do index:register { { "__name__", "m" }, { "job", "one" }, { "n", tostring(i) } } end
    local rows = 0
    for _, item in ipairs(index:items()) do
      if item:byte() == 1 and item:sub(2, 9) == "job\1one\1" then rows = rows + 1 end
    end
    assert.equal(math.ceil(1000 / 64), rows)
    index:close()
  end)
end)
