--- Rows in: the devops workload through db:write("influx"), from open to the return of flush, then force merge.
---
---   luajit bench/ingest.lua [--hosts 100] [--hours 24] [--kind integer|float] [--runs 5] [--chunk 1048576] [--threads -1]
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local common = require("common")
local tsengine = require("tsengine")

local o = common.options { hosts = 100, hours = 24, kind = "integer", runs = 5, chunk = 1048576, threads = -1 }
local path, expected = common.devops(o.hosts, o.hours, o.kind)
local chunks = common.chunks(path, o.chunk)

local function run()
  local directory = common.scratch("ingest")
  local db, rows, result = nil, 0, {}
  collectgarbage()
  result.wall, result.cpu = common.measure(function()
    db = assert(tsengine.open { path = directory .. "/db", threads = o.threads >= 0 and o.threads or nil })
    for _, chunk in ipairs(chunks) do rows = rows + assert(db:write("influx", chunk)) end
    assert(db:flush())
  end)
  assert(rows == expected, ("%d rows instead of %d"):format(rows, expected))
  local function bytes()
    local sum = 0
    for _, part in ipairs(db:parts()) do sum = sum + part.bytes end
    return sum
  end
  result.parts, result.bytes_flushed = #db:parts(), bytes() / rows
  result.merge_wall, result.merge_cpu = common.measure(function() assert(db:force_merge()) end)
  result.bytes_merged = bytes() / rows
  result.memory = db:stats().memory_peak
  assert(db:close())
  common.remove(directory)
  return result
end

local results = {}
for i = 1, o.runs do results[i] = run() end
local function middle(name)
  local numbers = {}
  for i, result in ipairs(results) do numbers[i] = result[name] end
  return common.median(numbers)
end

print(common.describe())
print(("devops, %d hosts, %d h, %s values: %s rows in texts of %d kB; median of %d runs"):format(o.hosts, o.hours, o.kind,
  common.terminal.thousands(expected), o.chunk / 1024, o.runs))
common.terminal.table({ "what", ">wall s", ">cpu s", ">M rows/s", ">M rows/cpu-s", ">bytes/row" }, {
  { "open, write, flush", ("%.2f"):format(middle("wall")), ("%.2f"):format(middle("cpu")), common.millions(expected, middle("wall")),
    common.millions(expected, middle("cpu")), ("%.3f"):format(middle("bytes_flushed")) },
  { "force merge", ("%.2f"):format(middle("merge_wall")), ("%.2f"):format(middle("merge_cpu")),
    common.millions(expected, middle("merge_wall")), common.millions(expected, middle("merge_cpu")),
    ("%.3f"):format(middle("bytes_merged")) },
})
print(("  parts before the merge: %d; peak of memory: %s"):format(middle("parts"), common.terminal.bytes(middle("memory"))))
