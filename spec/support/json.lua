--- A JSON reader for specs that keeps every digit of 64-bit integers.
-- Integers within +-2^53 become Lua numbers, larger ones int64_t cdata, those of 2^63 to 2^64 - 1 uint64_t cdata, those
-- beyond are doubles like all numbers with a point or an exponent. null is M.null. Objects and arrays are plain tables.
local ffi = require("ffi")

-- LuaJIT's own tonumber is not always the nearest double: tonumber("1e300") is one unit off.
pcall(ffi.cdef, "double strtod(const char *text, char **end);")
local function nearest(text) return ffi.C.strtod(text, nil) end

local M = { null = setmetatable({}, { __tostring = function() return "null" end }) }

local EXACT_MAX = 2 ^ 53

local escapes = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t" }

local function fail(text, at, what)
  error(("JSON: %s at byte %d: %s"):format(what, at, text:sub(at, at + 30)), 0)
end

--- A code point as UTF-8.
local function utf8(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xC0 + math.floor(code / 64), 0x80 + code % 64) end
  if code < 0x10000 then
    return string.char(0xE0 + math.floor(code / 4096), 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  end
  return string.char(0xF0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64,
    0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

local function read_string(text, at)
  local pieces = {}
  at = at + 1
  while true do
    local stop = text:find('["\\]', at)
    if not stop then fail(text, at, "a string does not end") end
    pieces[#pieces + 1] = text:sub(at, stop - 1)
    if text:sub(stop, stop) == '"' then return table.concat(pieces), stop + 1 end
    local c = text:sub(stop + 1, stop + 1)
    at = stop + 2
    if c == "u" then
      local code = tonumber(text:match("^%x%x%x%x", at), 16)
      at = at + 4
      local low = text:match("^\\u([dD][c-fC-F]%x%x)", at)
      if code >= 0xD800 and code < 0xDC00 and low then
        code = 0x10000 + (code - 0xD800) * 1024 + (tonumber(low, 16) - 0xDC00)
        at = at + 6
      end
      pieces[#pieces + 1] = utf8(code)
    else
      pieces[#pieces + 1] = escapes[c] or fail(text, stop, "unknown escape")
    end
  end
end

--- The digits of an integer, exactly.
local function integer(digits)
  local value = tonumber(digits)
  if math.abs(value) <= EXACT_MAX then return value end
  if math.abs(value) >= 2 ^ 64 or value < -2 ^ 63 then return nearest(digits) end
  local negative = digits:sub(1, 1) == "-"
  local exact = ffi.new("uint64_t", 0)
  for digit in digits:gmatch("%d") do exact = exact * 10 + tonumber(digit) end
  if negative then return ffi.cast("int64_t", -exact) end
  if exact > 0x7fffffffffffffffULL then return exact end
  return ffi.cast("int64_t", exact)
end

local function read_number(text, at)
  local digits = text:match("^-?%d+", at)
  local stop = at + #digits
  local tail = text:match("^[%.eE][%d%.eE%+%-]*", stop)
  if tail then return nearest(digits .. tail), stop + #tail end
  return integer(digits), stop
end

local read_value

local function skip(text, at)
  return text:find("[^ \t\r\n]", at) or #text + 1
end

local function read_array(text, at)
  local array = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "]" then return array, at + 1 end
  while true do
    array[#array + 1], at = read_value(text, at)
    at = skip(text, at)
    local c = text:sub(at, at)
    if c == "]" then return array, at + 1 end
    if c ~= "," then fail(text, at, "an array does not go on") end
    at = skip(text, at + 1)
  end
end

local function read_object(text, at)
  local object = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "}" then return object, at + 1 end
  while true do
    local key
    if text:sub(at, at) ~= '"' then fail(text, at, "no key") end
    key, at = read_string(text, at)
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then fail(text, at, "no colon") end
    object[key], at = read_value(text, skip(text, at + 1))
    at = skip(text, at)
    local c = text:sub(at, at)
    if c == "}" then return object, at + 1 end
    if c ~= "," then fail(text, at, "an object does not go on") end
    at = skip(text, at + 1)
  end
end

local words = { { "true", true }, { "false", false }, { "null", M.null } }

function read_value(text, at)
  local c = text:sub(at, at)
  if c == "{" then return read_object(text, at) end
  if c == "[" then return read_array(text, at) end
  if c == '"' then return read_string(text, at) end
  if c:find("[%-%d]") then return read_number(text, at) end
  for _, word in ipairs(words) do
    if text:sub(at, at + #word[1] - 1) == word[1] then return word[2], at + #word[1] end
  end
  return fail(text, at, "no value")
end

--- One JSON value.
---@param text string
function M.decode(text)
  local value, at = read_value(text, skip(text, 1))
  if skip(text, at) <= #text then fail(text, at, "more than one value") end
  return value
end

--- Every line of a file as a value; empty lines are passed over.
---@param path string
---@return table[] values
function M.lines(path)
  local values = {}
  local file = assert(io.open(path, "rb"))
  for line in file:lines() do
    if line:find("%S") then values[#values + 1] = M.decode(line) end
  end
  file:close()
  return values
end

return M
