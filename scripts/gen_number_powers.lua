--- Writes csrc/ingest/number_powers.h: the powers of ten as 128-bit fractions, for csrc/ingest/number.c.
--
--   luajit scripts/gen_number_powers.lua > csrc/ingest/number_powers.h
--
-- What the table holds is defined in D. Lemire, "Number Parsing at a Gigabyte per Second", Software: Practice and
-- Experience 51 (8), 2021, sections 5 and 6. For a decimal exponent q the entry is the 128 leading bits of 5^q:
--
--   q >= 0         floor(5^q * 2^s), s such that the result has exactly 128 bits (exact up to 5^55)
--   -27 <= q < 0   floor(2^b / 5^-q) + 1: rounded up, so that w * entry is not below an exact quotient
--   q < -27        floor(2^b / 5^-q)
--
-- The integers are exact: little-endian arrays of 24-bit limbs, so that no intermediate leaves the 53 bits of a double.

local LIMB = 2 ^ 24
local LOWEST, HIGHEST = -342, 308

--- number = number * factor, in place; factor < 2^24.
local function multiply(number, factor)
  local carry = 0
  for i = 1, #number do
    local v = number[i] * factor + carry
    carry = math.floor(v / LIMB)
    number[i] = v - carry * LIMB
  end
  if carry > 0 then number[#number + 1] = carry end
  return number
end

--- number = floor(number / divisor), in place; divisor < 2^24.
local function divide(number, divisor)
  local rest = 0
  for i = #number, 1, -1 do
    local v = rest * LIMB + number[i]
    number[i] = math.floor(v / divisor)
    rest = v - number[i] * divisor
  end
  while #number > 1 and number[#number] == 0 do number[#number] = nil end
  return number
end

local function bit_at(number, index)
  local limb = number[math.floor(index / 24) + 1] or 0
  return math.floor(limb / 2 ^ (index % 24)) % 2
end

local function bit_length(number)
  local n, top = (#number - 1) * 24, number[#number]
  while top > 0 do
    n, top = n + 1, math.floor(top / 2)
  end
  return n
end

--- The 128 leading bits as 32 hexadecimal digits; `plus` is added to them.
local function leading_bits(number, plus)
  local length, nibbles = bit_length(number), {}
  for i = 1, 32 do
    local nibble = 0
    for j = 0, 3 do
      local index = length - 1 - (i - 1) * 4 - j
      nibble = nibble * 2 + (index >= 0 and bit_at(number, index) or 0)
    end
    nibbles[i] = nibble
  end
  for i = 32, 1, -1 do
    local v = nibbles[i] + plus
    plus = v >= 16 and 1 or 0
    nibbles[i] = v % 16
  end
  assert(plus == 0, "the entry overflows")
  local text = {}
  for i = 1, 32 do text[i] = ("%x"):format(nibbles[i]) end
  return table.concat(text)
end

--- A power of two large enough that 128 bits of the quotient by 5^342 (795 bits) are left, and some more.
local function power_of_two(exponent)
  local number = { 1 }
  for _ = 1, exponent do multiply(number, 2) end
  return number
end

local function entry(q)
  local number
  if q >= 0 then
    number = { 1 }
    for _ = 1, q do multiply(number, 5) end
    return leading_bits(number, 0)
  end
  -- floor(floor(x / a) / b) = floor(x / (a * b)): dividing by 5 again and again is exact
  number = power_of_two(960)
  for _ = 1, -q do divide(number, 5) end
  return leading_bits(number, q >= -27 and 1 or 0)
end

local function write(out)
  out:write([[
/*
 * number_powers.h -- the 128 leading bits of 5^q for q of -342..308; written by scripts/gen_number_powers.lua.
 * floor: ingest     uses: base.h     used by: number.c
 */
#ifndef TSE_NUMBER_POWERS_H
#define TSE_NUMBER_POWERS_H

#include "base/base.h"

enum { NUMBER_POWER_MIN = -342, NUMBER_POWER_MAX = 308 };

static const struct {
	uint64_t high;
	uint64_t low;
} number_powers[NUMBER_POWER_MAX - NUMBER_POWER_MIN + 1] = {
]])
  for q = LOWEST, HIGHEST do
    local hex = entry(q)
    out:write(("\t{ UINT64_C(0x%s), UINT64_C(0x%s) }, /* %d */\n"):format(hex:sub(1, 16), hex:sub(17), q))
  end
  out:write("};\n\n#endif\n")
end

write(io.stdout)
