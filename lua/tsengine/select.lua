--- Running queries: an iterator of series, each with its columns.
local ffi = require("ffi")
local core = require("tsengine.ffi")
local errors = require("tsengine.errors")
local metric = require("tsengine.metric")
local query = require("tsengine.query")

local C = core.C
local tonumber = tonumber
local M = {}

-- Out-parameters of the core, read at once after each call: shared by all iterators.
local out_select = ffi.new("struct tse_select *[1]")
local out_columns = ffi.new("struct tse_columns")
local out_found = ffi.new("int[1]")
local int64s = ffi.typeof("int64_t[?]")
local doubles = ffi.typeof("double[?]")

-- -- One series -------------------------------------------------------------

--- One series of an answer. Its columns hold until the next step of the iterator; what `copy` returns holds for ever.
---@class tsengine.SelectedSeries
---@field metric string  canonical text
---@field labels table<string, string>  the name as __name__
---@field count integer  rows
---@field timestamps ffi.cdata*  int64_t*, 0-based, ascending milliseconds
---@field values ffi.cdata*  double*, 0-based; no NaN but the stale marker
local Series = {}

-- Only absent fields come here: labels before their first use, columns after the iterator has moved on.
function Series.__index(self, name)
  if name == "labels" then
    local labels = metric.labels(self.metric)
    self.labels = labels
    return labels
  end
  if name == "timestamps" or name == "values" then
    errors.misuse("the columns of %s are gone: they hold until the next step of the iterator, copy() keeps them", self.metric)
  end
  return Series[name]
end

function Series.__tostring(self)
  return ("tsengine.series: %s (%d rows)"):format(self.metric, self.count)
end

--- Rows one by one.
---
---     for ms, value in series:points() do … end
---@return fun(): number?, number?  timestamp in milliseconds, value
function Series:points()
  if getmetatable(self) ~= Series then errors.misuse("a method is called with a colon: series:points()") end
  local count = self.timestamps and self.count -- raises when the columns are gone
  local i = -1
  return function()
    i = i + 1
    if i >= count then return nil end
    -- Asked for anew each time: the iterator may have moved on, or the database been closed, since the last row.
    return tonumber(self.timestamps[i]), self.values[i]
  end
end

--- A copy whose columns outlive the iterator.
---@return tsengine.SelectedSeries
function Series:copy()
  if getmetatable(self) ~= Series then errors.misuse("a method is called with a colon: series:copy()") end
  local count = self.count
  -- One more element than rows: an array of size 0 has no address that may be passed on.
  local timestamps, values = int64s(count + 1), doubles(count + 1)
  ffi.copy(timestamps, self.timestamps, count * 8)
  ffi.copy(values, self.values, count * 8)
  return setmetatable({ metric = self.metric, count = count, timestamps = timestamps, values = values }, Series)
end

-- -- The iterator -----------------------------------------------------------

--- A running query, to be called by the generic `for`.
---@class tsengine.Select
---@field partial string[]  names of damaged parts whose rows are missing in the answer; empty when it is complete
---@overload fun(): tsengine.SelectedSeries?
local Select = {}

--- Take the columns back from the series that has them.
local function take_back(self)
  local current = self.current
  if not current then return end
  current.timestamps, current.values, current.iterator = nil, nil, nil
  self.current = nil
end

local function release(self)
  local handle = self.handle
  if not handle then return end
  take_back(self)
  self.kept_partial = M.partial_names(handle)
  self.handle = nil
  self.db.queries_running = self.db.queries_running - 1
  ffi.gc(handle, nil)
  C.tse_select_free(handle)
end

--- Names in the core's list of damaged parts.
function M.partial_names(handle)
  local names = {}
  for name in ffi.string(C.tse_select_partial(handle)):gmatch("[^\n]+") do names[#names + 1] = name end
  return names
end

function Select.__index(self, name)
  if name == "partial" then
    return self.kept_partial or M.partial_names(self.handle)
  end
  return Select[name]
end

function Select.__tostring(self)
  return self.handle and "tsengine.select: running" or "tsengine.select: closed"
end

--- The next series, nil after the last one. Raises an error with a `code` field when the query cannot go on.
function Select.__call(self)
  local handle = self.handle
  if not handle then
    if self.interrupted then errors.misuse("the database was closed during the query") end
    return nil
  end
  take_back(self)
  local rc = C.tse_select_next(handle, out_columns, out_found)
  if rc ~= 0 then
    local _, message, code = errors.failure(C, rc)
    release(self)
    errors.raise(message, code)
  end
  if out_found[0] == 0 then
    release(self)
    return nil
  end
  local series = setmetatable({
    metric = ffi.string(out_columns.metric, out_columns.metric_bytes),
    count = tonumber(out_columns.count),
    timestamps = out_columns.timestamps,
    values = out_columns.values,
    -- The columns are the query's memory: it must not be collected while they can be read here.
    iterator = self,
  }, Series)
  self.current = series
  return series
end

--- End the query and release what it holds. Safe twice; reading to the end does it too.
---@return true
function Select:close()
  release(self)
  return true
end

--- The database is being closed: the next step raises instead of ending as if the answer were complete.
function Select:interrupt()
  if not self.handle then return end
  release(self)
  self.interrupted = true
end

--- Start a query. See Db:select.
---@param db tsengine.Db
---@return tsengine.Select? iterator, string? message, string? code
function M.open(db, first, from, to, options)
  local description = query.build(db, "select", query.options("select", first, from, to, options))
  local rc = C.tse_select_open(db.handle, description, out_select)
  if rc ~= 0 then return errors.failure(C, rc) end
  local handle = ffi.gc(out_select[0], C.tse_select_free)
  -- The database stays reachable while a query runs.
  return setmetatable({ handle = handle, db = db }, Select)
end

return M
