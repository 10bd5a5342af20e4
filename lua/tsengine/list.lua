--- Lists of texts from the core as Lua arrays.
local ffi = require("ffi")
local core = require("tsengine.ffi")

local C = core.C
local tonumber = tonumber
local M = {}

--- Out-parameter for calls that give a list; taken over at once by `take`.
M.out = ffi.new("struct tse_list")

--- The texts of `out`, which is freed.
---@return string[]
function M.take()
  local list = M.out
  local data, offsets, count = list.data, list.offsets, tonumber(list.count)
  local texts = {}
  for i = 1, count do
    local first = tonumber(offsets[i - 1])
    -- A zero stands behind each text.
    texts[i] = ffi.string(data + first, tonumber(offsets[i]) - 1 - first)
  end
  C.tse_list_free(list)
  return texts
end

return M
