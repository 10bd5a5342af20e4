--- Handles for fast appends to one series.
local ffi = require("ffi")
local core = require("tsengine.ffi")
local errors = require("tsengine.errors")
local time = require("tsengine.time")
local value_of = require("tsengine.value")

local C = core.C
local floor, type, tonumber = math.floor, type, tonumber
local timestamp_slow = time.timestamp_slow
local M = {}

local LIMIT = 2 ^ 63

local out_series = ffi.new("struct tse_series *[1]")
local out_accepted = ffi.new("uint64_t[1]")
-- Assigning to these fields converts as a C call would: it raises for a pointer of another type.
local columns = ffi.new("struct { const int64_t *timestamps; const double *values; }")

-- Scratch for columns given as Lua arrays: grows to the longest seen, shared by all handles.
local scratch_rows = 0
local scratch_timestamps, scratch_values

local function reserve(rows)
  if rows <= scratch_rows then return end
  scratch_rows = math.max(1024, rows, scratch_rows * 2)
  scratch_timestamps = ffi.new("int64_t[?]", scratch_rows)
  scratch_values = ffi.new("double[?]", scratch_rows)
end

---@class tsengine.Series
---@field metric string  as it was given
local Series = {}
Series.__index = Series

function Series.__tostring(self)
  return ("tsengine.series: %s (%s)"):format(self.metric, self.db.handle and "open" or "closed")
end

local function no_colon() errors.misuse("a method is called with a colon: series:add(…), not series.add(…)") end

--- What a failed append returns; a closed database raises.
local function failed(self, rc)
  if not self.db.handle then errors.misuse("the database is closed") end
  return errors.failure(C, rc)
end

--- Append a row.
---
--- Expected failures: RANGE (outside the retention or the future limit), READONLY, NOSPACE, MEMORY, FORKED.
---@param timestamp number|ffi.cdata*|nil  milliseconds since 1970 UTC, fractions are floored; nil: now
---@param value number  a NaN other than tsengine.stale is dropped and counted
---@return true? ok, string? message, string? code
function Series:add(timestamp, value)
  if type(self) ~= "table" then no_colon() end
  if type(value) ~= "number" then value = value_of.slow(value) end
  local ms
  if type(timestamp) == "number" and timestamp > -LIMIT and timestamp < LIMIT then
    ms = floor(timestamp)
  elseif timestamp == nil then
    if not self.db.handle then errors.misuse("the database is closed") end
    ms = C.tse_now_ms(self.db.handle)
  else
    ms = timestamp_slow(timestamp)
  end
  local rc = C.tse_series_add(self.handle, ms, value)
  if rc ~= 0 then return failed(self, rc) end
  return true
end

local function set_timestamps(from) columns.timestamps = from end
local function set_values(from) columns.values = from end

local int64_pointer, double_pointer = ffi.typeof("int64_t *"), ffi.typeof("double *")
-- What was found for arrays seen before: asking again would keep the caller's loop from being compiled.
local rooms = setmetatable({}, { __mode = "k" })

--- Rows that a column has room for: its size says so for an array, a pointer has no end.
local function find_room(column)
  local text = tostring(ffi.typeof(column))
  local is_array = text:find("%]>$") and not text:find("(*", 1, true)
  local rows = is_array and ffi.sizeof(column) / 8 or math.huge
  rooms[column] = rows
  return rows
end

local function room(column)
  if ffi.istype(int64_pointer, column) or ffi.istype(double_pointer, column) then return math.huge end
  return rooms[column] or find_room(column)
end

local function too_short(name, rows) errors.misuse("%s has fewer than %d rows", name, rows) end

--- Point the struct at one column; Lua arrays are copied into scratch.
local function place(name, column, rows, set, scratch, convert)
  if type(column) == "table" then
    for i = 1, rows do scratch[i - 1] = convert(column[i], i) end
    set(scratch)
    return
  end
  if not pcall(set, column) then errors.misuse("%s must be %s", name, name == "timestamps" and "int64_t*" or "double*") end
  if columns[name] == nil then errors.misuse("%s is a NULL pointer", name) end
  if room(column) < rows then too_short(name, rows) end
end

local function convert_value(value, i)
  if type(value) == "number" then return value end
  return value_of.slow(value, ("value %d"):format(i))
end

--- Before scratch grows: a column is an array of at least so many rows, or a pointer.
local function check_column(name, column, rows)
  if type(column) == "table" then
    if type(column[rows]) == "nil" then too_short(name, rows) end
  elseif type(column) ~= "cdata" then
    errors.misuse("%s must be an array or a pointer, got %s", name, type(column))
  end
end

--- Append many rows of this series at once. Rows outside the retention or the future limit are left out and counted.
---
--- Columns are Lua arrays (1-based) or pointers and FFI arrays of int64_t and double (0-based; then `n` is needed).
---@param timestamps number[]|ffi.cdata*
---@param values number[]|ffi.cdata*
---@param n? integer  rows; nil: the length of the arrays, which must be equal
---@return integer? accepted, string? message, string? code
function Series:add_columns(timestamps, values, n)
  if getmetatable(self) ~= Series then no_colon() end
  if n == nil then
    if type(timestamps) ~= "table" or type(values) ~= "table" then
      errors.misuse("add_columns needs the number of rows when a column is not a Lua array")
    end
    n = #timestamps
    if #values ~= n then errors.misuse("columns of unequal length: %d timestamps, %d values", n, #values) end
  elseif type(n) ~= "number" or n < 0 or n ~= floor(n) or n > 2 ^ 40 then
    errors.misuse("the number of rows must be a whole number, got %s", tostring(n))
  end
  if not self.db.handle then errors.misuse("the database is closed") end
  if n == 0 then return 0 end
  check_column("timestamps", timestamps, n)
  check_column("values", values, n)
  if type(timestamps) == "table" or type(values) == "table" then reserve(n) end
  place("timestamps", timestamps, n, set_timestamps, scratch_timestamps, time.timestamp)
  place("values", values, n, set_values, scratch_values, convert_value)
  local rc = C.tse_series_add_columns(self.handle, columns.timestamps, columns.values, n, out_accepted)
  if rc ~= 0 then return failed(self, rc) end
  return tonumber(out_accepted[0])
end

--- Open a handle. See Db:series.
---@param db tsengine.Db
---@param text string  the metric
---@return tsengine.Series? series, string? message, string? code
function M.open(db, text, account, project)
  local rc = C.tse_series_open(db.handle, account, project, text, #text, out_series)
  if rc ~= 0 then return errors.failure(C, rc) end
  -- db: keeps the database reachable as long as a handle is.
  return setmetatable({ handle = ffi.gc(out_series[0], C.tse_series_free), db = db, metric = text }, Series)
end

return M
