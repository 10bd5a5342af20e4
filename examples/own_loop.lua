--- A database inside a program that has a loop of its own: no thread is started, work is done when the loop has time.
---
---   luajit examples/own_loop.lua DIRECTORY [SECONDS]
local ffi = require("ffi")
local tsengine = require("tsengine")

ffi.cdef [[
struct tsloop_timespec { long seconds; long nanoseconds; };
int clock_gettime(int id, struct tsloop_timespec *out);
int usleep(unsigned us);
]]

local ROUND_MS = 10        -- the loop's own rhythm
local BUDGET_US = 2000     -- what it gives the database in each round
local SENSORS = 200

local directory, seconds = arg[1], tonumber(arg[2] or 5)
if not directory then
  io.stderr:write("usage: luajit examples/own_loop.lua DIRECTORY [SECONDS]\n")
  os.exit(2)
end

local timespec = ffi.new("struct tsloop_timespec")
local function now_ms(id)
  ffi.C.clock_gettime(id, timespec)
  return tonumber(timespec.seconds) * 1000 + tonumber(timespec.nanoseconds) / 1e6
end

local db = assert(tsengine.open { path = directory, threads = 0 })
local sensors = {}
for i = 1, SENSORS do sensors[i] = assert(db:series(('sensor_temperature{id="%d"}'):format(i))) end

local started, rows, longest = now_ms(1), 0, 0
while now_ms(1) - started < seconds * 1000 do
  local round = now_ms(1)
  local timestamp = math.floor(now_ms(0))
  for i = 1, SENSORS do
    assert(sensors[i]:add(timestamp, math.floor(200 + 50 * math.sin(timestamp / 1000 + i)) / 10))
    rows = rows + 1
  end
  local before = now_ms(1)
  db:step(BUDGET_US) -- flushes and merges that are due, as far as the budget goes
  longest = math.max(longest, now_ms(1) - before)
  local rest = ROUND_MS - (now_ms(1) - round)
  if rest > 0 then ffi.C.usleep(rest * 1000) end
end

local read, parts = 0, #db:parts()
for series in assert(db:select("sensor_temperature")) do read = read + series.count end
print(("%d rows added and %d read back, in %d parts; the longest step took %.1f ms"):format(rows, read, parts, longest))
assert(db:close())
assert(read >= rows, "rows are missing")
