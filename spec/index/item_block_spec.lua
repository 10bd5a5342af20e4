local support = require("spec.index.item_support")
local ffi = require("ffi")
local base, lib = support.base, support.lib
local unhex, hex = support.unhex, support.hex

-- The 28 items of the worked example of the format (two series on one day, single-node).
local EXAMPLE = {}
for line in ([[
00 6370752e6c6f616401 6a6f6201 61706901 7a6f6e6501 6101 02 edeb7cd057911ef4 1f5ff62f a98c6e5b 18e9b803614d5ba6
00 757001 6a6f6201 61706901 696e7374616e636501 68313a3931303001 02 23af5a217b078e8f 1f5ff62f 0257b790 18e9b803614d5ba7
01 01 6370752e6c6f616401 18e9b803614d5ba6
01 01 757001 18e9b803614d5ba7
01 696e7374616e636501 68313a3931303001 18e9b803614d5ba7
01 6a6f6201 61706901 18e9b803614d5ba6 18e9b803614d5ba7
01 7a6f6e6501 6101 18e9b803614d5ba6
01 fe00327570696e7374616e636501 68313a3931303001 18e9b803614d5ba7
01 fe003275706a6f6201 61706901 18e9b803614d5ba7
01 fe086370752e6c6f61646a6f6201 61706901 18e9b803614d5ba6
01 fe086370752e6c6f61647a6f6e6501 6101 18e9b803614d5ba6
01 ff01 64616f6c2e75706301 18e9b803614d5ba6
02 18e9b803614d5ba6 edeb7cd057911ef4 1f5ff62f a98c6e5b 18e9b803614d5ba6
02 18e9b803614d5ba7 23af5a217b078e8f 1f5ff62f 0257b790 18e9b803614d5ba7
03 18e9b803614d5ba6 6370752e6c6f616401 6a6f6201 61706901 7a6f6e6501 6101
03 18e9b803614d5ba7 757001 6a6f6201 61706901 696e7374616e636501 68313a3931303001
05 0000000000005127 18e9b803614d5ba6
05 0000000000005127 18e9b803614d5ba7
06 0000000000005127 01 6370752e6c6f616401 18e9b803614d5ba6
06 0000000000005127 01 757001 18e9b803614d5ba7
06 0000000000005127 696e7374616e636501 68313a3931303001 18e9b803614d5ba7
06 0000000000005127 6a6f6201 61706901 18e9b803614d5ba6 18e9b803614d5ba7
06 0000000000005127 7a6f6e6501 6101 18e9b803614d5ba6
06 0000000000005127 fe00327570696e7374616e636501 68313a3931303001 18e9b803614d5ba7
06 0000000000005127 fe003275706a6f6201 61706901 18e9b803614d5ba7
06 0000000000005127 fe086370752e6c6f61646a6f6201 61706901 18e9b803614d5ba6
06 0000000000005127 fe086370752e6c6f61647a6f6e6501 6101 18e9b803614d5ba6
06 0000000000005127 ff01 64616f6c2e75706301 18e9b803614d5ba6
]]):gmatch("[^\n]+") do
  EXAMPLE[#EXAMPLE + 1] = unhex(line)
end

-- The last three fields of a header: type, items, payload sizes.
local function header_tail(header)
  local function u32(at) local a, b, c, d = header:byte(at, at + 3); return ((a * 256 + b) * 256 + c) * 256 + d end
  local at = #header - 28
  return { type = header:byte(at), items = u32(at + 1), items_bytes = u32(at + 21), lens_bytes = u32(at + 25) }
end

describe("a block of items", function()
  local mem

  before_each(function() mem = base.mem() end)
  after_each(function() assert.equal(0, tonumber(mem.live_blocks)) end)

  local function round(items, level)
    local framed = support.frame(items)
    local header, payload, lens, out = support.with_bufs(mem, 4, function(h, i, l, o)
      return lib.tt_item_block_round(mem, support.bytes(framed), level or 1, h, i, l, o)
    end)
    assert(header, base.message())
    return header, payload, lens, support.unframe(out)
  end

  local function decode(header, items, lens)
    local text, rc = support.with_bufs(mem, 1, function(out)
      return lib.tt_item_block_decode(mem, support.bytes(header), support.bytes(items), support.bytes(lens), out)
    end)
    if not text then return nil, rc end
    return support.unframe(text)
  end

  local function unzstd(frame)
    return support.with_bufs(mem, 1, function(out) return lib.tt_item_unzstd(mem, support.bytes(frame), out) end)
  end

  local function zstd(text)
    return support.with_bufs(mem, 1, function(out) return lib.tt_item_zstd(mem, support.bytes(text), out) end)
  end

  it("of the worked example holds exactly the documented bytes", function()
    local header, items, lens, out = round(EXAMPLE)
    assert.same(EXAMPLE, out)
    local tail = header_tail(header)
    assert.equal(1, tail.type)
    assert.equal(28, tail.items)
    assert.equal("0032" .. hex(EXAMPLE[1]) .. "01", hex(header:sub(1, 53)))
    assert.equal(hex(unhex [[01 01 02 03 00 00 00 07 04 09 0a 01 08 08 08 08 10 10 0a 03 00 00 00 07 04 19 1a
      04 25 1e 17 03 09 0f 09 0d 01 0e 35 00 00 04 34 00 0a 0e 37 03 39 3f 39 3d 01 3e]]), hex(unzstd(lens)))
    local content = unzstd(items)
    assert.equal(597, #content)
    assert.equal("7570016a6f6201", hex(content:sub(1, 7)))
    assert.equal(hex(unhex "01 01 6370752e6c6f616401 18e9b803614d5ba6"), hex(content:sub(54, 72)))
    assert.equal(hex(unhex "757001 18e9b803614d5ba7"), hex(content:sub(73, 83)))
  end)

  it("of three deleted ids is the documented plain block, byte for byte", function()
    local header, items, lens, out = round { unhex "0418e9b8ca4b2f6c52", unhex "0418e9b8ca4b2f6c53", unhex "0418e9b8ca4b2f6c54" }
    assert.equal(3, #out)
    assert.equal("080418e9b8ca4b2f6c090418e9b8ca4b2f6c52000000000300000000000000000000000000000000" .. "0000000200000010", hex(header))
    assert.equal("5354", hex(items))
    assert.equal("00000000000000010000000000000001", hex(lens))
  end)

  it("never has an empty items payload", function()
    for _, items in ipairs { { "only" }, { "" }, { "x", "x", "x" }, { ("y"):rep(65536) }, { "", "", "" } } do
      local header, payload, _, out = round(items)
      assert.equal(1, header_tail(header).type)
      assert.is_true(#payload > 0)
      assert.same(items, out)
    end
  end)

  it("gives random items back, whatever they share", function()
    local seed = require("spec.support.native").seed("item_block")
    local random = support.random(seed)
    for _ = 1, 200 do
      local items, total = {}, 0
      local alphabet, prefix = 1 + random(4), ("p"):rep(random(40))
      for _ = 1, 1 + random(300) do
        local t = {}
        for j = 1, random(2) == 0 and random(4) or random(60) do t[j] = string.char(random(alphabet) * 85 % 256) end
        local item = prefix .. table.concat(t)
        if total + #item <= 65536 then
          items[#items + 1] = item
          total = total + #item
        end
      end
      table.sort(items)
      local _, _, _, out = round(items, ({ -5, 1, 3 })[1 + random(3)])
      assert.same(items, out)
    end
  end)

  -- A header by hand, for blocks that nobody writes.
  local function make_header(prefix, first, kind, count, items, lens)
    local function u32(v) return support.u64(v):sub(5) end
    return string.char(#prefix) .. prefix .. string.char(#first) .. first .. string.char(kind) .. u32(count) .. support.u64(0) ..
      support.u64(0) .. u32(#items) .. u32(#lens)
  end

  it("may have shorter prefixes than it could", function()
    local lens = support.u64(2) .. support.u64(2)
    assert.same({ "aa", "ab", "ac" }, decode(make_header("", "aa", 0, 3, "abac", lens), "abac", lens))
    lens = zstd(string.char(0, 0, 0, 0))
    local items = zstd("abac")
    assert.same({ "aa", "ab", "ac" }, decode(make_header("", "aa", 1, 3, items, lens), items, lens))
  end)

  it("says so when items are not sorted, lengths do not fit or bytes are left over", function()
    local bad = {
      { "descending", "", "ab", 0, 2, "aa", support.u64(2) },
      { "length too long", "", "ab", 0, 2, "ac", support.u64(3) },
      { "length too short", "", "ab", 0, 2, "acx", support.u64(2) },
      { "absurd length", "", "ab", 0, 2, "ac", support.u64(2 ^ 52) },
      { "lens cut", "", "ab", 0, 2, "ac", support.u64(2):sub(2) },
      { "too many items", "", "ab", 0, 131074, "ac", support.u64(2) },
      { "no item", "", "ab", 0, 0, "", "" },
      { "unknown type", "", "ab", 2, 2, "ac", support.u64(2) },
      { "prefix is not one", "x", "ab", 0, 2, "c", support.u64(1) },
      { "prefix longer than the item", "ab", "a", 0, 2, "c", support.u64(1) },
      { "not zstd", "", "ab", 1, 2, "ac", "nonsense" },
      { "lens left over", "", "ab", 1, 2, zstd("c"), zstd("\1\0\0") },
      { "shares more than the item has", "", "ab", 1, 2, zstd(""), zstd("\3\0") },
      { "shares more than the one before has", "", "ab", 1, 2, zstd("zz"), zstd("\3\7") },
      { "a length of eleven bytes", "", "ab", 1, 2, zstd("c"), zstd(("\255"):rep(5)) },
    }
    for _, case in ipairs(bad) do
      local header = make_header(case[2], case[3], case[4], case[5], case[6], case[7])
      local out, rc = decode(header, case[6], case[7])
      assert.is_nil(out, case[1])
      assert.equal(base.code.CORRUPTED, rc, case[1])
    end
  end)

  it("refuses items that sum up to more than 65536 bytes", function()
    local long = ("a"):rep(100)
    local lens = zstd(("\100" .. ("\0"):rep(699)) .. ("\0"):rep(700))
    local items = zstd("")
    local out, rc = decode(make_header("", long, 1, 701, items, lens), items, lens)
    assert.is_nil(out)
    assert.equal(base.code.CORRUPTED, rc)
    assert.truthy(base.message():find("70100", 1, true))
  end)

  it("cut off at any byte of its header is refused", function()
    local header = round(EXAMPLE)
    for n = 0, #header - 1 do
      local out, rc = decode(header:sub(1, n), "", "")
      assert.is_nil(out)
      assert.equal(base.code.CORRUPTED, rc)
    end
  end)
end)

describe("joining tag rows", function()
  local mem

  before_each(function() mem = base.mem() end)
  after_each(function() assert.equal(0, tonumber(mem.live_blocks)) end)

  local function join(items, tenant_bytes)
    local framed = support.frame(items)
    local text = support.with_bufs(mem, 1, function(out) return lib.tt_item_join(mem, support.bytes(framed), tenant_bytes or 0, out) end)
    return support.unframe(assert(text))
  end
  local id = support.u64

  it("makes one row of the rows of a tag, ids ascending and once", function()
    assert.same({ "\1job\1api\1" .. id(3) .. id(4) .. id(5) .. id(9) },
      join { "\1job\1api\1" .. id(3) .. id(9), "\1job\1api\1" .. id(4), "\1job\1api\1" .. id(4) .. id(5) })
  end)

  it("keeps tags, days and kinds apart", function()
    local items = { "\1a\1b\1" .. id(1), "\1a\1c\1" .. id(2), "\1b\1b\1" .. id(3), "\2" .. id(1), "\6" .. id(7) .. "a\1b\1" .. id(1), "\6" .. id(8) .. "a\1b\1" .. id(1) }
    assert.same(items, join(items))
  end)

  it("sees where the ids begin although tenant and day hold any byte", function()
    local tenant = "\0\0\0\1\1\1\1\1"
    assert.same({ "\1" .. tenant .. "a\1b\1" .. id(1) .. id(2), "\6" .. tenant .. id(257) .. "a\1b\1" .. id(1) .. id(2) },
      join({ "\1" .. tenant .. "a\1b\1" .. id(1), "\1" .. tenant .. "a\1b\1" .. id(2),
        "\6" .. tenant .. id(257) .. "a\1b\1" .. id(1), "\6" .. tenant .. id(257) .. "a\1b\1" .. id(2) }, 8))
  end)

  it("leaves rows alone that hold 64 ids or cannot be parsed", function()
    local many = {}
    for i = 1, 64 do many[i] = id(i) end
    local items = { "\1a\1b\1" .. table.concat(many), "\1a\1b\1" .. id(2), "\1broken", "\1c\1d\1", "\1c\1d\1x" }
    assert.same(items, join(items))
  end)

  it("makes rows of at most 126 ids", function()
    local items, all = {}, {}
    for i = 1, 300 do items[i] = "\1a\1b\1" .. id(i) end
    for _, row in ipairs(join(items)) do
      local n = (#row - 5) / 8
      assert.is_true(n >= 1 and n <= 126)
      for at = 6, #row, 8 do all[#all + 1] = "\1a\1b\1" .. row:sub(at, at + 7) end
    end
    assert.same(items, all)
  end)

  it("stays sorted and keeps the set, also with ids that repeat across rows", function()
    local seed = require("spec.support.native").seed("item_join")
    local random = support.random(seed)
    for _ = 1, 300 do
      local items, ids = {}, 1 + random(60)
      for i = 1, random(120) do
        local row, n = { "\1" .. ("a"):rep(1 + random(2)) .. "\1v\1" }, 1 + random(random(3) == 0 and 70 or 4)
        for j = 1, n do row[j + 1] = id(1 + random(ids)) end
        items[i] = random(10) == 0 and ("\2" .. id(random(5))) or table.concat(row)
      end
      table.sort(items)
      local out = join(items)
      assert.is_true(support.is_sorted(out))
      assert.is_nil(support.difference(support.meaning(items), support.meaning(out)))
    end
  end)
end)

describe("the choice of a merge", function()
  local function pick(sizes, parts_max, gain)
    local start = ffi.new("size_t[1]")
    local n = lib.tt_item_plan(ffi.new("uint64_t[?]", #sizes, sizes), #sizes, parts_max, gain, start)
    return tonumber(n), tonumber(start[0])
  end

  it("takes alike parts and leaves the rest", function()
    assert.same({ 0, 0 }, { pick({ 1, 10, 100, 1000 }, 15, 1.7) })
    assert.same({ 3, 0 }, { pick({ 5, 5, 5, 1000 }, 15, 1.7) })
    assert.same({ 8, 0 }, { pick({ 90, 91, 92, 93, 94, 95, 96, 97, 5000 }, 15, 7) })
    -- A crumb costs nothing and is swept along.
    assert.same({ 9, 0 }, { pick({ 1, 90, 91, 92, 93, 94, 95, 96, 97 }, 15, 7) })
    assert.same({ 0, 0 }, { pick({ 90, 91, 92, 93 }, 15, 7.5) })
  end)

  it("takes no more than it may, and nothing of nothing", function()
    local sizes = {}
    for i = 1, 40 do sizes[i] = 10 end
    assert.equal(15, (pick(sizes, 15, 1.7)))
    assert.equal(0, (pick({}, 15, 1.7)))
    assert.equal(0, (pick({ 7 }, 15, 1.7)))
  end)
end)
