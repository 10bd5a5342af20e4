--- The two ways a call goes wrong: expected failures are returned, misuse is raised where the caller stands.
---
--- Expected (the disk is full, the directory is locked): `nil, "CODE: message", "CODE"`. Misuse (wrong type, unknown
--- option, closed handle): an error whose position is the line of the program that called the module, however deep
--- inside the module it was found.
local ffi = require("ffi")

local M = {}

-- Directory of this file as the chunk names of all files of the module start with it.
local own_prefix = debug.getinfo(1, "S").source:match("^(.*/)") or "@"

--- Raise a misuse error at the line outside of this module that made the call.
---@param message string
---@param ... any  arguments of string.format
function M.misuse(message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  local level = 2
  while true do
    local info = debug.getinfo(level, "S")
    if not info then
      error("tsengine: " .. message, 0)
    end
    -- C frames (pcall, the caller of an iterator) have no line: look further up.
    if info.what ~= "C" and info.source:sub(1, #own_prefix) ~= own_prefix then break end
    level = level + 1
  end
  error("tsengine: " .. message, level)
end

--- The failure of a call into the core as return values.
---@param C ffi.namespace*  the loaded core
---@param rc integer  a code other than 0
---@return nil, string message, string code
function M.failure(C, rc)
  local code = ffi.string(C.tse_error_word(rc))
  return nil, code .. ": " .. ffi.string(C.tse_error_message()), code
end

--- A failure found on the Lua side, in the same shape.
---@param code string
---@param message string
---@return nil, string message, string code
function M.fail(code, message, ...)
  if select("#", ...) > 0 then message = message:format(...) end
  return nil, code .. ": " .. message, code
end

--- What iterators raise: a table with `code` and `message` that prints as its message.
---@class tsengine.Error
---@field code string
---@field message string
local Error = {}
Error.__index = Error
Error.__tostring = function(self) return self.message end
Error.__concat = function(a, b) return tostring(a) .. tostring(b) end

--- Raise an error object with the given code.
---@param message string
---@param code string
function M.raise(message, code)
  error(setmetatable({ code = code, message = message }, Error), 0)
end

return M
