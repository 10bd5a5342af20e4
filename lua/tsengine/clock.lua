--- Manual clocks: the time of a database that stands still until it is moved. For tests, simulation and replay.
local ffi = require("ffi")
local core = require("tsengine.ffi")
local duration = require("tsengine.duration")
local errors = require("tsengine.errors")

local C = core.C
local M = {}

---@class tsengine.Clock
local Clock = {}
Clock.__index = Clock
Clock.__tostring = function(self) return ("tsengine.clock: %d ms"):format(self:now()) end

local function check_ms(value)
  local ms = type(value) == "cdata" and tonumber(value) or value
  if type(ms) ~= "number" or ms ~= ms or math.abs(ms) > 2 ^ 53 then
    errors.misuse("a time in milliseconds since 1970 is needed, got %s", tostring(value))
  end
  return math.floor(ms)
end

--- A clock that stands at `ms` until it is moved.
---@param ms number|ffi.cdata*  milliseconds since 1970 UTC
---@return tsengine.Clock
function M.manual(ms)
  local handle = C.tse_clock_manual(check_ms(ms))
  if handle == nil then errors.misuse("no memory for a clock") end
  return setmetatable({ handle = ffi.gc(handle, C.tse_clock_free) }, Clock)
end

--- The clock's time.
---@return number ms
function Clock:now()
  return tonumber(C.tse_clock_now(self.handle))
end

--- Move the clock forward (or back, with a negative duration).
---@param by string|number  "5s", or milliseconds
---@return number ms  the new time
function Clock:advance(by)
  local ms = duration.parse(by)
  if not ms then errors.misuse("a duration such as \"5s\" is needed, got %s", tostring(by)) end
  C.tse_clock_set(self.handle, self:now() + ms)
  return self:now()
end

--- Set the clock.
---@param ms number|ffi.cdata*  milliseconds since 1970 UTC
---@return number ms  the new time
function Clock:set(ms)
  C.tse_clock_set(self.handle, check_ms(ms))
  return self:now()
end

--- Is this a manual clock?
---@param value any
---@return boolean
function M.is_clock(value)
  return getmetatable(value) == Clock
end

return M
