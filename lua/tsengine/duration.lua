--- Durations and sizes as people write them: "5m", "1h30m", "64MB", "32MiB".
local M = {}

-- Milliseconds of a unit; a year has 365 days, as in VictoriaMetrics.
local UNITS_MS = {
  ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000, w = 7 * 86400000, y = 365 * 86400000,
}

local UNITS_BYTES = {
  [""] = 1, B = 1,
  kB = 1e3, KB = 1e3, MB = 1e6, GB = 1e9, TB = 1e12,
  KiB = 2 ^ 10, MiB = 2 ^ 20, GiB = 2 ^ 30, TiB = 2 ^ 40,
}

-- Above this a number of milliseconds or bytes is no longer exact in a Lua number.
local EXACT_MAX = 2 ^ 53

--- Milliseconds of a duration: a number of milliseconds, or text such as "1s", "1.5h", "1h30m", "-30d".
---@param value string|number
---@return number? milliseconds  whole, nil when the text is no duration
function M.parse(value)
  if type(value) == "number" then
    if value ~= value or math.abs(value) > EXACT_MAX then return nil end
    return math.floor(value)
  end
  if type(value) ~= "string" then return nil end
  local sign, rest = value:match("^%s*(%-?)(.-)%s*$")
  if rest == "" then return nil end
  local total, position = 0, 1
  while position <= #rest do
    local number, unit, behind = rest:match("^(%d+%.?%d*)(%a+)()", position)
    local unit_ms = unit and UNITS_MS[unit]
    if not unit_ms then return nil end
    total = total + tonumber(number) * unit_ms
    position = behind
  end
  if total > EXACT_MAX then return nil end
  total = math.floor(total)
  return sign == "-" and -total or total
end

--- Bytes of a size: a number of bytes, or text such as "64MB" (10^6) or "64MiB" (2^20).
---@param value string|number
---@return number? bytes  whole and not negative, nil when the text is no size
function M.parse_size(value)
  local bytes
  if type(value) == "number" then
    bytes = value
  elseif type(value) == "string" then
    local number, unit = value:match("^%s*(%d+%.?%d*)%s*(%a*)%s*$")
    local unit_bytes = unit and UNITS_BYTES[unit]
    bytes = unit_bytes and tonumber(number) * unit_bytes
  end
  if not bytes or bytes ~= bytes or bytes < 0 or bytes > EXACT_MAX then return nil end
  return math.floor(bytes)
end

return M
