local ffi = require("ffi")
local native = require("spec.support.native")
local parts = require("spec.support.parts")

native.cdef [[
void part_name_format(const struct part_header *header, char *name);
int part_name_parse(const char *name, struct part_header *header);
void min_dedup_format(int64_t interval_ms, char *text);
]]
local lib = native.lib

local CORRUPTED = 3

describe("the name of a part", function()
  it("is the one of the format's example", function()
    local header, name = ffi.new("struct part_header"), ffi.new("char[128]")
    header.rows, header.blocks, header.suffix = 11, 3, 0x18E9B86CE917F2F6ULL
    header.min_timestamp_ms, header.max_timestamp_ms = 1608336000000, 1608336045001
    lib.part_name_format(header, name)
    assert.are.equal("11_3_20201219000000.000_20201219000045.001_18E9B86CE917F2F6", ffi.string(name))
  end)

  it("comes back from text for times of any day", function()
    math.randomseed(native.seed("part names"))
    local header, back, name = ffi.new("struct part_header"), ffi.new("struct part_header"), ffi.new("char[128]")
    for _ = 1, 2000 do
      header.rows = math.random(1, 2 ^ 53)
      header.blocks = math.random(1, tonumber(header.rows))
      header.min_timestamp_ms = math.random(0, 253402300799999)
      header.max_timestamp_ms = math.random(tonumber(header.min_timestamp_ms), 253402300799999)
      header.suffix = ffi.cast("uint64_t", math.random(0, 0xffffffff)) * 0x100000001ULL
      lib.part_name_format(header, name)
      -- the calendar of the C library is the judge
      assert.are.equal(os.date("!%Y%m%d%H%M%S", math.floor(tonumber(header.min_timestamp_ms) / 1000)),
        (ffi.string(name):match("^%d+_%d+_(%d+)%.")))
      native.check(lib.part_name_parse(name, back))
      assert.is_true(ffi.string(header, ffi.sizeof(header)) == ffi.string(back, ffi.sizeof(back)))
    end
  end)

  it("is refused when a rule is broken", function()
    local back = ffi.new("struct part_header")
    local function parse(name) return lib.part_name_parse(name, back) end
    assert.are.equal(0, parse("1_1_20201219000000.000_20201219000000.000_x"))
    assert.are.equal(0ULL, back.suffix)
    assert.are.equal(0, parse("1_1_20200229235959.999_20200229235959.999_00000000000000Ff"))
    assert.are.equal(255ULL, back.suffix)
    for _, name in ipairs {
      "", "tmp", "1_1_20201219000000.000_20201219000000.000", "1_1_20201219000000.000_20201219000000.000_A_B",
      "0_0_20201219000000.000_20201219000000.000_A", "1_0_20201219000000.000_20201219000000.000_A",
      "1_2_20201219000000.000_20201219000000.000_A", "-1_1_20201219000000.000_20201219000000.000_A",
      "+1_1_20201219000000.000_20201219000000.000_A", "1x_1_20201219000000.000_20201219000000.000_A",
      "99999999999999999999_1_20201219000000.000_20201219000000.000_A",
      "1_1_20201219000001.000_20201219000000.000_A", "1_1_20201319000000.000_20201319000000.000_A",
      "1_1_20210229000000.000_20210229000000.000_A", "1_1_20201219240000.000_20201219240000.000_A",
      "1_1_20201219000000.00_20201219000000.000_A", "1_1_20201219000000,000_20201219000000.000_A",
      "1_1_20201200000000.000_20201219000000.000_A", "_1_20201219000000.000_20201219000000.000_A",
    } do
      assert.are.equal(CORRUPTED, parse(name), name)
    end
  end)
end)

describe("the dedup interval of a part", function()
  it("is written as Go writes durations", function()
    local text = ffi.new("char[48]")
    for ms, expected in pairs {
      [0] = "0s", [1] = "1ms", [500] = "500ms", [1000] = "1s", [1500] = "1.5s", [1001] = "1.001s", [10000] = "10s",
      [59999] = "59.999s", [60000] = "1m0s", [61250] = "1m1.25s", [3600000] = "1h0m0s", [90061000] = "25h1m1s",
    } do
      lib.min_dedup_format(ms, text)
      assert.are.equal(expected, ffi.string(text))
      assert.are.equal(ms, tonumber(lib.tt_part_min_dedup_parse(text)))
    end
  end)

  it("is read in every form that the peer takes, and no other", function()
    for text, ms in pairs {
      ["0"] = 0, ["10"] = 10000, ["1.5"] = 1500, ["1m0s"] = 60000, ["1h30m"] = 5400000, ["2d"] = 172800000, ["1w"] = 604800000,
      ["1y"] = 31536000000, ["0.5ms"] = 0, ["1s500ms"] = 1500,
      [""] = -1, ["s"] = -1, ["10x"] = -1, ["10 s"] = -1, ["-1s"] = -1, ["1.2.3s"] = -1, ["10s5"] = -1, ["1e3"] = -1,
      [("9"):rep(18) .. "y"] = -1, [("1"):rep(30)] = -1,
    } do
      assert.are.equal(ms, tonumber(lib.tt_part_min_dedup_parse(text)), text)
    end
  end)
end)

describe("the order of series", function()
  it("found by radix is the order of comparison", function()
    math.randomseed(native.seed("tsid_order"))
    for round = 1, 60 do
      local n = round == 1 and 20000 or math.random(1, 400)
      local tsids, order = ffi.new("struct tsid[?]", n), ffi.new("uint32_t[?]", n)
      local wide = { math.random(0, 1), math.random(1, 6), math.random(1, 3) }
      for i = 0, n - 1 do
        local t = tsids[i]
        t.account = wide[1] * math.random(0, 2)
        t.metric_group_id = ffi.cast("uint64_t", math.random(0, 10 ^ wide[2])) * (math.random(2) == 1 and 0x9E3779B97F4A7C15ULL or 1ULL)
        t.job_id, t.instance_id = math.random(0, wide[3]), math.random(0, 10)
        t.metric_id = math.random(0, 2 ^ 40)
      end
      native.check(lib.tt_part_order(tsids, n, order))
      local seen = {}
      for i = 0, n - 1 do
        assert.is_nil(seen[order[i]])
        seen[order[i]] = true
        if i > 0 then assert.is_true(lib.tt_part_tsid_compare(tsids + order[i - 1], tsids + order[i]) <= 0) end
      end
    end
  end)
end)

assert(parts)
