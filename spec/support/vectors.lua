--- The golden vectors, by kind, and helpers to bring them into C arrays and back.
local ffi = require("ffi")
local json = require("spec.support.json")

local M = {}

local by_kind

--- All vectors of a kind, those of both files.
---@param kind string
---@return table[]
function M.of(kind)
  if not by_kind then
    by_kind = {}
    for _, path in ipairs { "spec/data/encoding-vectors.jsonl", "spec/data/encoding-vectors-extra.jsonl" } do
      for _, vector in ipairs(json.lines(path)) do
        by_kind[vector.kind] = by_kind[vector.kind] or {}
        table.insert(by_kind[vector.kind], vector)
      end
    end
  end
  return by_kind[kind] or {}
end

--- What a failing vector is called.
function M.title(vector, index)
  return ("%s %d (%s)"):format(vector.kind, index, vector.name or "")
end

--- A Lua array of integers as int64_t[n].
function M.int64s(list)
  local array = ffi.new("int64_t[?]", math.max(#list, 1))
  for i = 1, #list do array[i - 1] = list[i] end
  return array
end

--- int64_t[n] as text: cdata compare badly in tables.
function M.show(array, n)
  local words = {}
  for i = 0, n - 1 do words[#words + 1] = (tostring(ffi.cast("int64_t", array[i])):gsub("LL$", "")) end
  return table.concat(words, " ")
end

--- As M.show, of a Lua array.
function M.show_list(list)
  return M.show(M.int64s(list), #list)
end

--- Hex text as uint8_t[n], n.
function M.bytes(hex)
  local n = #hex / 2
  local bytes = ffi.new("uint8_t[?]", math.max(n, 1))
  for i = 0, n - 1 do bytes[i] = tonumber(hex:sub(2 * i + 1, 2 * i + 2), 16) end
  return bytes, n
end

--- uint8_t[n] as hex text.
function M.hex(bytes, n)
  local words = {}
  for i = 0, n - 1 do words[#words + 1] = ("%02x"):format(bytes[i]) end
  return table.concat(words)
end

--- 16 hex digits as uint64_t.
function M.bits(hex)
  return ffi.cast("uint64_t", tonumber(hex:sub(1, 8), 16)) * 0x100000000ULL + tonumber(hex:sub(9, 16), 16)
end

--- uint64_t as 16 hex digits.
function M.show_bits(bits)
  return ("%08x%08x"):format(tonumber(bits / 0x100000000ULL), tonumber(bits % 0x100000000ULL))
end

return M
