--- Five thousand series that are hard to store: made from a seed, with what must come back and how exactly.
local ffi = require("ffi")
local metric_text = require("spec.support.metric_text")

local M = {}

local STALE = ffi.new("union { uint64_t bits; double value; }", { bits = 0x7FF0000000000002ULL }).value
M.STALE = STALE

--- Whole milliseconds; the data of a series lies within some hours, months apart from others.
local MONTHS_BACK_MAX = 20
local MONTH = 30 * 86400000

local function digits(n)
  local text = {}
  for i = 1, n do text[i] = tostring(math.random(0, 9)) end
  return table.concat(text)
end

--- An integer below 2^53 with any number of digits.
local function whole()
  local value = tonumber(digits(math.random(1, 16)))
  return value < 2 ^ 53 and value or value / 10 - (value / 10) % 1
end

local function decimal(max_digits)
  local n = math.random(1, max_digits)
  local point = math.random(0, n)
  return tonumber(("%s.%s"):format(digits(point) .. "0", digits(n - point) .. "0"))
end

-- Each kind gives value i of a series; `exact`: comes back to the bit, else within 1e-12 of it; `mixed`: as one block predicts.
local KINDS = {
  { name = "counter", exact = true, make = function()
    local total = math.random(0, 1000000)
    return function()
      total = math.random(50) == 1 and 0 or total + math.random(0, 500)
      return total
    end
  end },
  { name = "gauge", exact = true, make = function() return function() return math.random(-100000, 100000) / 100 end end },
  { name = "constant", exact = true, make = function()
    local value = decimal(10)
    return function() return value end
  end },
  { name = "whole", exact = true, make = function() return whole end },
  { name = "ten", exact = true, make = function() return function() return tonumber("0." .. digits(9) .. math.random(1, 9)) end end },
  -- the format's rule rounds some decimals of eleven and twelve digits: 0.999869004508 and 0.99990845123 come back one unit off
  { name = "twelve", mixed = true, make = function() return function() return tonumber("0." .. digits(11) .. math.random(1, 9)) end end },
  { name = "negative", exact = true, make = function() return function() return -math.random(0, 2 ^ 40) end end },
  { name = "zero", exact = true, make = function() return function() return 0 end end },
  { name = "tiny", make = function()
    local scale = 10 ^ -math.random(5, 290)
    return function() return math.random(1, 2 ^ 30) * scale end
  end },
  { name = "huge", make = function()
    local scale = 10 ^ math.random(16, 280)
    return function() return math.random(1, 2 ^ 30) * scale end
  end },
  { name = "special", exact = true, make = function()
    local all = { 1 / 0, -1 / 0, STALE, 1, 2.5, 0 }
    return function() return all[math.random(#all)] end
  end },
  { name = "mixed", mixed = true, make = function() return function() return (math.random() - 0.5) * 10 ^ math.random(-12, 15) end end },
}

local ODD = { "a b", 'quo"te', "back\\slash", "new\nline", "{brace}", "comma,", "=", "ÿþ", "日本", "🗼", ".*", "a|b", "tab\t", " lead", "1st", "" }

local function labels_of(i, kind)
  local labels = { __name__ = "hard_" .. kind, id = tostring(i) }
  local odd = ODD[i % #ODD + 1]
  if i % 5 == 0 then labels["label " .. odd] = "v" end
  if i % 7 == 0 then labels.odd = odd ~= "" and odd or nil end
  if i % 11 == 0 then labels.__name__ = "hard." .. kind .. (odd ~= "" and odd or "x") end
  if i % 13 == 0 then labels.long = ("x"):rep(1000 + i % 3000) end
  if i % 17 == 0 then
    for n = 1, 24 do labels["l" .. n] = tostring(n * i) end
  end
  return labels
end

local function times_of(i, n, now_ms)
  local times = {}
  local t = now_ms - math.random(1, MONTHS_BACK_MAX) * MONTH
  local kind = i % 4
  for k = 1, n do
    times[k] = t
    if kind == 0 then t = t + 15000 end
    if kind == 1 then t = t + math.random(0, 60000) end
    if kind == 2 then t = t + (k % 10 == 0 and 0 or 1000) end
    if kind == 3 then t = t + 15000 + math.random(-3, 3) end
  end
  return times
end

--- count series before now_ms: { metric, kind, times, values }.
function M.make(count, now_ms, seed)
  math.randomseed(seed)
  local all = {}
  for i = 1, count do
    local kind = KINDS[i % #KINDS + 1]
    local n = i % 97 == 0 and math.random(8000, 20000) or math.random(1, 60)
    local series = { metric = metric_text.format(labels_of(i, kind.name)), kind = kind, times = times_of(i, n, now_ms), values = {} }
    local value = kind.make()
    for k = 1, n do series.values[k] = value() end
    all[i] = series
  end
  return all
end

return M
