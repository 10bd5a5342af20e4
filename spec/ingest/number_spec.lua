local ffi = require("ffi")
local native = require("spec.support.native")

native.cdef [[
int64_t tt_number_check(uint64_t seed, uint64_t rounds, char *failed, size_t cap);
int tt_number(const char *text, size_t len, double *out, size_t *used);
const uint8_t *number_parse_int64(const uint8_t *p, const uint8_t *end, int64_t *out);
const uint8_t *number_parse_uint64(const uint8_t *p, const uint8_t *end, uint64_t *out);
]]

local lib = native.lib

--- The number at the start of the text and how many bytes it has; nil when there is none.
local function parse(text)
  local value, used = ffi.new("double[1]"), ffi.new("size_t[1]")
  if lib.tt_number(text, #text, value, used) == 0 then return nil end
  return value[0], tonumber(used[0])
end

local function bits(text)
  local value = ffi.new("union { double d; uint64_t u; }")
  value.d = parse(text)
  return ("%016x"):format(tonumber(value.u / 0x100000000ULL)):sub(9) .. ("%08x"):format(tonumber(value.u % 0x100000000ULL))
end

local function parse_integer(call, type_name, text)
  local buffer = ffi.new("uint8_t[?]", #text + 1, text)
  local out = ffi.new(type_name .. "[1]")
  local behind = lib[call](buffer, buffer + #text, out)
  if behind == nil then return nil end
  return tostring(out[0]), tonumber(behind - buffer)
end

describe("A decimal number", function()
  it("is the nearest double, as strtod finds it, for a million random texts", function()
    local failed = ffi.new("char[4096]")
    local bad = lib.tt_number_check(native.seed("numbers against strtod"), 1000000, failed, 4096)
    assert(bad == 0, tostring(bad) .. " differ, first " .. ffi.string(failed))
  end)

  it("may have sign, fraction and exponent in any of the usual ways", function()
    for text, expected in pairs {
      ["5"] = 5, ["+5"] = 5, ["-5"] = -5, ["5."] = 5, [".5"] = 0.5, ["-.5"] = -0.5, ["5.25"] = 5.25, ["5e3"] = 5000, ["5E3"] = 5000,
      ["5e+3"] = 5000, ["5e-3"] = 0.005, ["5.e3"] = 5000, ["000012"] = 12, ["0.000"] = 0, ["1e0000000000000000003"] = 1000,
      ["12345678"] = 12345678, ["123456789"] = 123456789, ["1234567890123456789"] = 1234567890123456789,
    } do
      local value, used = parse(text)
      assert.equal(expected, value, text)
      assert.equal(#text, used, text)
    end
  end)

  it("ends before what does not belong to it", function()
    for text, expected in pairs {
      ["5e"] = { 5, 1 }, ["5e+"] = { 5, 1 }, ["5x"] = { 5, 1 }, ["1_000"] = { 1, 1 }, ["0x10"] = { 0, 1 }, ["1.2.3"] = { 1.2, 3 },
      ["7,8"] = { 7, 1 }, ["12345678:"] = { 12345678, 8 }, ["1234567/"] = { 1234567, 7 }, ["infx"] = { math.huge, 3 },
      ["infinit"] = { math.huge, 3 }, ["3\0004"] = { 3, 1 }, ["3\2554"] = { 3, 1 },
    } do
      local value, used = parse(text)
      assert.same(expected, { value, used }, text)
    end
  end)

  it("is refused when it has no digit", function()
    for _, text in ipairs { "", "-", "+", ".", "-.", "e5", ".e5", "in", "na", "--1", "+-1", " 1", "x" } do
      assert.is_nil(parse(text), text)
    end
  end)

  it("may be infinite or NaN in any case, and a NaN has the canonical bits", function()
    for _, text in ipairs { "inf", "Inf", "INF", "+Inf", "infinity", "Infinity", "INFINITY" } do
      assert.same({ math.huge, #text }, { parse(text) })
    end
    assert.same({ -math.huge, 4 }, { parse("-inf") })
    for _, text in ipairs { "nan", "NaN", "-nan", "+NAN" } do assert.equal("7ff8000000000000", bits(text), text) end
  end)

  it("keeps the sign of zero", function()
    assert.equal("8000000000000000", bits("-0"))
    assert.equal("0000000000000000", bits("0"))
    assert.equal("8000000000000000", bits("-1e-400"))
  end)

  it("rounds to even exactly in the middle and away from it when a digit far behind says so", function()
    assert.equal(9007199254740992, parse("9007199254740993"))
    assert.equal(9007199254740996, parse("9007199254740995"))
    assert.equal(9007199254740994, parse("9007199254740993." .. ("0"):rep(900) .. "1"))
    assert.equal("0000000000000000", bits("2.4703282292062327e-324"))
    assert.equal("0000000000000001", bits("2.4703282292062328e-324"))
    assert.equal("7fefffffffffffff", bits("1.7976931348623158e308"))
    assert.equal(math.huge, parse("1.7976931348623159e308"))
    assert.equal("000fffffffffffff", bits("2.2250738585072011e-308"))
  end)

  it("counts an exponent against as many zeros as a line can hold", function()
    assert.equal(0.1, parse("0." .. ("0"):rep(1000000) .. "1e1000000"))
    assert.equal(1, parse("1" .. ("0"):rep(1000000) .. "e-1000000"))
    assert.equal(0, parse("1e-99999999999999999999"))
    assert.equal(math.huge, parse("1e99999999999999999999"))
    assert.equal(0, parse("0e99999999999999999999"))
  end)
end)

describe("An integer", function()
  it("is exact up to the ends of its type, and refused beyond", function()
    local cases = {
      { "0", "0" }, { "-1", "-1" }, { "+7", "7" }, { "1704067200000000000", "1704067200000000000" },
      { "9223372036854775807", "9223372036854775807" }, { "-9223372036854775808", "-9223372036854775808" },
      { "0000000000000000000000000005", "5" }, { "9223372036854775808" }, { "-9223372036854775809" }, { "99999999999999999999" },
      { "" }, { "-" }, { "x" },
    }
    for _, case in ipairs(cases) do
      local value = parse_integer("number_parse_int64", "int64_t", case[1])
      assert.equal(case[2] and case[2] .. "LL", value, case[1])
    end
    assert.equal("18446744073709551615ULL", (parse_integer("number_parse_uint64", "uint64_t", "18446744073709551615")))
    assert.is_nil((parse_integer("number_parse_uint64", "uint64_t", "18446744073709551616")))
    assert.is_nil((parse_integer("number_parse_uint64", "uint64_t", "-1")))
  end)

  it("ends before the first byte that is no digit", function()
    for digits = 1, 19 do
      for _, behind in ipairs { "", "i", " x1234567890", "\n", "/", ":", "\200", "\0" } do
        local text = ("1234567890123456789"):sub(1, digits)
        local value, used = parse_integer("number_parse_int64", "int64_t", text .. behind)
        assert.same({ text .. "LL", digits }, { value, used }, text .. behind)
      end
    end
  end)
end)

describe("The table of powers", function()
  it("is what its generator writes", function()
    local pipe = io.popen("luajit scripts/gen_number_powers.lua")
    local generated = pipe:read("*a")
    pipe:close()
    local file = assert(io.open("csrc/ingest/number_powers.h", "rb"))
    local committed = file:read("*a")
    file:close()
    -- the layout is the formatter's business, the numbers are not
    local function numbers(text)
      local list = {}
      for hex in text:gmatch("0x(%x+)") do list[#list + 1] = hex end
      return list
    end
    assert.equal(2 * 651, #numbers(generated))
    assert.same(numbers(generated), numbers(committed))
  end)
end)
