--- Series: a million new ones (name and 5 labels) created and durable, then the directory reopened and asked.
---
---   luajit bench/series.lua [--series 1000000] [--runs 3]
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local common = require("common")
local tsengine = require("tsengine")

local o = common.options { series = 1000000, runs = 3 }
local NOON = 1793880000000

-- The text is made before the clock starts: one row for each series.
local chunks = {}
do
  local lines = {}
  for i = 1, o.series do
    lines[#lines + 1] = ('http_requests_total{instance="10.0.%d.%d:9100",job="api",path="/v1/item/%d",method="GET",code="%d"} %d %d\n')
      :format(math.floor(i / 200) % 200, i % 200, math.floor(i / 40000), 200 + i % 5, i, NOON)
    if #lines == 5000 or i == o.series then
      chunks[#chunks + 1] = table.concat(lines)
      lines = {}
    end
  end
end

local function run()
  local directory = common.scratch("series")
  local result, db = {}, nil
  local clock = tsengine.clock.manual(NOON)
  result.wall, result.cpu = common.measure(function()
    db = assert(tsengine.open { path = directory .. "/db", clock = clock })
    for _, chunk in ipairs(chunks) do assert(db:write("prometheus", chunk)) end
    assert(db:flush())
  end)
  result.created = db:stats().series_created
  result.memory = db:stats().memory_peak
  result.rewrite_wall, result.rewrite_cpu = common.measure(function()
    for _, chunk in ipairs(chunks) do assert(db:write("prometheus", chunk)) end
  end)
  assert(db:close())
  local found = 0
  result.open_wall, result.open_cpu = common.measure(function()
    db = assert(tsengine.open { path = directory .. "/db", clock = clock })
    for series in assert(db:select('http_requests_total{instance="10.0.7.7:9100",code=~"20[0-2]"}')) do found = found + series.count end
  end)
  assert(found > 0)
  assert(db:close())
  result.bytes = tonumber(common.shell("du -sb " .. common.quote(directory .. "/db/indexdb")):match("^%d+")) / o.series
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

local distinct = middle("created")
print(common.describe())
print(("%s series, name and 5 labels, one row each; median of %d runs"):format(common.terminal.thousands(distinct), o.runs))
local function thousands_per(seconds) return ("%.0f"):format(distinct / seconds / 1000) end
common.terminal.table({ "what", ">wall s", ">cpu s", ">k series/s", ">k series/cpu-s" }, {
  { "create, durable", ("%.2f"):format(middle("wall")), ("%.2f"):format(middle("cpu")), thousands_per(middle("wall")),
    thousands_per(middle("cpu")) },
  { "write a row again", ("%.2f"):format(middle("rewrite_wall")), ("%.2f"):format(middle("rewrite_cpu")),
    thousands_per(middle("rewrite_wall")), thousands_per(middle("rewrite_cpu")) },
  { "reopen, first matcher", ("%.2f"):format(middle("open_wall")), ("%.2f"):format(middle("open_cpu")), "", "" },
})
print(("  index on disk: %.0f bytes per series; peak of memory: %s"):format(middle("bytes"), common.terminal.bytes(middle("memory"))))
