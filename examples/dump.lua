--- Rows as Prometheus text: to look at, or for another program. examples/import.lua reads it back.
---
---   luajit examples/dump.lua DIRECTORY [MATCH [FROM [TO]]] > rows.prom
local tsengine = require("tsengine")

local directory, match = arg[1], arg[2] or '{__name__!=""}'
if not directory then
  io.stderr:write("usage: luajit examples/dump.lua DIRECTORY [MATCH [FROM [TO]]]\n")
  os.exit(2)
end

--- A value as the text format writes it; nil for the stale marker, which it cannot write.
local function value_text(value)
  if value ~= value then return nil end
  if value == math.huge then return "+Inf" end
  if value == -math.huge then return "-Inf" end
  return ("%.17g"):format(value)
end

local function time(text) return tonumber(text) or text end

local db = assert(tsengine.open { path = directory, read_only = true })
for series in assert(db:select(match, time(arg[3]), time(arg[4]))) do
  local lines = {}
  for ms, value in series:points() do
    local text = value_text(value)
    if text then lines[#lines + 1] = ("%s %s %.0f\n"):format(series.metric, text, ms) end
  end
  io.write(table.concat(lines))
end
assert(db:close())
