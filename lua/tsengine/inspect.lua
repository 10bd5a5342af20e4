--- What is stored, as tables: parts, partitions, counters.
local ffi = require("ffi")
local core = require("tsengine.ffi")
local errors = require("tsengine.errors")
local list = require("tsengine.list")

local C = core.C
local tonumber = tonumber
local M = {}

local out_parts = ffi.new("struct tse_part_info *[1]")
local out_partitions = ffi.new("struct tse_partition_info *[1]")
local out_count = ffi.new("size_t[1]")
local out_stats = ffi.new("struct tse_stats")

local TIERS = { [0] = "mem", [1] = "small", [2] = "big" }

---@class tsengine.Part
---@field id integer  small, of this open
---@field name string  directory; "" in memory
---@field partition string  "2026_11"
---@field tier "mem"|"small"|"big"
---@field rows integer
---@field blocks integer
---@field bytes integer
---@field min_ms number
---@field max_ms number
---@field created_ms number
---@field generation integer  merges behind it
---@field fan_in integer  parts it was merged from
---@field policy string  that made it; "" unknown
---@field busy boolean  being merged
---@field verified boolean  has checksums of its own
---@field damaged boolean

---@class tsengine.Partition
---@field name string  "2026_11"
---@field min_ms number
---@field max_ms number
---@field parts integer
---@field rows integer
---@field bytes integer
---@field raw_rows integer  not yet in a part
---@field read_only boolean  after a failed write, until reopened

---@class tsengine.Stats
---@field damaged string[]  names of damaged parts
---@field pending_rows integer  rows not yet on disk
---@field layout "single"|"cluster"
---@field read_only boolean
---@field no_space boolean  new rows are refused until space returns
---@field [string] number

--- Check a partition's name. nil stays nil: all of them.
function M.partition_of(where, name)
  if name == nil then return nil end
  if type(name) ~= "string" or not name:find("^%d%d%d%d_%d%d$") then
    errors.misuse("%s: a partition is named as \"2026_11\", got %s", where, tostring(name))
  end
  return name
end

---@return tsengine.Part[]? parts, string? message, string? code
function M.parts(handle, partition)
  local rc = C.tse_parts(handle, partition, out_parts, out_count)
  if rc ~= 0 then return errors.failure(C, rc) end
  local infos, parts = out_parts[0], {}
  for i = 1, tonumber(out_count[0]) do
    local info = infos[i - 1]
    parts[i] = {
      id = tonumber(info.id),
      name = ffi.string(info.name),
      partition = ffi.string(info.partition),
      tier = TIERS[info.tier],
      rows = tonumber(info.rows),
      blocks = tonumber(info.blocks),
      bytes = tonumber(info.bytes),
      min_ms = tonumber(info.min_ms),
      max_ms = tonumber(info.max_ms),
      created_ms = tonumber(info.created_ms),
      generation = tonumber(info.generation),
      fan_in = tonumber(info.fan_in),
      policy = ffi.string(info.policy),
      busy = info.busy ~= 0,
      verified = info.verified ~= 0,
      damaged = info.damaged ~= 0,
    }
  end
  C.tse_free(infos)
  return parts
end

---@return tsengine.Partition[]? partitions, string? message, string? code
function M.partitions(handle)
  local rc = C.tse_partitions(handle, out_partitions, out_count)
  if rc ~= 0 then return errors.failure(C, rc) end
  local infos, partitions = out_partitions[0], {}
  for i = 1, tonumber(out_count[0]) do
    local info = infos[i - 1]
    partitions[i] = {
      name = ffi.string(info.name),
      min_ms = tonumber(info.min_ms),
      max_ms = tonumber(info.max_ms),
      parts = tonumber(info.parts),
      rows = tonumber(info.rows),
      bytes = tonumber(info.bytes),
      raw_rows = tonumber(info.raw_rows),
      read_only = info.read_only ~= 0,
    }
  end
  C.tse_free(infos)
  return partitions
end

-- Names of the counters, all uint64_t fields of struct tse_stats: read from the declaration, so that a counter that the
-- core gains appears here by itself.
local function counter_names()
  local names = {}
  local text = ffi.string(C.tse_abi_layout())
  for name in text:gmatch("tse_stats%.([%w_]+)") do names[#names + 1] = name end
  return names
end

local COUNTERS = counter_names()

---@return tsengine.Stats
function M.stats(handle)
  C.tse_stats(handle, out_stats)
  local stats = {}
  for _, name in ipairs(COUNTERS) do stats[name] = tonumber(out_stats[name]) end
  stats.read_only, stats.no_space = out_stats.read_only ~= 0, out_stats.no_space ~= 0
  stats.layout = out_stats.layout == 1 and "cluster" or "single"
  stats.pending_rows = stats.raw_rows_now + stats.rows_mem_now
  stats.damaged = {}
  if C.tse_damaged(handle, list.out) == 0 then stats.damaged = list.take() end
  return stats
end

return M
