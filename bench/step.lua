--- Without threads: how long one unit of db:step() holds the host while rows arrive and 10 million of them are merged.
---
---   luajit bench/step.lua [--rows 10000000] [--series 1000]
---
--- Processor time of the calling thread, so that a neighbour on the same core does not count; wall time beside it. An fsync
--- may take longer by the rules of the engine; in /dev/shm it costs nothing.
package.path = (arg[0]:match("^(.*/)") or "./") .. "?.lua;" .. package.path
local ffi = require("ffi")
local common = require("common")
local tsengine = require("tsengine")

local o = common.options { rows = 10000000, series = 1000 }
local NOON = 1793880000000
local BATCH = 1000
local CLOCK_THREAD = 3

local time = ffi.new("struct tsbench_time")
local function thread_ms()
  ffi.C.clock_gettime(CLOCK_THREAD, time)
  return tonumber(time.seconds) * 1e3 + tonumber(time.fraction) / 1e6
end

--- Steps until nothing is due; collects how long each took.
local function drain(db, into)
  while true do
    local cpu, wall = thread_ms(), common.now()
    local worked, next_ms = db:step()
    into.cpu[#into.cpu + 1], into.wall[#into.wall + 1] = thread_ms() - cpu, (common.now() - wall) * 1e3
    if worked == nil then error(next_ms) end
    if not worked then return end
  end
end

local function line(name, list)
  table.sort(list.cpu)
  table.sort(list.wall)
  local function at(numbers, share) return ("%.2f"):format(numbers[math.max(1, math.ceil(#numbers * share))] or 0) end
  return { name, ("%d"):format(#list.cpu), at(list.cpu, 0.5), at(list.cpu, 0.99), at(list.cpu, 1), at(list.wall, 0.99), at(list.wall, 1) }
end

local directory = common.scratch("step")
local clock = tsengine.clock.manual(NOON)
local db = assert(tsengine.open { path = directory .. "/db", threads = 0, clock = clock })
local handles = {}
for s = 1, o.series do handles[s] = assert(db:series(('m{s="%d"}'):format(s))) end
local timestamps, values = ffi.new("int64_t[?]", BATCH), ffi.new("double[?]", BATCH)
local ingest, merge = { cpu = {}, wall = {} }, { cpu = {}, wall = {} }
local adds = { cpu = {}, wall = {} }
local written = 0
while written < o.rows do
  local handle = handles[math.floor(written / BATCH) % o.series + 1]
  for i = 0, BATCH - 1 do
    timestamps[i], values[i] = NOON - 86400000 + math.random(0, 86400000), math.random(-1000000, 1000000)
  end
  local cpu, wall = thread_ms(), common.now()
  assert(handle:add_columns(timestamps, values, BATCH) == BATCH)
  adds.cpu[#adds.cpu + 1], adds.wall[#adds.wall + 1] = thread_ms() - cpu, (common.now() - wall) * 1e3
  written = written + BATCH
  clock:advance(5)
  drain(db, ingest)
end
assert(db:flush())
local parts_before = #db:parts()
assert(db:force_merge { wait = false })
repeat
  drain(db, merge)
  clock:advance(100)
until #db:parts() == 1 and db:stats().active_merges_now == 0
local parts = db:parts()
assert(parts[1].rows == o.rows)
assert(db:close())
common.remove(directory)

print(common.describe())
print(("threads = 0, %s rows of %d series; the merge joins %d parts"):format(common.terminal.thousands(o.rows), o.series, parts_before))
common.terminal.table({ "unit", ">count", ">cpu ms p50", ">p99", ">max", ">wall ms p99", ">max" }, {
  line("add_columns of 1000", adds), line("step while adding", ingest), line("step during the merge", merge),
})
