--- Times as callers give them (Lua numbers, int64 cdata, "-1h") to the milliseconds that the core takes.
local ffi = require("ffi")
local core = require("tsengine.ffi")
local duration = require("tsengine.duration")
local errors = require("tsengine.errors")

local C = core.C
local floor, type, tonumber = math.floor, type, tonumber
local int64 = ffi.typeof("int64_t")
local uint64 = ffi.typeof("uint64_t")

local M = {}

M.MIN = -0x7fffffffffffffffLL - 1LL
M.MAX = 0x7fffffffffffffffLL

-- Doubles whose floor fits an int64: 2^63 itself does not.
local LIMIT = 2 ^ 63

--- A timestamp of a row that is no Lua number, or a number that is not a time.
---@param value any
---@return number|ffi.cdata* ms
function M.timestamp_slow(value)
  if type(value) == "number" then
    if value ~= value or value == math.huge or value == -math.huge then
      errors.misuse("a timestamp must be a finite number of milliseconds, got %s", tostring(value))
    end
    return value < 0 and M.MIN or M.MAX -- beyond int64: the core answers RANGE
  end
  if type(value) == "cdata" then
    if ffi.istype(int64, value) then return value end
    if ffi.istype(uint64, value) then return value > 0x7fffffffffffffffULL and M.MAX or int64(value) end
  end
  errors.misuse("a timestamp must be a number of milliseconds or int64, got %s", type(value))
end

--- A row's timestamp in milliseconds: fractions are floored, nil is not allowed here.
---@param value number|ffi.cdata*
---@return number|ffi.cdata* ms  what an int64_t parameter takes
function M.timestamp(value)
  if type(value) == "number" and value > -LIMIT and value < LIMIT then return floor(value) end
  return M.timestamp_slow(value)
end

--- One end of a query's range; nil or ±infinity is no bound, negative durations count from now.
---@param handle ffi.cdata*  the database, whose clock says what now is
---@param value number|string|ffi.cdata*|nil
---@param unbounded ffi.cdata*  what nil means
---@param name string  for the message
---@return number|ffi.cdata* ms
function M.bound(handle, value, unbounded, name)
  if value == nil then return unbounded end
  if type(value) == "string" then
    local ms = duration.parse(value)
    if not ms or not value:find("^%s*%-") then
      errors.misuse("'%s' must be a time in milliseconds or a negative duration such as \"-1h\", got %q", name, value)
    end
    return tonumber(C.tse_now_ms(handle)) + ms
  end
  if type(value) == "number" then
    if value ~= value then errors.misuse("'%s' must be a time in milliseconds, got NaN", name) end
    if value <= -LIMIT then return M.MIN end
    if value >= LIMIT then return M.MAX end
    -- Time starts in 1970: a negative number can only be a duration.
    if value < 0 then return tonumber(C.tse_now_ms(handle)) + floor(value) end
    return floor(value)
  end
  return M.timestamp_slow(value)
end

return M
