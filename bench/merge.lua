--- Merges: n parts of equal size with random values and times become one.
---
---   luajit bench/merge.lua [--rows 1000000] [--series 1000] [--runs 5]
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local ffi = require("ffi")
local common = require("common")
local tsengine = require("tsengine")

local o = common.options { rows = 1000000, series = 1000, runs = 5 }
local NOON = 1793880000000
local DAY = 86400000
local per_series = math.floor(o.rows / o.series)
local timestamps, values = ffi.new("int64_t[?]", per_series), ffi.new("double[?]", per_series)

local fillers = {
  random = function(i)
    timestamps[i], values[i] = NOON - math.random(0, DAY), math.random(-1000000, 1000000)
  end,
  ordered = function(i, part)
    timestamps[i], values[i] = NOON - DAY + (part * per_series + i) * 10, math.floor(1000 * math.sin(i / 100))
  end,
}

--- Build `parts` parts of o.rows rows each without merging them, then force the merge.
local function run(parts, kind)
  local directory = common.scratch("merge")
  local clock = tsengine.clock.manual(NOON)
  local db = assert(tsengine.open { path = directory .. "/db", threads = 0, clock = clock })
  local handles = {}
  for s = 1, o.series do handles[s] = assert(db:series(('m{s="%d"}'):format(s))) end
  for part = 1, parts do
    for s = 1, o.series do
      for i = 0, per_series - 1 do fillers[kind](i, part) end
      assert(handles[s]:add_columns(timestamps, values, per_series))
    end
    assert(db:flush())
  end
  local before = #db:parts()
  local wall, cpu = common.measure(function() assert(db:force_merge()) end)
  local after = db:parts()
  assert(#after == 1 and after[1].rows == parts * o.series * per_series)
  assert(db:close())
  common.remove(directory)
  return wall, cpu, before, after[1].bytes / after[1].rows
end

local lines = {}
for _, kind in ipairs { "ordered", "random" } do
  for _, parts in ipairs { 2, 4, 15 } do
    local walls, cpus, before, bytes = {}, {}, nil, nil
    for i = 1, o.runs do walls[i], cpus[i], before, bytes = run(parts, kind) end
    local rows = parts * o.series * per_series
    local wall, cpu = common.median(walls), common.median(cpus)
    lines[#lines + 1] = { kind, ("%d"):format(before), common.terminal.thousands(rows), ("%.3f"):format(wall), ("%.3f"):format(cpu),
      common.millions(rows, wall), common.millions(rows, cpu), ("%.2f"):format(bytes) }
  end
end

print(common.describe())
print(("%d series, %s rows a flush; median of %d runs"):format(o.series, common.terminal.thousands(o.rows), o.runs))
common.terminal.table({ "times and values", ">parts", ">rows", ">wall s", ">cpu s", ">M rows/s", ">M rows/cpu-s", ">bytes/row" }, lines)
