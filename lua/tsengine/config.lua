--- Options: what names exist, what values they take. An unknown name or a wrong value raises, with a suggestion.
local ffi = require("ffi")
local core = require("tsengine.ffi")
local clock = require("tsengine.clock")
local duration = require("tsengine.duration")
local errors = require("tsengine.errors")

local C = core.C
local M = {}

local INT32_MAX = 2 ^ 31 - 1
local UINT32_MAX = 2 ^ 32 - 1

-- -- Names ------------------------------------------------------------------

--- Edit distance of two short words, to find what a misspelled option meant.
local function distance(a, b)
  local previous = {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + cost)
    end
    previous = row
  end
  return previous[#b]
end

--- The known name nearest to a wrong one, as words for the message; "" when none is near.
local function suggestion(name, known)
  local best, best_distance
  for candidate in pairs(known) do
    local d = distance(name, candidate)
    if not best or d < best_distance or (d == best_distance and candidate < best) then
      best, best_distance = candidate, d
    end
  end
  -- Up to half of the letters wrong is still a spelling mistake; more is another word.
  if best and best_distance <= math.max(2, #name / 2) then return ("; did you mean '%s'?"):format(best) end
  return ""
end

--- Raise unless every string key of an options table is known.
---@param options table
---@param known table<string, any>
---@param where string  the call, for the message
---@param positional boolean?  may the table have an array part?
function M.check_names(options, known, where, positional)
  for name in pairs(options) do
    if type(name) ~= "string" then
      if not (positional and type(name) == "number") then
        errors.misuse("%s: an option has no name (%s)", where, tostring(name))
      end
    elseif known[name] == nil then
      errors.misuse("%s: unknown option '%s'%s", where, name, suggestion(name, known))
    end
  end
end

-- -- Values -----------------------------------------------------------------

local function wrong(where, name, expected, value)
  errors.misuse("%s: option '%s' must be %s, got %s", where, name, expected,
    type(value) == "string" and ("%q"):format(value) or tostring(value))
end

local function whole_number(least, most)
  return function(where, name, value)
    if type(value) ~= "number" or value ~= math.floor(value) or value < least or value > most then
      wrong(where, name, ("a whole number from %d to %d"):format(least, most), value)
    end
    return value
  end
end

local function duration_ms(least_ms)
  return function(where, name, value)
    local ms = duration.parse(value)
    if not ms or ms < least_ms then
      wrong(where, name, ("a duration such as \"5s\" or milliseconds, at least %d ms"):format(least_ms), value)
    end
    return ms
  end
end

local function retention_ms(where, name, value)
  if value == "forever" then return 0 end
  local ms = duration.parse(value)
  if not ms or ms < 1 then wrong(where, name, "a duration such as \"1y\" or \"forever\"", value) end
  return ms
end

local function size_bytes(where, name, value)
  local bytes = duration.parse_size(value)
  if not bytes then wrong(where, name, "a size such as \"64MB\" or bytes", value) end
  return bytes
end

local function one_of(numbers)
  return function(where, name, value)
    local number = type(value) == "string" and numbers[value]
    if not number then
      local words = {}
      for word in pairs(numbers) do words[#words + 1] = ("%q"):format(word) end
      table.sort(words)
      wrong(where, name, table.concat(words, " or "), value)
    end
    return number
  end
end

local function boolean(where, name, value)
  if type(value) ~= "boolean" then wrong(where, name, "true or false", value) end
  return value and 1 or 0
end

--- "account:project" as two numbers.
---@param where string
---@param value string
---@return number account, number project
function M.tenant(where, value)
  local account, project
  if type(value) == "string" then
    account, project = value:match("^(%d+):(%d+)$")
    account, project = tonumber(account), tonumber(project)
  end
  if not account or account > UINT32_MAX or project > UINT32_MAX then
    wrong(where, "tenant", "\"account:project\", two numbers below 2^32", value)
  end
  return account, project
end

-- -- Options of open --------------------------------------------------------

---@class tsengine.FlushOptions
---@field visible? string|number  rows become a part after this ("1s"); a ceiling
---@field durable? string|number  rows are on disk after this ("5s"); a ceiling
---@field shards? integer  row buffers of a partition; nil: by CPUs
---@field shard_rows? integer  rows a buffer takes; nil: chosen by the engine

---@class tsengine.MergeOptions
---@field policy? string  "vm", the built-in one
---@field params? { fan?: integer }  fan: most parts of one background merge (15)
---@field workers? integer  merges of a kind at the same time; nil: by CPUs

---@class tsengine.Options
---@field path string  the storage directory
---@field layout? "single"|"cluster"  nil: as found; single when new
---@field read_only? boolean  shared lock, nothing on disk changes
---@field retention? string|number  "forever", or how long rows are kept ("1y")
---@field future_limit? string|number  how far ahead of the clock a row may be ("2d")
---@field dedup_interval? string|number  0: off
---@field dedup_keep? "last"|"first"
---@field flush? tsengine.FlushOptions
---@field merge? tsengine.MergeOptions
---@field threads? integer  nil: one per CPU; 0: nothing runs but db:step()
---@field clock? tsengine.Clock  nil: the machine's
---@field memory_limit? string|number  nil: a quarter of the machine's or cgroup's memory
---@field min_free_disk? string|number  below this new rows are refused ("100MB")
---@field tenant? string  "account:project" of calls that name none
---@field labels_max? integer  labels of one series (30)
---@field log? "stderr"|fun(level: string, message: string)  nil: nobody

-- option -> { field of struct tse_options, check }
local OPEN = {
  layout = { "layout", one_of { single = 0, cluster = 1 } },
  read_only = { "read_only", boolean },
  retention = { "retention_ms", retention_ms },
  future_limit = { "future_limit_ms", duration_ms(0) },
  dedup_interval = { "dedup_interval_ms", duration_ms(0) },
  dedup_keep = { "dedup_keep", one_of { last = 0, first = 1 } },
  threads = { "threads", whole_number(0, 1024) },
  memory_limit = { "memory_limit_bytes", size_bytes },
  min_free_disk = { "min_free_disk_bytes", size_bytes },
  labels_max = { "labels_max", whole_number(1, 65535) },
}

local FLUSH = {
  visible = { "visible_ms", duration_ms(1) },
  durable = { "durable_ms", duration_ms(1) },
  shards = { "shards", whole_number(1, 1024) },
  shard_rows = { "shard_rows", whole_number(1, INT32_MAX) },
}

local MERGE = {
  workers = { "merge_workers", whole_number(1, 1024) },
}

local MERGE_PARAMS = {
  fan = { "merge_fan", whole_number(2, 1024) },
}

--- All names of a table of fields, and further ones that are no field of their own.
local function names_of(fields, further)
  local names = {}
  for name in pairs(fields) do names[name] = true end
  for _, name in ipairs(further) do names[name] = true end
  return names
end

local OPEN_NAMES = names_of(OPEN, { "path", "flush", "merge", "clock", "tenant", "log" })
local MERGE_NAMES = names_of(MERGE, { "policy", "params" })

local function fill(out, fields, options, where)
  for name, field in pairs(fields) do
    local value = options[name]
    if value ~= nil then out[field[1]] = field[2](where, name, value) end
  end
end

local function section(options, name, fields, names)
  local where = "open: " .. name
  local part = options[name]
  if part == nil then return {}, where end
  if type(part) ~= "table" then wrong("open", name, "a table", part) end
  M.check_names(part, names or fields, where)
  return part, where
end

--- Check the options of open and fill the core's struct.
---
--- A merge policy other than the built-in one is an expected failure (POLICY), everything else wrong is misuse.
---@param options string|tsengine.Options
---@return ffi.cdata*? struct, table settings_or_message, string? code  settings: path, account, project, clock, log
function M.open_options(options)
  if type(options) == "string" then options = { path = options } end
  if type(options) ~= "table" then errors.misuse("open: a path or a table of options is needed, got %s", type(options)) end
  M.check_names(options, OPEN_NAMES, "open")
  local path = options.path
  if type(path) ~= "string" or path == "" then wrong("open", "path", "the name of a directory", path) end
  if path:find("%z") then wrong("open", "path", "a name without zero bytes", path) end

  local out = ffi.new("struct tse_options")
  C.tse_options_default(out)
  out.path = path
  fill(out, OPEN, options, "open")
  fill(out, FLUSH, section(options, "flush", FLUSH))
  local merge, where = section(options, "merge", MERGE, MERGE_NAMES)
  fill(out, MERGE, merge, where)
  if merge.params ~= nil then
    if type(merge.params) ~= "table" then wrong(where, "params", "a table", merge.params) end
    M.check_names(merge.params, MERGE_PARAMS, where .. ".params")
    fill(out, MERGE_PARAMS, merge.params, where .. ".params")
  end
  if merge.policy ~= nil then
    if type(merge.policy) ~= "string" then wrong(where, "policy", "the name of a policy", merge.policy) end
    if merge.policy ~= "vm" then
      return errors.fail("POLICY", "there is no merge policy '%s'; the built-in one is 'vm'", merge.policy)
    end
  end
  local settings = { path = path, account = 0, project = 0, log = options.log, clock = options.clock }
  if options.tenant ~= nil then
    settings.account, settings.project = M.tenant("open", options.tenant)
    out.account, out.project = settings.account, settings.project
  end
  if options.clock ~= nil then
    if not clock.is_clock(options.clock) then wrong("open", "clock", "made by tsengine.clock.manual", options.clock) end
    out.clock = options.clock.handle
  end
  if options.log == "stderr" then
    out.log_target = 1
  elseif type(options.log) == "function" then
    out.log_target = 2
  elseif options.log ~= nil then
    wrong("open", "log", "\"stderr\" or a function", options.log)
  end
  return out, settings
end

return M
