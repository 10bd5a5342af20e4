--- Values of rows that are no Lua numbers: numeric cdata, whose NaNs may have any bits.
local ffi = require("ffi")
local errors = require("tsengine.errors")

local band = bit.band
local M = {}

-- The halves are looked at before the double: LuaJIT takes a double with the bits of certain NaNs for a pointer.
local cell = ffi.new("union { double value; struct { uint32_t low, high; } half; }")
local EXPONENT, FRACTION = 0x7FF00000, 0x000FFFFF
local STALE_HIGH, STALE_LOW = 0x7FF00000, 2

local function set(value) cell.value = value end

--- The value of a row that is no Lua number. Raises for what is no number at all.
---@param value any
---@param what? string  names it in the message ("a value")
---@return number value  no NaN but an ordinary one and the stale marker
function M.slow(value, what)
  if type(value) ~= "cdata" then errors.misuse("%s must be a number, got %s", what or "a value", type(value)) end
  -- Assigning converts what is numeric and raises for the rest.
  if not pcall(set, value) then errors.misuse("%s must be a number, got %s", what or "a value", tostring(ffi.typeof(value))) end
  local high, low = cell.half.high, cell.half.low
  local is_nan = band(high, EXPONENT) == EXPONENT and (band(high, FRACTION) ~= 0 or low ~= 0)
  if is_nan and not (high == STALE_HIGH and low == STALE_LOW) then return 0 / 0 end
  return cell.value
end

return M
