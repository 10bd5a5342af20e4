--- The same devops text into this engine and into a real victoria-metrics: processor seconds and bytes.
---
---   luajit bench/compare.lua [--hosts 100] [--hours 24] [--kind integer|float] [--runs 3]
---
--- The engine takes the text in-process; victoria-metrics takes it over HTTP on the loopback, as its users send it, in
--- requests of 10 MB by curl, whose own time does not count. Both: from start to everything flushed; then a force merge.
--- Needs victoria-metrics and curl in PATH (scripts/test.sh unpacks the former into .local/peer).
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local common = require("common")
package.path = common.root .. "?.lua;" .. package.path
local tsengine = require("tsengine")
local victoria_metrics = require("spec.support.victoria_metrics")

local o = common.options { hosts = 100, hours = 24, kind = "integer", runs = 3 }
local path, expected = common.devops(o.hosts, o.hours, o.kind)
local CLOCK_TICKS = tonumber((common.shell("getconf CLK_TCK")))
local REQUEST_BYTES = 10 * 1000 * 1000

--- Processor seconds of another process.
local function cpu_of(pid)
  local file = assert(io.open(("/proc/%d/stat"):format(pid)))
  local user, system = file:read("*a"):match("^.*%) %S (.*)$"):match("^" .. ("%S+ "):rep(10) .. "(%d+) (%d+)")
  file:close()
  return (tonumber(user) + tonumber(system)) / CLOCK_TICKS
end

--- Bytes of the data parts below a storage directory.
local function data_bytes(directory)
  return tonumber(common.shell(("find %s -name '*.bin' -printf '%%s\\n' | awk '{s+=$1} END {print s+0}'")
    :format(common.quote(directory .. "/data"))))
end

local function ours()
  local directory = common.scratch("compare-ours")
  local chunks = common.chunks(path, REQUEST_BYTES)
  local db, result = nil, {}
  collectgarbage()
  result.wall, result.cpu = common.measure(function()
    db = assert(tsengine.open(directory .. "/db"))
    for _, chunk in ipairs(chunks) do assert(db:write("influx", chunk)) end
    assert(db:flush())
  end)
  result.merge_wall, result.merge_cpu = common.measure(function() assert(db:force_merge()) end)
  assert(db:close())
  result.merged_bytes = data_bytes(directory .. "/db") / expected
  common.remove(directory)
  return result
end

local function theirs()
  local directory = common.scratch("compare-peer")
  -- Requests as files, so that curl has nothing to do but send.
  local requests = {}
  for i, chunk in ipairs(common.chunks(path, REQUEST_BYTES)) do
    requests[i] = ("%s/%04d.influx"):format(directory, i)
    local file = assert(io.open(requests[i], "wb"))
    file:write(chunk)
    file:close()
  end
  local result = {}
  local wall = common.now()
  local peer = assert(victoria_metrics.start(directory .. "/db"))
  for _, request in ipairs(requests) do
    common.shell(("curl -sf --data-binary @%s %s/write"):format(request, peer.url))
  end
  common.shell("curl -sf " .. peer.url .. "/internal/force_flush")
  result.wall, result.cpu = common.now() - wall, cpu_of(peer.child.pid)
  local before = cpu_of(peer.child.pid)
  wall = common.now()
  peer:force_merge()
  result.merge_wall, result.merge_cpu = common.now() - wall, cpu_of(peer.child.pid) - before
  peer:stop()
  result.merged_bytes = data_bytes(directory .. "/db") / expected
  common.remove(directory)
  return result
end

local function middle_of(run)
  local results, middle = {}, {}
  for i = 1, o.runs do results[i] = run() end
  for name in pairs(results[1]) do
    local numbers = {}
    for i, result in ipairs(results) do numbers[i] = result[name] end
    middle[name] = common.median(numbers)
  end
  return middle
end

local function line(name, result)
  return { name, ("%.2f"):format(result.wall), ("%.2f"):format(result.cpu), common.millions(expected, result.cpu),
    ("%.2f"):format(result.merge_cpu), ("%.3f"):format(result.merged_bytes) }
end

local mine, other = middle_of(ours), middle_of(theirs)
print(common.describe())
print(("devops, %s values: %s rows; median of %d runs"):format(o.kind, common.terminal.thousands(expected), o.runs))
common.terminal.table(
  { "engine", ">wall s", ">cpu s", ">M rows/cpu-s", ">cpu s of force merge", ">bytes/row merged" },
  { line("tsengine", mine), line("victoria-metrics", other) })
print(("  %.1f times the rows per processor second"):format(other.cpu / mine.cpu))
