--- Charts of series in a terminal.
---
---   luajit examples/chart.lua DIRECTORY [MATCH [FROM [TO]]]      FROM and TO: milliseconds, or "-1h" back from now
---   luajit examples/chart.lua build/demo-data node_load1
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path

local tsengine = require("tsengine")
local terminal = require("terminal")

local SERIES_MAX = 8 -- more charts are not looked at

local directory, match = arg[1], arg[2]
if not directory then
  io.stderr:write("usage: luajit examples/chart.lua DIRECTORY [MATCH [FROM [TO]]]\n")
  os.exit(2)
end

--- What select takes: a number when it is one.
local function time(text) return tonumber(text) or text end

local db = assert(tsengine.open { path = directory, read_only = true })
if not match then
  -- nothing to draw was named: say what there is
  for _, name in ipairs(db:label_values("__name__")) do print(name) end
else
  local found = 0
  for series in assert(db:select(match, time(arg[3]), time(arg[4]), { limit = SERIES_MAX })) do
    found = found + 1
    local times = {}
    for i = 0, series.count - 1 do times[i] = tonumber(series.timestamps[i]) end
    terminal.chart(times, series.values, series.count, ("%s   %s rows"):format(series.metric, terminal.thousands(series.count)))
    print()
  end
  if found == 0 then print("no series matches " .. match) end
  if found == SERIES_MAX then print("only the first " .. SERIES_MAX) end
end
assert(db:close())
