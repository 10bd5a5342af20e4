--- Rows out: every timestamp and value of a directory read from files and summed in Lua, on one core.
---
---   luajit bench/scan.lua [--hosts 100] [--hours 24] [--kind integer|float] [--runs 5]
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local common = require("common")
local tsengine = require("tsengine")

local o = common.options { hosts = 100, hours = 24, kind = "integer", runs = 5 }
local path, expected = common.devops(o.hosts, o.hours, o.kind)
local directory = common.scratch("scan") .. "/db"

local db = assert(tsengine.open(directory))
assert(db:import("influx", path) == expected)
assert(db:flush())
assert(db:force_merge())
assert(db:close())

local function scan(match)
  local reader = assert(tsengine.open { path = directory, threads = 0 })
  local rows, sum = 0, 0
  local wall, cpu = common.measure(function()
    for s in assert(reader:select(match)) do
      for i = 0, s.count - 1 do sum = sum + tonumber(s.timestamps[i]) + s.values[i] end
      rows = rows + s.count
    end
  end)
  assert(reader:close())
  return wall, cpu, rows, sum
end

local rows_of_table = {}
for _, case in ipairs { { "everything", nil }, { "one host of " .. o.hosts, '{hostname="host_7"}' } } do
  local walls, cpus, rows, last_sum = {}, {}, nil, nil
  for i = 1, o.runs do
    local sum
    walls[i], cpus[i], rows, sum = scan(case[2])
    assert(last_sum == nil or last_sum == sum)
    last_sum = sum
  end
  assert(case[2] or rows == expected)
  local wall, cpu = common.median(walls), common.median(cpus)
  rows_of_table[#rows_of_table + 1] = { case[1], common.terminal.thousands(rows), ("%.3f"):format(wall), ("%.3f"):format(cpu),
    common.millions(rows, wall), common.millions(rows, cpu) }
end

print(common.describe())
print(("devops, %s values, freshly opened each time, page cache warm; median of %d runs"):format(o.kind, o.runs))
common.terminal.table({ "select and sum", ">rows", ">wall s", ">cpu s", ">M rows/s", ">M rows/cpu-s" }, rows_of_table)
common.remove((directory:gsub("/db$", "")))
