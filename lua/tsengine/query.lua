--- What select, delete and the lists have in common: selectors, range, limit and tenant, given in either form.
local ffi = require("ffi")
local config = require("tsengine.config")
local errors = require("tsengine.errors")
local time = require("tsengine.time")

local M = {}

local NAMES = { match = true, from = true, to = true, limit = true, tenant = true }
local texts_type = ffi.typeof("const char *[?]")
local sizes_type = ffi.typeof("size_t[?]")
-- What the last struct points to: C sees no garbage collector, so somebody must keep it until the call has returned.
local held -- luacheck: ignore 231 241
local query_type = ffi.typeof("struct tse_query")

---@class tsengine.QueryOptions
---@field match? string|string[]  a selector, or several of which any may match; the array part of the table means the same
---@field from? number|string|ffi.cdata*  first time, inclusive; nil: no bound; "-1h": counted from now
---@field to? number|string|ffi.cdata*  last time, inclusive
---@field limit? integer  series, or names in a list
---@field tenant? string  "account:project"

--- Bring the argument forms together: ("cpu", from, to, opts), ({"cpu", "mem"}, …) and ({match = "cpu", from = …}).
---@param where string
---@param first string|table|nil
---@return tsengine.QueryOptions
function M.options(where, first, from, to, further)
  local options = {}
  if type(first) == "string" then
    options.match = first
  elseif type(first) == "table" then
    config.check_names(first, NAMES, where, true)
    for name, value in pairs(first) do
      if type(name) == "string" then options[name] = value end
    end
    if #first > 0 then
      if options.match ~= nil then errors.misuse("%s: selectors stand both in 'match' and in the array part", where) end
      options.match = first
    end
  elseif first ~= nil then
    errors.misuse("%s: a selector or a table of options is needed, got %s", where, type(first))
  end
  if further ~= nil then
    if type(further) ~= "table" then errors.misuse("%s: options must be a table, got %s", where, type(further)) end
    config.check_names(further, NAMES, where)
    for name, value in pairs(further) do options[name] = value end
  end
  if from ~= nil then options.from = from end
  if to ~= nil then options.to = to end
  return options
end

--- The selectors as an array of texts.
local function selectors(where, match)
  if match == nil then return {} end
  if type(match) == "string" then return { match } end
  if type(match) ~= "table" then errors.misuse("%s: 'match' must be a selector or an array of them, got %s", where, type(match)) end
  local list = {}
  for i, selector in ipairs(match) do
    if type(selector) ~= "string" then errors.misuse("%s: selector %d must be text, got %s", where, i, type(selector)) end
    list[i] = selector
  end
  if #list == 0 then errors.misuse("%s: 'match' is an empty array", where) end
  return list
end

--- Fill the core's struct.
---@param db tsengine.Db
---@param where string
---@param options tsengine.QueryOptions
---@return ffi.cdata* query  holds until the next call
function M.build(db, where, options)
  local list = selectors(where, options.match)
  local query = query_type()
  held = { list }
  if #list > 0 then
    local texts, sizes = texts_type(#list), sizes_type(#list)
    for i, selector in ipairs(list) do
      texts[i - 1], sizes[i - 1] = selector, #selector
    end
    query.matches, query.match_lengths, query.matches_count = texts, sizes, #list
    held[2], held[3] = texts, sizes
  end
  query.from_ms = time.bound(db.handle, options.from, time.MIN, "from")
  query.to_ms = time.bound(db.handle, options.to, time.MAX, "to")
  local limit = options.limit
  if limit ~= nil then
    if type(limit) ~= "number" or limit ~= math.floor(limit) or limit < 0 or limit > 2 ^ 53 then
      errors.misuse("%s: 'limit' must be a whole number, got %s", where, tostring(limit))
    end
    query.limit = limit
  end
  query.account, query.project = db:tenant_of(where, options)
  return query
end

return M
