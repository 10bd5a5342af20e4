local ffi = require("ffi")
local native = require("spec.support.native")
local vectors = require("spec.support.vectors")

native.cdef [[
uint64_t tt_codec_live(void);
size_t tt_codec_varint_put(int64_t value, uint8_t *out);
int tt_codec_varint_get(const uint8_t *data, size_t n, int64_t *out);
long tt_codec_varints_get(const uint8_t *data, size_t len, int64_t *out, size_t n);
size_t tt_codec_varints_put(const int64_t *in, size_t n, uint8_t *out);
int tt_codec_int64s_encode(const int64_t *a, size_t n, int precision_bits, uint8_t *out, size_t *len, int *type, int64_t *first);
int tt_codec_int64s_decode(const uint8_t *payload, size_t len, int type, int64_t first, int64_t *a, size_t n);
int tt_codec_zstd_compress(int level, const uint8_t *data, size_t len, uint8_t *out, size_t *out_len);
int tt_codec_zstd_decompress(const uint8_t *frame, size_t len, size_t limit, uint8_t *out, size_t *out_len);
uint32_t tt_codec_crc32c(const uint8_t *data, size_t from, size_t len, bool portable);
int tt_codec_decimals(const uint64_t *bits, size_t n, int64_t *mantissas);
void tt_codec_doubles(const int64_t *mantissas, size_t n, int exponent, uint64_t *bits, bool in_place);
uint64_t tt_codec_round_trip(uint64_t bits);
uint64_t hash_xxh64(const void *data, size_t len);
]]
local lib = native.lib

local CORRUPTED = 3

--- A random int64 whose size is random too: short numbers are as likely as long ones.
local function random_int64()
  local value = ffi.cast("uint64_t", math.random(0, 0xffffffff)) * 0x100000000ULL + math.random(0, 0xffffffff)
  value = value / (2ULL ^ math.random(0, 63))
  if math.random(2) == 1 then value = -value end
  return ffi.cast("int64_t", value)
end

--- Arrays as storage meets them: counters with resets, gauges, steps, constants, noise.
local shapes = {
  function(a, n) for i = 0, n - 1 do a[i] = random_int64() end end,
  function(a, n) local v = random_int64() for i = 0, n - 1 do a[i] = v end end,
  function(a, n) local v, d = random_int64(), random_int64() for i = 0, n - 1 do a[i] = v + i * d end end,
  function(a, n) local v = 0LL for i = 0, n - 1 do v = v + math.random(0, 1000) a[i] = v end end,
  function(a, n)
    local v = 0LL
    for i = 0, n - 1 do
      v = math.random(20) == 1 and 0LL or v + math.random(0, 100000)
      a[i] = v
    end
  end,
  function(a, n) local v = 50LL for i = 0, n - 1 do v = v + math.random(-3, 3) a[i] = v end end,
  function(a, n) for i = 0, n - 1 do a[i] = 1700000000000LL + i * 15000 + math.random(-20, 20) end end,
  function(a, n) for i = 0, n - 1 do a[i] = math.random(3) == 1 and 0x7fffffffffffffffLL or math.random(100) end end,
}

local function encode(a, n, precision_bits)
  local out = ffi.new("uint8_t[?]", 10 * n + 1024)
  local len, type_, first = ffi.new("size_t[1]"), ffi.new("int[1]"), ffi.new("int64_t[1]")
  native.check(lib.tt_codec_int64s_encode(a, n, precision_bits, out, len, type_, first))
  return out, tonumber(len[0]), type_[0], first[0]
end

describe("varints", function()
  setup(function() math.randomseed(native.seed("varints")) end)

  it("come back from a run, whatever their lengths", function()
    for _ = 1, 300 do
      local n = math.random(1, 100)
      local a, back, bytes = ffi.new("int64_t[?]", n), ffi.new("int64_t[?]", n), ffi.new("uint8_t[?]", 10 * n + 8)
      local short = math.random(2) == 1
      for i = 0, n - 1 do a[i] = short and math.random(-200, 200) or random_int64() end
      local len = tonumber(lib.tt_codec_varints_put(a, n, bytes))
      local alone, at = ffi.new("uint8_t[32]"), 0
      for i = 0, n - 1 do
        local k = tonumber(lib.tt_codec_varint_put(a[i], alone))
        assert.are.equal(vectors.hex(alone, k), vectors.hex(bytes + at, k))
        at = at + k
      end
      assert.are.equal(at, len)
      assert.are.equal(len, tonumber(lib.tt_codec_varints_get(bytes, len, back, n)))
      assert.are.equal(vectors.show(a, n), vectors.show(back, n))
      assert.are.equal(-1, tonumber(lib.tt_codec_varints_get(bytes, len - 1, back, n)))
    end
  end)

  it("are read the same in a run and one by one, from any bytes", function()
    for _ = 1, 2000 do
      local len, n = math.random(0, 60), math.random(1, 40)
      local bytes = ffi.new("uint8_t[?]", len + 1)
      local high = math.random(0, 255)
      for i = 0, len - 1 do bytes[i] = math.random(0, 127) + (math.random(0, 255) < high and 128 or 0) end
      local one, expected, at = ffi.new("int64_t[1]"), ffi.new("int64_t[?]", n), 0
      for i = 0, n - 1 do
        local used = lib.tt_codec_varint_get(bytes + at, len - at, one)
        if used < 0 then at = -1 break end
        expected[i] = one[0]
        at = at + used
      end
      local back = ffi.new("int64_t[?]", n)
      assert.are.equal(at, tonumber(lib.tt_codec_varints_get(bytes, len, back, n)))
      if at >= 0 then assert.are.equal(vectors.show(expected, n), vectors.show(back, n)) end
    end
  end)

  it("longer than they need to be are read, longer than ten bytes refused, bits above 2^64 dropped", function()
    local value = ffi.new("int64_t[1]")
    local function get(hex)
      local bytes, n = vectors.bytes(hex)
      return lib.tt_codec_varint_get(bytes, n, value), value[0]
    end
    assert.are.same({ 2, 1LL }, { get("8200") })
    assert.are.equal(-1, (get("8080808080808080808001")))
    assert.are.equal(-1, (get("80")))
    assert.are.same({ 10, 0LL }, { get("8080808080808080807e") })
  end)
end)

describe("arrays of integers", function()
  setup(function() math.randomseed(native.seed("int64s")) end)

  it("come back exactly", function()
    for round = 1, 400 do
      local n = math.random(3) == 1 and math.random(1, 5) or math.random(1, 1500)
      local a, back = ffi.new("int64_t[?]", n), ffi.new("int64_t[?]", n)
      shapes[round % #shapes + 1](a, n)
      local payload, len, type_, first = encode(a, n, 64)
      native.check(lib.tt_codec_int64s_decode(payload, len, type_, first, back, n))
      assert.is_true(ffi.string(a, n * 8) == ffi.string(back, n * 8))
      assert.are.equal(0, tonumber(lib.tt_codec_live()))
    end
  end)

  it("with few precision bits come back near, and the encoding of what came back is stable in size", function()
    for round = 1, 200 do
      local n, bits = math.random(2, 600), math.random(1, 63)
      local a, back = ffi.new("int64_t[?]", n), ffi.new("int64_t[?]", n)
      shapes[round % 2 == 0 and 6 or 4](a, n)
      local payload, len, type_, first = encode(a, n, bits)
      native.check(lib.tt_codec_int64s_decode(payload, len, type_, first, back, n))
      assert.is_true(back[0] == a[0])
      for i = 0, n - 1 do
        local off = math.abs(tonumber(back[i] - a[i]))
        -- a step is cut below its k-th bit only while the number has more than `bits` bits
        assert.is_true(off <= 32 * math.max(1, math.abs(tonumber(a[i]))) / 2 ^ math.min(bits, 50) * 8 + 1,
          ("%s became %s with %d bits"):format(tostring(a[i]), tostring(back[i]), bits))
      end
    end
  end)

  it("are accepted in any valid encoding, not only the one we choose", function()
    for _ = 1, 200 do
      local n = math.random(2, 300)
      local a, back = ffi.new("int64_t[?]", n), ffi.new("int64_t[?]", n)
      shapes[math.random(#shapes)](a, n)
      local steps, steps2 = ffi.new("int64_t[?]", n), ffi.new("int64_t[?]", n)
      for i = 1, n - 1 do steps[i - 1] = a[i] - a[i - 1] end
      steps2[0] = steps[0]
      for i = 1, n - 2 do steps2[i] = steps[i] - steps[i - 1] end
      for plain, deltas in pairs { [6] = steps, [5] = steps2 } do
        local bytes, frame = ffi.new("uint8_t[?]", 10 * n + 8), ffi.new("uint8_t[?]", 20 * n + 1024)
        local len = tonumber(lib.tt_codec_varints_put(deltas, n - 1, bytes))
        native.check(lib.tt_codec_int64s_decode(bytes, len, plain, a[0], back, n))
        assert.is_true(ffi.string(a, n * 8) == ffi.string(back, n * 8))
        local frame_len = ffi.new("size_t[1]")
        native.check(lib.tt_codec_zstd_compress(math.random(-5, 6), bytes, len, frame, frame_len))
        ffi.fill(back, n * 8)
        native.check(lib.tt_codec_int64s_decode(frame, frame_len[0], plain == 6 and 4 or 1, a[0], back, n))
        assert.is_true(ffi.string(a, n * 8) == ffi.string(back, n * 8))
        -- a byte more or less is an error
        bytes[len] = 0
        assert.are.equal(CORRUPTED, lib.tt_codec_int64s_decode(bytes, len + 1, plain, a[0], back, n))
        assert.are.equal(CORRUPTED, lib.tt_codec_int64s_decode(bytes, len - 1, plain, a[0], back, n))
      end
    end
  end)

  it("refuse what no encoder writes", function()
    local a, byte = ffi.new("int64_t[4]"), ffi.new("uint8_t[4]", { 2, 2, 2, 2 })
    local function decode(len, type_, n) return lib.tt_codec_int64s_decode(byte, len, type_, 1, a, n) end
    assert.are.equal(CORRUPTED, decode(1, 3, 4))  -- a constant with a payload
    assert.are.equal(CORRUPTED, decode(0, 2, 4))  -- a constant step without one
    assert.are.equal(CORRUPTED, decode(2, 2, 4))  -- or with two
    assert.are.equal(CORRUPTED, decode(0, 5, 1))  -- differences of differences of one number
    assert.are.equal(CORRUPTED, decode(1, 0, 1))
    assert.are.equal(CORRUPTED, decode(1, 7, 2))
    assert.are.equal(CORRUPTED, decode(4, 4, 4))  -- no frame
    assert.are.equal(0, decode(0, 6, 1))
    assert.are.equal(0, decode(3, 6, 4))
  end)

  it("damaged at any byte never do more than fail", function()
    for round = 1, 60 do
      local n = math.random(2, 400)
      local a, back = ffi.new("int64_t[?]", n), ffi.new("int64_t[?]", n)
      shapes[round % #shapes + 1](a, n)
      local payload, len, type_, first = encode(a, n, 64)
      for _ = 1, 50 do
        local damaged = ffi.new("uint8_t[?]", len + 1)
        ffi.copy(damaged, payload, len)
        if len > 0 then damaged[math.random(0, len - 1)] = math.random(0, 255) end
        local rc = lib.tt_codec_int64s_decode(damaged, math.random(0, len), math.random(4) == 1 and math.random(0, 9) or type_,
          first, back, n)
        assert.is_true(rc == 0 or rc == CORRUPTED)
        assert.are.equal(0, tonumber(lib.tt_codec_live()))
      end
    end
  end)
end)

describe("compression", function()
  setup(function() math.randomseed(native.seed("compression")) end)

  --- Payload bytes per number of `blocks` arrays of n numbers that fill makes.
  local function bytes_per_number(blocks, n, fill)
    local total, a, back = 0, ffi.new("int64_t[?]", n), ffi.new("int64_t[?]", n)
    for _ = 1, blocks do
      fill(a)
      local payload, len, type_, first = encode(a, n, 64)
      native.check(lib.tt_codec_int64s_decode(payload, len, type_, first, back, n))
      assert.is_true(ffi.string(a, n * 8) == ffi.string(back, n * 8))
      total = total + len
    end
    return total / blocks / n
  end

  it("packs random walks near their entropy: less than 0.3 bytes per row, where level 5 takes 0.35", function()
    local function walk(a)
      local v = math.random() * 100
      for i = 0, 8191 do
        v = v + math.sqrt(-2 * math.log(1 - math.random())) * math.cos(2 * math.pi * math.random())
        v = math.min(100, math.max(0, v))
        a[i] = math.floor(v)
      end
    end
    assert.is_true(bytes_per_number(40, 8192, walk) < 0.3)
  end)

  it("finds what repeats: a pattern of noise, again and again", function()
    local function pattern(a)
      for i = 0, 8191 do a[i] = i < 300 and math.random(-2 ^ 30, 2 ^ 30) or a[i - 300] end
    end
    assert.is_true(bytes_per_number(5, 8192, pattern) < 0.3)
  end)

  it("leaves alone what has nothing to give", function()
    local function noise(a)
      for i = 0, 999 do a[i] = ffi.cast("int64_t", math.random(0, 0xffffffff)) * 0x1000000LL + math.random(0, 0xffffff) end
    end
    local a = ffi.new("int64_t[1000]")
    noise(a)
    local _, _, type_ = encode(a, 1000, 64)
    assert.are.equal(6, type_)
  end)
end)

describe("zstd frames", function()
  it("carry a checksum: every flipped bit is noticed", function()
    local data, frame, back = ffi.new("uint8_t[600]"), ffi.new("uint8_t[1200]"), ffi.new("uint8_t[600]")
    for i = 0, 599 do data[i] = i % 7 * i % 11 end
    local len, back_len = ffi.new("size_t[1]"), ffi.new("size_t[1]")
    native.check(lib.tt_codec_zstd_compress(1, data, 600, frame, len))
    for i = 0, tonumber(len[0]) - 1 do
      for bit = 0, 7 do
        local was = frame[i]
        frame[i] = require("bit").bxor(was, 2 ^ bit)
        local rc = lib.tt_codec_zstd_decompress(frame, len[0], 600, back, back_len)
        -- the reserved bit of the frame header is the only one that zstd may not look at
        assert.is_true(rc == CORRUPTED or ffi.string(back, 600) == ffi.string(data, 600), ("byte %d bit %d"):format(i, bit))
        frame[i] = was
      end
    end
  end)

  it("larger than the limit are refused without being unpacked", function()
    local data, frame = ffi.new("uint8_t[100000]"), ffi.new("uint8_t[2000]")
    local len, back_len = ffi.new("size_t[1]"), ffi.new("size_t[1]")
    local big = ffi.new("uint8_t[110000]")
    native.check(lib.tt_codec_zstd_compress(3, data, 100000, big, len))
    ffi.copy(frame, big, len[0])
    assert.are.equal(CORRUPTED, lib.tt_codec_zstd_decompress(frame, len[0], 99999, big, back_len))
    assert.are.equal(0, lib.tt_codec_zstd_decompress(frame, len[0], 100000, big, back_len))
    assert.are.equal(CORRUPTED, lib.tt_codec_zstd_decompress(frame, 0, 100000, big, back_len))
    assert.are.equal(CORRUPTED, lib.tt_codec_zstd_decompress(frame, len[0] - 1, 100000, big, back_len))
  end)
end)

describe("checksums", function()
  it("are CRC32C, by the CPU and by tables alike", function()
    local text = "123456789"
    local data = ffi.new("uint8_t[300]")
    ffi.copy(data, text, #text)
    assert.are.equal(0xE3069283, tonumber(lib.tt_codec_crc32c(data, 0, 9, false)))
    assert.are.equal(0xE3069283, tonumber(lib.tt_codec_crc32c(data, 0, 9, true)))
    for i = 0, 299 do data[i] = (i * 37 + 11) % 256 end
    for from = 0, 9 do
      for len = 0, 80 do
        assert.are.equal(lib.tt_codec_crc32c(data, from, len, true), lib.tt_codec_crc32c(data, from, len, false))
      end
    end
  end)

  it("of names are xxHash64 with seed 0", function()
    -- part format 17.8: the metric group of "m_a", the low half of "x"
    assert.are.equal("1722ab39dd0c086d", vectors.show_bits(lib.hash_xxh64("m_a", 3)))
    assert.are.equal("83041123", vectors.show_bits(lib.hash_xxh64("x", 1)):sub(9))
  end)
end)

describe("decimals", function()
  setup(function() math.randomseed(native.seed("decimals")) end)

  local union = ffi.new("union { double d; uint64_t u; }")
  local function bits_of(value) union.d = value return ffi.cast("uint64_t", union.u) end
  local function double_of(bits) union.u = bits return union.d end

  local function there_and_back(values)
    local n = #values
    local bits, mantissas, back = ffi.new("uint64_t[?]", n), ffi.new("int64_t[?]", n), ffi.new("uint64_t[?]", n)
    for i = 1, n do bits[i - 1] = bits_of(values[i]) end
    local exponent = lib.tt_codec_decimals(bits, n, mantissas)
    lib.tt_codec_doubles(mantissas, n, exponent, back, true)
    return back, exponent, mantissas
  end

  it("keep integers below 2^53 and decimals of twelve digits to the bit", function()
    for _ = 1, 300 do
      local values, scale = {}, 10 ^ math.random(0, 6)
      local integers = math.random(2) == 1
      for i = 1, math.random(1, 60) do
        local digits = math.random(0, 999999) * (integers and 1e9 or 1e6) + math.random(0, 999999)
        if math.random(3) == 1 then digits = math.random(0, 1000) end
        values[i] = (integers and digits or digits / scale) * (math.random(2) == 1 and 1 or -1)
      end
      local back = there_and_back(values)
      for i = 1, #values do
        local got = double_of(back[i - 1])
        assert.is_true(got == values[i], ("%.17g became %.17g"):format(values[i], got))
      end
    end
  end)

  -- twelve digits stay, cut and not rounded: 1e-12, and a few roundings of doubles on the way there
  local CLOSE = 1.01e-12

  it("keep any double alone within 1e-12, and say so beforehand", function()
    local n = 0
    while n < 20000 do
      local bits = ffi.cast("uint64_t", math.random(0, 0xffffffff)) * 0x100000000ULL + math.random(0, 0xffffffff)
      local exponent = tonumber(bits / 0x10000000000000ULL % 2048)
      if exponent ~= 2047 and exponent > 100 and exponent < 2000 then
        n = n + 1
        local value = double_of(bits)
        local back = there_and_back { value }
        assert.is_true(math.abs(double_of(back[0]) - value) <= math.abs(value) * CLOSE, ("%.17g"):format(value))
        assert.is_true(lib.tt_codec_round_trip(bits) == back[0], ("%.17g"):format(value))
      end
    end
  end)

  it("keep infinities and stale markers beside numbers, and zeros lose their sign", function()
    local stale = double_of(0x7ff0000000000002ULL)
    local back, exponent, mantissas = there_and_back { 1.5, 1 / 0, -1 / 0, stale, -0.0, 2.25 }
    assert.are.equal(-2, exponent)
    assert.are.equal("150 9223372036854775807 -9223372036854775808 9223372036854775806 0 225", vectors.show(mantissas, 6))
    assert.are.equal(1.5, double_of(back[0]))
    assert.are.equal(1 / 0, double_of(back[1]))
    assert.are.equal(-1 / 0, double_of(back[2]))
    assert.are.equal("7ff0000000000002", vectors.show_bits(back[3]))
    assert.are.equal("0000000000000000", vectors.show_bits(back[4]))
    assert.are.equal("0000000000000000", vectors.show_bits(lib.tt_codec_round_trip(0x8000000000000000ULL)))
    assert.are.equal("7ff0000000000002", vectors.show_bits(lib.tt_codec_round_trip(0x7ff0000000000002ULL)))
  end)

  it("take the same way with and without the shortcuts", function()
    -- one fraction in the block keeps the integers off their fast path; what they become must agree where 9.5 lets it
    for _ = 1, 200 do
      local values = {}
      for i = 1, math.random(2, 40) do values[i] = math.random(-1000000, 1000000) * 10 ^ math.random(0, 3) end
      local plain, e1 = there_and_back(values)
      values[#values + 1] = 0.5
      local mixed, e2 = there_and_back(values)
      assert.is_true(e1 >= 0 and e2 == -1)
      for i = 0, #values - 2 do assert.is_true(plain[i] == mixed[i]) end
    end
  end)

  it("never become a NaN that Lua must not read, from any mantissa and exponent", function()
    local n = 64
    local mantissas, back = ffi.new("int64_t[?]", n), ffi.new("uint64_t[?]", n)
    for _ = 1, 2000 do
      for i = 0, n - 1 do mantissas[i] = math.random(8) == 1 and 0x7fffffffffffffffLL - math.random(0, 3) or random_int64() end
      if math.random(3) == 1 then mantissas[0] = 0 end
      lib.tt_codec_doubles(mantissas, n, math.random(-32768, 32767), back, math.random(2) == 1)
      for i = 0, n - 1 do
        local exponent = back[i] / 0x10000000000000ULL % 2048
        if exponent == 2047 and back[i] % 0x10000000000000ULL ~= 0 then
          assert.is_true(back[i] == 0x7ff0000000000002ULL or back[i] == 0x7ff8000000000000ULL)
        end
      end
    end
  end)
end)
