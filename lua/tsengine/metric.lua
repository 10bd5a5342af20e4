--- Metrics as text and as tables of labels: 'cpu{host="a"}' and {__name__="cpu", host="a"}.
local errors = require("tsengine.errors")

local M = {}

local ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }
local UNESCAPES = { n = "\n" }

local function quote(text)
  return '"' .. text:gsub('[\\"\n]', ESCAPES) .. '"'
end

local function unescape(text)
  if not text:find("\\", 1, true) then return text end
  return (text:gsub("\\(.)", function(c) return UNESCAPES[c] or c end))
end

--- Canonical text of a table of labels.
---@param labels table<string, string|number>
---@return string
function M.from_table(labels)
  local parts, name = {}, nil
  for label, value in pairs(labels) do
    if type(label) ~= "string" then
      errors.misuse("a metric's labels are named by text, got a %s", type(label))
    end
    if type(value) == "number" then value = tostring(value) end
    if type(value) ~= "string" then
      errors.misuse("label '%s' of a metric must be text, got a %s", label, type(value))
    end
    if label == "__name__" then
      name = value
    else
      parts[#parts + 1] = { label, value }
    end
  end
  table.sort(parts, function(a, b) return a[1] < b[1] end)
  for i, part in ipairs(parts) do
    local label = part[1]
    parts[i] = (label:find("^[%a_][%w_]*$") and label or quote(label)) .. "=" .. quote(part[2])
  end
  if name and not name:find("^[%a_:][%w_:]*$") then
    -- A name that is no identifier stands first among the labels.
    table.insert(parts, 1, "__name__=" .. quote(name))
    name = nil
  end
  if name and #parts == 0 then return name end
  return (name or "") .. "{" .. table.concat(parts, ",") .. "}"
end

--- Text of a metric given either way.
---@param metric string|table<string, string>
---@return string
function M.text(metric)
  if type(metric) == "string" then return metric end
  if type(metric) == "table" then return M.from_table(metric) end
  errors.misuse("a metric is text such as 'cpu{host=\"a\"}' or a table of labels, got %s", type(metric))
end

--- Labels of a canonical text, the name as `__name__`.
---@param text string  as select gives it in `.metric`
---@return table<string, string>
function M.labels(text)
  local labels = {}
  local name, position = text:match("^([%a_:][%w_:]*)()")
  if name then labels.__name__ = name end
  position = (position or 1) + 1
  while position <= #text and text:byte(position) ~= 125 do -- "}"
    local label, behind = text:match("^([%a_][%w_]*)=()", position)
    if not label then
      local close = M.quote_end(text, position)
      label = unescape(text:sub(position + 1, close - 1))
      behind = close + 2
    end
    local close = M.quote_end(text, behind)
    labels[label] = unescape(text:sub(behind + 1, close - 1))
    position = close + 1
    if text:byte(position) == 44 then position = position + 1 end -- ","
  end
  return labels
end

--- Position of the quote that ends the quoted text beginning at `position`.
function M.quote_end(text, position)
  local i = position + 1
  while true do
    i = text:find('[\\"]', i)
    if not i then return #text + 1 end
    if text:byte(i) == 34 then return i end
    i = i + 2
  end
end

return M
