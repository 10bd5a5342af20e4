--- tsengine: a time-series database inside a LuaJIT process, in VictoriaMetrics' files.
---
---     local tsengine = require("tsengine")
---     local db = assert(tsengine.open("data"))
---     db:add('temperature{room="kitchen"}', nil, 21.5)
---     for series in db:select("temperature", "-1h") do
---       for ms, value in series:points() do print(series.metric, ms, value) end
---     end
---     db:close()
local has_ffi = pcall(require, "ffi")
if not has_ffi then
  error("tsengine needs LuaJIT 2.1 (module 'ffi' not found in " .. _VERSION .. ")", 0)
end

local ffi = require("ffi")
local core = require("tsengine.ffi")
local clock = require("tsengine.clock")
local db = require("tsengine.db")

local M = {}

-- No ULL literal: this file must also parse in plain Lua 5.1, to say what it needs.
local stale_bits = ffi.cast("uint64_t", 0x7FF00000) * 2 ^ 32 + 2

--- Version of the module and its core, such as "0.1.0".
M.version = ffi.string(core.C.tse_version())
M._VERSION = "tsengine " .. M.version

--- Manual clocks for `open{clock = …}`.
M.clock = { manual = clock.manual }

--- The stale marker: a NaN with the bits 0x7FF0000000000002, the only NaN that is stored. It is unequal to itself:
--- recognise it with `is_stale`. Any arithmetic turns it into an ordinary NaN.
---@type number
M.stale = ffi.new("union { uint64_t bits; double value; }", stale_bits).value

local bits_of = ffi.new("union { uint64_t bits; double value; }")

--- Is this value the stale marker?
---@param value number
---@return boolean
function M.is_stale(value)
  bits_of.value = value
  return bits_of.bits == stale_bits
end

--- Open a storage directory; it is made when it does not exist.
---
--- Returns nil, message and code when it cannot be opened: LOCKED (somebody else has it open; the message names the
--- process), LAYOUT (not a storage directory, or of another layout or version), IO, NOSPACE, MEMORY, POLICY.
---@param options string|tsengine.Options  the path, or a table of options
---@return tsengine.Db? db, string? message, string? code
function M.open(options)
  return db.open(options)
end

return M
