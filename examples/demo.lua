--- The demo that scripts/demo.sh runs: real metrics in, merged, queried; every figure it prints is checked.
---
---   luajit examples/demo.lua [directory]      default: build/demo-data; what an earlier run left there is removed
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path

local tsengine = require("tsengine")
local proc = require("proc")
local terminal = require("terminal")

local SOURCE = here .. "data/node_exporter.prom.zst"
-- What the bundled file holds, counted in its text: the demo fails when the database says anything else.
local BUNDLED = { rows = 1242150, series = 507, scrapes = 2450, load_sum = 5405.09, first_ms = 1795167998284, last_ms = 1795170447284 }
local LIVE_SECONDS, LIVE_PER_SECOND = 4, 20
local BYTES_PER_ROW_MAX = 0.6

local faults = 0

--- State a checked fact.
local function check(ok, text, ...)
  if select("#", ...) > 0 then text = text:format(...) end
  if not ok then faults = faults + 1 end
  print(("  %s %s"):format(ok and terminal.green("✓") or terminal.red("✗ WRONG:"), text))
end

local function heading(text)
  print()
  print(terminal.bold(text))
end

local ffi = require("ffi")
ffi.cdef [[
struct tsdemo_timespec { long seconds; long nanoseconds; };
int clock_gettime(int id, struct tsdemo_timespec *out);
int usleep(unsigned us);
]]
local CLOCK_REALTIME, CLOCK_MONOTONIC = 0, 1

local function read_clock(id)
  local t = ffi.new("struct tsdemo_timespec")
  ffi.C.clock_gettime(id, t)
  return tonumber(t.seconds) + tonumber(t.nanoseconds) / 1e9
end

--- Seconds that pass evenly: os.clock would count processor time.
local function now() return read_clock(CLOCK_MONOTONIC) end

-- -- The steps --------------------------------------------------------------

--- Remove what an earlier run left, but nothing that is no storage directory.
local function fresh_directory(path)
  local probe = io.open(path .. "/flock.lock", "r")
  if probe then
    probe:close()
    assert(os.execute(("rm -rf '%s'"):format(path:gsub("'", "'\\''"))) == 0)
  end
  return path
end

local function import_bundled(db)
  heading("1. Import real metrics: " .. BUNDLED.scrapes .. " scrapes of a node_exporter, one a second")
  local file = assert(io.open(SOURCE, "rb"))
  local packed = file:seek("end")
  file:close()
  local draw = terminal.progress("importing", BUNDLED.rows)
  local started = now()
  local rows, report = db:import("prometheus", SOURCE, {
    progress = function(_, done) draw(done, terminal.thousands(done) .. " rows") end,
  })
  if not rows then error(report, 0) end
  local seconds = now() - started
  check(rows == BUNDLED.rows and report.rejected == 0, "%s rows from %s of text (%s as .zst) in %.2f s: %.1f million rows per second",
    terminal.thousands(rows), terminal.bytes(report.bytes), terminal.bytes(packed), seconds, rows / seconds / 1e6)
end

--- Sample /proc; returns what was added, to be compared with what comes back.
local function record_live(db)
  heading(("2. Record this machine's /proc live, %d times a second for %d s"):format(LIVE_PER_SECOND, LIVE_SECONDS))
  local handles, added, rows = {}, {}, 0
  local draw = terminal.progress("recording", LIVE_SECONDS * LIVE_PER_SECOND)
  local started = now()
  for round = 1, LIVE_SECONDS * LIVE_PER_SECOND do
    local ms = math.floor(read_clock(CLOCK_REALTIME) * 1000)
    -- Two rounds never get the same millisecond.
    ms = math.max(ms, (added.last_ms or 0) + 1)
    added.last_ms = ms
    proc.read(function(metric, value)
      local handle = handles[metric]
      if not handle then
        handle = assert(db:series(metric))
        handles[metric], added[metric] = handle, {}
      end
      assert(handle:add(ms, value))
      table.insert(added[metric], { ms, value })
      rows = rows + 1
    end)
    draw(round, terminal.thousands(rows) .. " rows")
    local wait = started + round / LIVE_PER_SECOND - now()
    if wait > 0 then ffi.C.usleep(wait * 1e6) end
  end
  added.last_ms = nil
  local wrong, seen = 0, 0
  for series in db:select('{__name__=~"proc_.+"}') do
    local expected, i = added[series.metric], 0
    seen = seen + 1
    for ms, value in series:points() do
      i = i + 1
      if not expected or not expected[i] or expected[i][1] ~= ms or expected[i][2] ~= value then wrong = wrong + 1 end
    end
    if not expected or i ~= #expected then wrong = wrong + 1 end
  end
  local series_count = 0
  for _ in pairs(added) do series_count = series_count + 1 end
  check(rows > 0 and wrong == 0 and seen == series_count,
    "%s rows of %d series, each found again by a query, to the bit, before any flush", terminal.thousands(rows), series_count)
  return rows
end

local function print_parts(db)
  local parts = assert(db:parts())
  table.sort(parts, function(a, b) return a.rows > b.rows end)
  local rows, bytes, lines = 0, 0, {}
  for i, part in ipairs(parts) do
    rows, bytes = rows + part.rows, bytes + part.bytes
    -- Of many parts the largest tell the story.
    if i <= 8 then
      lines[#lines + 1] = {
        part.partition, part.tier, terminal.thousands(part.rows), terminal.thousands(part.blocks), terminal.bytes(part.bytes),
        ("%.2f"):format(part.bytes / part.rows), terminal.time(part.min_ms, "%H:%M:%S"), terminal.time(part.max_ms, "%H:%M:%S"),
      }
    end
  end
  if #parts > 8 then lines[#lines + 1] = { "", "", ("… %d more"):format(#parts - 8), "", "", "", "", "" } end
  terminal.table({ "partition", "tier", ">rows", ">blocks", ">bytes", ">bytes/row", "from", "to" }, lines)
  return parts, rows, bytes
end

local function flush_and_merge(db, rows_expected)
  heading("3. Flush: everything on disk")
  assert(db:flush())
  local parts_before, rows_before, bytes_before = print_parts(db)
  check(rows_before == rows_expected, "%s rows in %d parts, %.2f bytes per row", terminal.thousands(rows_before), #parts_before,
    bytes_before / rows_before)

  heading("4. Merge: one part for each month")
  local started = now()
  local merges = assert(db:force_merge())
  local seconds = now() - started
  local parts, rows, bytes = print_parts(db)
  check(rows == rows_expected and #parts == #db:partitions(), "%d parts became %d in %.2f s (%d merges)", #parts_before, #parts,
    seconds, merges)
  check(bytes / rows <= BYTES_PER_ROW_MAX, "%.2f bytes per row: %s, as plain numbers it would be %s", bytes / rows, terminal.bytes(bytes),
    terminal.bytes(rows * 16))
end

local function query(db)
  heading("5. Query")
  local started = now()
  local rows, series_count, load_sum, first_ms, last_ms = 0, 0, 0, math.huge, 0
  for series in db:select('{__name__!~"proc_.+"}') do
    local timestamps, values, sum = series.timestamps, series.values, 0
    for i = 0, series.count - 1 do sum = sum + values[i] end
    rows, series_count = rows + series.count, series_count + 1
    first_ms = math.min(first_ms, tonumber(timestamps[0]))
    last_ms = math.max(last_ms, tonumber(timestamps[series.count - 1]))
    if series.metric == "node_load1" then load_sum = sum end
  end
  local seconds = now() - started
  check(rows == BUNDLED.rows and series_count == BUNDLED.series and first_ms == BUNDLED.first_ms and last_ms == BUNDLED.last_ms,
    "read %s rows of %d series back: %.0f million rows per second", terminal.thousands(rows), series_count, rows / seconds / 1e6)
  check(math.abs(load_sum - BUNDLED.load_sum) < 1e-6, "the sum of node_load1 is %.2f, as in the source", load_sum)

  print()
  for series in db:select("node_load1") do
    local copy, times = series:copy(), {}
    for i = 0, copy.count - 1 do times[i] = tonumber(copy.timestamps[i]) end
    terminal.chart(times, copy.values, copy.count, ("%s   (%d rows, %s)"):format(series.metric, series.count,
      terminal.time(times[0], "%Y-%m-%d")))
  end
end

local function main()
  local path = fresh_directory(arg[1] or here .. "../build/demo-data")
  print(terminal.bold("tsengine " .. tsengine.version) .. "  a time-series database inside this LuaJIT process")
  -- The bundled metrics were recorded in November 2026: whatever the date is, they are not from too far ahead.
  local db = assert(tsengine.open { path = path, future_limit = "100y" })
  import_bundled(db)
  local live_rows = record_live(db)
  flush_and_merge(db, BUNDLED.rows + live_rows)
  query(db)
  assert(db:close())

  heading("6. Where it is")
  local pipe = assert(io.popen(("cd '%s' && pwd"):format(path:gsub("'", "'\\''"))))
  local absolute = pipe:read("*l")
  pipe:close()
  print("  " .. absolute)
  print("  victoria-metrics opens it:  victoria-metrics -retentionPeriod=100y -storageDataPath=" .. absolute)
  print(terminal.dim("  (without -retentionPeriod=100y it deletes everything older than a month within a minute)"))
  print()
  if faults > 0 then
    print(terminal.red(("%d figures are wrong"):format(faults)))
    os.exit(1)
  end
  print(terminal.green("all figures are as they should be"))
end

main()
