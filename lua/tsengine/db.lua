--- An open database: everything but the columns of series and queries.
local ffi = require("ffi")
local core = require("tsengine.ffi")
local config = require("tsengine.config")
local errors = require("tsengine.errors")
local inspect = require("tsengine.inspect")
local list = require("tsengine.list")
local metric_text = require("tsengine.metric")
local query = require("tsengine.query")
local select = require("tsengine.select")
local series = require("tsengine.series")
local time = require("tsengine.time")
local value_of = require("tsengine.value")
local write = require("tsengine.write")

local C = core.C
local floor, type, tonumber = math.floor, type, tonumber
local timestamp_slow = time.timestamp_slow
local LIMIT = 2 ^ 63

local M = {}

-- Out-parameters, read at once after each call.
local out_db = ffi.new("struct tse_db *[1]")
local out_count = ffi.new("uint64_t[1]")
local out_ticket = ffi.new("uint64_t[1]")
local out_next = ffi.new("int64_t[1]")
local out_log = ffi.new("struct tse_log_entry")
local out_event = ffi.new("struct tse_event")

local TENANT_NAMES = { tenant = true }
local WAIT_NAMES = { wait = true }
local MERGE_NAMES = { wait = true, partition = true }
local SNAPSHOT_NAMES = { wait = true, name = true }
local PARTITION_NAMES = { partition = true }
-- So many queries may be dropped before the end without being collected.
local QUERIES_DROPPED_MAX = 64
local LOG_LEVELS = { [0] = "info", [1] = "warning", [2] = "error" }

--- A handle of an open storage directory.
---@class tsengine.Db
---@field path string  as it was given
local Db = {}
Db.__index = Db

--- Raise for a database that is closed, and for a call with a dot where a colon belongs.
local function not_open(self)
  if getmetatable(self) ~= Db then errors.misuse("a method is called with a colon: db:add(…), not db.add(…)") end
  errors.misuse("the database is closed")
end

--- The handle of an open database; every method begins with it.
local function opened(self)
  local handle = type(self) == "table" and self.handle
  if not handle then not_open(self) end
  return handle
end

--- An options table that may be absent.
local function options_of(where, options, names)
  if options == nil then return {} end
  if type(options) ~= "table" then errors.misuse("%s: options must be a table, got %s", where, type(options)) end
  config.check_names(options, names, where)
  return options
end

--- 1 or 0 for the core's `wait`.
local function wait_of(where, options)
  local wait = options.wait
  if wait ~= nil and type(wait) ~= "boolean" then
    errors.misuse("%s: option 'wait' must be true or false, got %s", where, tostring(wait))
  end
  return wait == false and 0 or 1
end

--- Hand the core's messages to the host's log function. It may call the database; it cannot break the caller.
local function deliver_log(self)
  local log = self.log
  if not log or self.delivering or not self.handle then return end
  self.delivering = true
  while self.handle and C.tse_log_take(self.handle, out_log) == 1 do
    local ok, problem = pcall(log, LOG_LEVELS[out_log.level] or "info", ffi.string(out_log.text))
    if not ok then io.stderr:write("tsengine: the log function raised an error: ", tostring(problem), "\n") end
  end
  self.delivering = nil
end

--- See tsengine.open.
function M.open(options)
  local struct, settings, code = config.open_options(options)
  if not struct then return nil, settings, code end
  local rc = C.tse_open(struct, out_db)
  if rc ~= 0 then return errors.failure(C, rc) end
  local self = setmetatable({
    -- The finaliser is the C function itself: a Lua closure that captured the handle's owner would keep it for ever.
    handle = ffi.gc(out_db[0], C.tse_close),
    path = settings.path,
    account = settings.account,
    project = settings.project,
    clock = settings.clock,
    log = type(settings.log) == "function" and settings.log or nil,
    -- Running queries, so that close can end them.
    queries = setmetatable({}, { __mode = "k" }),
    queries_running = 0,
    collect_at = QUERIES_DROPPED_MAX,
  }, Db)
  return self
end

--- The tenant a call is for: named in its options, else the database's.
---@param where string
---@param options table
---@return number account, number project
function Db:tenant_of(where, options)
  if options.tenant ~= nil then return config.tenant(where, options.tenant) end
  return self.account, self.project
end

function Db:__tostring()
  if not self.handle then return ("tsengine.db: %s (closed)"):format(self.path) end
  local stats = inspect.stats(self.handle)
  local rows = stats.raw_rows_now + stats.rows_mem_now + stats.rows_small_now + stats.rows_big_now
  local parts = stats.parts_mem_now + stats.parts_small_now + stats.parts_big_now
  return ("tsengine.db: %s (open, %d rows, %d parts)"):format(self.path, rows, parts)
end

-- -- Rows in ----------------------------------------------------------------

--- Add a row.
---
--- Expected failures: METRIC (text that is no metric), RANGE (outside the retention or the future limit), READONLY,
--- NOSPACE, MEMORY, FORKED.
---@param metric string|table<string, string>  'cpu{host="a"}' or {__name__ = "cpu", host = "a"}
---@param timestamp number|ffi.cdata*|nil  milliseconds since 1970 UTC, fractions are floored; nil: now
---@param value number  a NaN other than tsengine.stale is dropped and counted
---@param options? { tenant?: string }
---@return true? ok, string? message, string? code
function Db:add(metric, timestamp, value, options)
  local handle = type(self) == "table" and self.handle
  if not handle then not_open(self) end
  if type(metric) ~= "string" then metric = metric_text.text(metric) end
  if type(value) ~= "number" then value = value_of.slow(value) end
  local ms
  if type(timestamp) == "number" and timestamp > -LIMIT and timestamp < LIMIT then
    ms = floor(timestamp)
  elseif timestamp == nil then
    ms = C.tse_now_ms(handle)
  else
    ms = timestamp_slow(timestamp)
  end
  local account, project = self.account, self.project
  if options ~= nil then account, project = self:tenant_of("add", options_of("add", options, TENANT_NAMES)) end
  local rc = C.tse_add(handle, account, project, metric, #metric, ms, value)
  if rc ~= 0 then return errors.failure(C, rc) end
  return true
end

--- A handle for fast appends to one series. It stays valid over deletes of the series and index rotation.
---@param metric string|table<string, string>
---@param options? { tenant?: string }
---@return tsengine.Series? series, string? message, string? code
function Db:series(metric, options)
  opened(self)
  local account, project = self:tenant_of("series", options_of("series", options, TENANT_NAMES))
  return series.open(self, metric_text.text(metric), account, project)
end

--- Add the rows of a text. Bad lines are counted and reported, good ones are kept; the last line needs no newline.
---
--- When the database refuses rows on the way (NOSPACE, READONLY, MEMORY) the report of what was stored comes fourth.
---@param format "prometheus"|"influx"
---@param bytes string
---@param options? tsengine.WriteOptions
---@return integer? accepted, tsengine.WriteReport|string report_or_message, string? code, tsengine.WriteReport?
function Db:write(format, bytes, options)
  opened(self)
  return write.write(self, format, bytes, options)
end

--- Add the rows of a file or stream of any size; memory stays bounded. gzip and zstd are recognised by their first bytes.
---@param format "prometheus"|"influx"
---@param source string|file*|fun(): string?  a path, an open file, or a function that returns chunks and nil at the end
---@param options? tsengine.ImportOptions
---@return integer? accepted, tsengine.WriteReport|string report_or_message, string? code, tsengine.WriteReport?
function Db:import(format, source, options)
  opened(self)
  return write.import(self, format, source, options)
end

-- -- Rows out ---------------------------------------------------------------

--- Collect queries that were dropped. Their memory is the core's: the collector does not know how much it would free.
local function collect_dropped(self)
  collectgarbage()
  collectgarbage()
  local running = 0
  for iterator in pairs(self.queries) do
    if iterator.handle then running = running + 1 end
  end
  self.queries_running = running
  self.collect_at = math.max(QUERIES_DROPPED_MAX, 2 * running)
end

--- Start a query: an iterator of series for the generic `for`.
---
---     for series in db:select('cpu{host=~"web.+"}', "-1h") do
---       for ms, value in series:points() do … end
---     end
---@param match string|string[]|tsengine.QueryOptions|nil  selector(s), or a table of all options
---@param from? number|string|ffi.cdata*  first time, inclusive; nil: no bound; "-1h": counted from now
---@param to? number|string|ffi.cdata*  last time, inclusive
---@param options? tsengine.QueryOptions
---@return tsengine.Select? iterator, string? message, string? code
function Db:select(match, from, to, options)
  opened(self)
  if self.queries_running >= self.collect_at then collect_dropped(self) end
  local iterator, message, code = select.open(self, match, from, to, options)
  if code == "MEMORY" then
    collect_dropped(self)
    iterator, message, code = select.open(self, match, from, to, options)
  end
  if not iterator then return nil, message, code end
  self.queries_running = self.queries_running + 1
  self.queries[iterator] = true
  return iterator
end

local function names(self, where, call, options)
  local handle = opened(self)
  local rc = call(handle, query.build(self, where, query.options(where, options)))
  if rc ~= 0 then return errors.failure(C, rc) end
  return list.take()
end

--- Canonical texts of the series that match, sorted.
---@param options? tsengine.QueryOptions|string
---@return string[]? names, string? message, string? code
function Db:series_names(options)
  return names(self, "series_names", function(handle, description) return C.tse_series_names(handle, description, list.out) end, options)
end

--- Names of labels that matching series have, sorted; the metric's name is `__name__`.
---@param options? tsengine.QueryOptions|string
---@return string[]? names, string? message, string? code
function Db:labels(options)
  return names(self, "labels", function(handle, description) return C.tse_label_names(handle, description, list.out) end, options)
end

--- Values that a label has in matching series, sorted.
---@param label string  "__name__" for the names of metrics
---@param options? tsengine.QueryOptions|string
---@return string[]? values, string? message, string? code
function Db:label_values(label, options)
  if type(label) ~= "string" then errors.misuse("label_values: a label's name is needed, got %s", type(label)) end
  return names(self, "label_values", function(handle, description)
    return C.tse_label_values(handle, label, #label, description, list.out)
  end, options)
end

--- Delete whole series: they are hidden at once, merges remove their rows.
---@param options { match: string|string[], tenant?: string }|string
---@return integer? series, string? message, string? code
function Db:delete(options)
  local handle = opened(self)
  local description_options = query.options("delete", options)
  if description_options.match == nil then
    errors.misuse("delete: 'match' is needed; {__name__!=\"\"} deletes everything that has a name")
  end
  for _, name in ipairs({ "from", "to", "limit" }) do
    if description_options[name] ~= nil then errors.misuse("delete: whole series are deleted, '%s' is not taken", name) end
  end
  local description = query.build(self, "delete", description_options)
  local rc = C.tse_delete_series(handle, description, out_count)
  if rc ~= 0 then return errors.failure(C, rc) end
  return tonumber(out_count[0])
end

-- -- Durability and order ---------------------------------------------------

--- Make everything accepted before durable.
---@param options? { wait?: boolean }  wait = false: return a ticket at once; an event with that ticket ends the work
---@return true|integer|nil done_or_ticket, string? message, string? code
function Db:flush(options)
  local handle = opened(self)
  local wait = wait_of("flush", options_of("flush", options, WAIT_NAMES))
  local rc = C.tse_flush(handle, wait, out_ticket)
  local ticket = tonumber(out_ticket[0])
  if rc ~= 0 then
    local _, message, code = errors.failure(C, rc)
    deliver_log(self)
    return nil, message, code
  end
  deliver_log(self)
  if wait == 0 then return ticket end
  return true
end

--- Merge all parts of a partition, or of every partition, into one each.
---@param options? { partition?: string, wait?: boolean }|string  a string is a partition
---@return integer? merges_or_ticket, string? message, string? code
function Db:force_merge(options)
  local handle = opened(self)
  if type(options) == "string" then options = { partition = options } end
  options = options_of("force_merge", options, MERGE_NAMES)
  local wait = wait_of("force_merge", options)
  local partition = inspect.partition_of("force_merge", options.partition)
  local rc = C.tse_force_merge(handle, partition, wait, out_ticket, out_count)
  if rc ~= 0 then return errors.failure(C, rc) end
  return tonumber(wait == 0 and out_ticket[0] or out_count[0])
end

--- The core would read such a name only up to the zero.
local function zero_in_name() return errors.fail("FORMAT", "a snapshot's name has no zero bytes") end

--- Take a snapshot: a directory of hard links below snapshots/ that victoria-metrics opens as its own.
---@param name? string|{ name?: string, wait?: boolean }  YYYYMMDDhhmmss-HEX; nil: made from the time
---@param options? { wait?: boolean }  wait = false: return ticket, name, path at once
---@return string|integer|nil name_or_ticket, string? path_or_message_or_name, string? code_or_path
function Db:snapshot(name, options)
  local handle = opened(self)
  if type(name) == "table" then name, options = name.name, name end
  if name ~= nil and type(name) ~= "string" then errors.misuse("snapshot: the name must be text, got %s", type(name)) end
  if name and name:find("%z") then return zero_in_name() end
  local wait = wait_of("snapshot", options_of("snapshot", options, SNAPSHOT_NAMES))
  local rc
  if wait == 1 then
    rc = C.tse_snapshot_create(handle, name, list.out)
  else
    rc = C.tse_snapshot_start(handle, name, out_ticket, list.out)
  end
  if rc ~= 0 then return errors.failure(C, rc) end
  local texts = list.take()
  if wait == 1 then return texts[1], texts[2] end
  return tonumber(out_ticket[0]), texts[1], texts[2]
end

--- Names of all snapshots, sorted.
---@return string[]? names, string? message, string? code
function Db:snapshots()
  local rc = C.tse_snapshots(opened(self), list.out)
  if rc ~= 0 then return errors.failure(C, rc) end
  return list.take()
end

--- Delete a snapshot. NOTFOUND when there is none of that name.
---@param name string
---@return true? ok, string? message, string? code
function Db:delete_snapshot(name)
  local handle = opened(self)
  if type(name) ~= "string" then errors.misuse("delete_snapshot: a name is needed, got %s", type(name)) end
  if name:find("%z") then return zero_in_name() end
  local rc = C.tse_snapshot_delete(handle, name)
  if rc ~= 0 then return errors.failure(C, rc) end
  return true
end

-- -- Looking inside ---------------------------------------------------------

--- The parts that are stored.
---@param options? { partition?: string }|string
---@return tsengine.Part[]? parts, string? message, string? code
function Db:parts(options)
  local handle = opened(self)
  if type(options) == "string" then options = { partition = options } end
  options = options_of("parts", options, PARTITION_NAMES)
  return inspect.parts(handle, inspect.partition_of("parts", options.partition))
end

--- The months that are stored, oldest first.
---@return tsengine.Partition[]? partitions, string? message, string? code
function Db:partitions()
  return inspect.partitions(opened(self))
end

--- Counters since open and, where the name ends in `_now`, present amounts.
---@return tsengine.Stats
function Db:stats()
  return inspect.stats(opened(self))
end

-- -- Work without threads, events -------------------------------------------

--- Do background work that is due: with threads = 0 nothing happens but here.
---@param budget_us? number  go on until nothing is due or this much time is spent; nil: one unit
---@return boolean? worked, number|string|nil next_ms_or_message, string? code  next_ms: until the next unit is due, nil: none will be
function Db:step(budget_us)
  local handle = opened(self)
  if budget_us ~= nil and (type(budget_us) ~= "number" or not (budget_us >= 0 and budget_us < 2 ^ 53)) then
    errors.misuse("step: a budget in microseconds is needed, got %s", tostring(budget_us))
  end
  local rc = C.tse_step(handle, budget_us and math.max(1, floor(budget_us)) or 0, out_count, out_next)
  if rc ~= 0 then
    local _, message, code = errors.failure(C, rc)
    deliver_log(self)
    return nil, message, code
  end
  local worked, next_ms = out_count[0] > 0, tonumber(out_next[0])
  if self.log then deliver_log(self) end
  return worked, next_ms >= 0 and next_ms or nil
end

---@class tsengine.Event
---@field kind "done"|"failed"|"damaged"|"read_only"|"lost"
---@field at_ms number
---@field partition? string
---@field ticket? integer  of the call with wait = false that has ended
---@field count? integer
---@field code? string  what failed
---@field reason? string

local function text_or_nil(field)
  local text = ffi.string(field)
  return text ~= "" and text or nil
end

--- What has happened in the background since the last call.
---@return fun(): tsengine.Event?  iterator
function Db:events()
  opened(self)
  deliver_log(self)
  return function()
    if not self.handle or C.tse_event_take(self.handle, out_event) ~= 1 then return nil end
    return {
      kind = ffi.string(out_event.kind),
      at_ms = tonumber(out_event.at_ms),
      partition = text_or_nil(out_event.partition),
      ticket = out_event.ticket ~= 0 and tonumber(out_event.ticket) or nil,
      count = tonumber(out_event.count),
      code = out_event.code ~= 0 and ffi.string(C.tse_error_word(out_event.code)) or nil,
      reason = text_or_nil(out_event.reason),
    }
  end
end

--- A descriptor that is readable while events wait, for the host's event loop.
---@return integer? fd  nil when there is none
function Db:event_fd()
  local fd = C.tse_event_fd(opened(self))
  return fd >= 0 and fd or nil
end

-- -- The end ----------------------------------------------------------------

--- Make everything durable, stop all threads, unlock the directory. The handle is closed also when that fails; a second
--- close does nothing. Running queries end.
---@return true? ok, string? message, string? code
function Db:close()
  local handle = type(self) == "table" and self.handle
  if not handle then
    if getmetatable(self) ~= Db then not_open(self) end
    return true
  end
  for iterator in pairs(self.queries) do iterator:interrupt() end
  if self.log then
    -- Flushed first, so that what it has to say can still be taken; close reports the same failure again.
    C.tse_flush(handle, 1, out_ticket)
    deliver_log(self)
  end
  if self.handle ~= handle then return true end -- the log function closed it
  self.handle = nil
  ffi.gc(handle, nil)
  local rc = C.tse_close(handle)
  if rc ~= 0 then return errors.failure(C, rc) end
  return true
end

return M
