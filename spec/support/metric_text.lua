--- The canonical text of a metric, written in Lua: what metric_text.c must agree with.
local M = {}

local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

--- A label value (or a name that is no identifier) in quotes.
function M.quote(text) return '"' .. text:gsub('[\\"\n]', escapes) .. '"' end

--- `name{label="value",...}` of {__name__ = name, label = value, ...}: labels sorted by bytes.
---@param labels table<string, string>
function M.format(labels)
  local name, names, items = labels.__name__, {}, {}
  local plain = name and name:find("^[%a_:][%w_:]*$") and true
  for key in pairs(labels) do
    if key ~= "__name__" then names[#names + 1] = key end
  end
  table.sort(names)
  if name and not plain then items[1] = "__name__=" .. M.quote(name) end
  for _, key in ipairs(names) do
    items[#items + 1] = (key:find("^[%a_][%w_]*$") and key or M.quote(key)) .. "=" .. M.quote(labels[key])
  end
  if plain and #items == 0 then return name end
  return (plain and name or "") .. "{" .. table.concat(items, ",") .. "}"
end

return M
