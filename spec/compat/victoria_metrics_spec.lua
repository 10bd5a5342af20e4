--- The real victoria-metrics and this engine on the same directories: what one writes the other reads, to the bit.
--- A million samples of a real node_exporter, and five thousand series that are hard to store.
local ffi = require("ffi")
local json = require("spec.support.json")
local module = require("spec.support.module")
local native = require("spec.support.native")
local process = require("spec.support.process")
local victoria_metrics = require("spec.support.victoria_metrics")
local hard_series = require("spec.compat.hard_series")
local rows = require("spec.compat.peer_rows")

native.cdef [[
int16_t decimal_from_doubles(const double *values, size_t n, int64_t *mantissas);
void decimal_to_doubles(const int64_t *mantissas, size_t n, int16_t exponent, double *values);
]]

local tsengine = module.tsengine
local DATA = "examples/data/node_exporter.prom.zst"
local SERIES, REAL_ROWS_MIN, BLOCK_ROWS = 5000, 1000000, 8192

--- What one block makes of these values (part format 9.5).
local function predicted(values, first, n)
  local from, mantissas, to = ffi.new("double[?]", n), ffi.new("int64_t[?]", n), ffi.new("double[?]", n)
  for i = 0, n - 1 do from[i] = values[first + i] end
  native.lib.decimal_to_doubles(mantissas, n, native.lib.decimal_from_doubles(from, n, mantissas), to)
  return to
end

local function add_hard(db, all)
  for _, series in ipairs(all) do
    local handle = assert(db:series(series.metric))
    assert.are.equal(#series.times, assert(handle:add_columns(series.times, series.values, #series.times)))
  end
end

--- Is what the database gives for a hard series what was put in, as exactly as its kind allows?
local function input_difference(series, got)
  local n = #series.times
  if tonumber(got.count) ~= n then return ("%s: %d rows instead of %d"):format(series.metric, tonumber(got.count), n) end
  local block
  for i = 1, n do
    local want, have = series.values[i], got.values[i - 1]
    if series.kind.mixed then
      if (i - 1) % BLOCK_ROWS == 0 then block = predicted(series.values, i, math.min(BLOCK_ROWS, n - i + 1)) end
      want = block[(i - 1) % BLOCK_ROWS]
    end
    local same = want == have or (want ~= want and have ~= have)
    if not same and not series.kind.exact and not series.kind.mixed then same = math.abs(want - have) <= 1e-12 * math.abs(want) end
    if tonumber(got.timestamps[i - 1]) ~= series.times[i] or not same then
      return ("%s (%s) row %d: %d %.17g instead of %d %.17g"):format(series.metric, series.kind.name, i,
        tonumber(got.timestamps[i - 1]), have, series.times[i], want)
    end
  end
end

local function check_input(db, all)
  local by_metric = {}
  for _, series in ipairs(all) do by_metric[series.metric] = series end
  local found = 0
  for got in assert(db:select('{__name__=~"hard.*"}')) do
    local series = assert(by_metric[got.metric], got.metric)
    local difference = input_difference(series, got)
    assert(not difference, difference)
    found = found + 1
  end
  assert.are.equal(#all, found)
end

local function start(path)
  local peer, log = victoria_metrics.start(path)
  assert(peer, "victoria-metrics does not start:\n" .. tostring(log))
  return peer
end

local function data_of(peer, path, arguments)
  arguments["match[]"], arguments.start = '{__name__!=""}', 1
  return json.decode(peer:get(path, arguments)).data
end

--- What the peer lists of a directory.
local function lists_of(peer)
  local lists = { series = rows.names(data_of(peer, "/api/v1/series", {})), labels = data_of(peer, "/api/v1/labels", {}), values = {} }
  for _, label in ipairs { "__name__", "id", "odd", "device", "mode", "job" } do
    lists.values[label] = data_of(peer, "/api/v1/label/" .. label .. "/values", {})
  end
  return lists
end

local function assert_same_lists(lists, db)
  assert.is_nil(rows.list_difference(lists.series, assert(db:series_names())))
  assert.is_nil(rows.list_difference(lists.labels, assert(db:labels())))
  for label, values in pairs(lists.values) do
    local difference = rows.list_difference(values, assert(db:label_values(label)))
    assert(not difference, label .. ": " .. tostring(difference))
  end
end

local function assert_same_rows(exported, db, series_min, rows_min)
  local difference, series, count = rows.difference(exported, db)
  assert(not difference, difference)
  assert.is_true(series >= series_min and count >= rows_min, ("only %d series, %d rows"):format(series, count))
end

describe("victoria-metrics", function()
  local path, hard

  setup(function()
    assert(victoria_metrics.available(), "victoria-metrics is not installed")
    path = module.directory() .. "/db"
    hard = hard_series.make(SERIES, os.time() * 1000, native.seed("hard series"))
  end)
  teardown(module.cleanup)

  local function open(options)
    local all = { path = path, threads = 2 }
    for k, v in pairs(options or {}) do all[k] = v end
    return assert(tsengine.open(all))
  end

  it("opens our directory: every sample, series, label and value is the same, before and after its merge", function()
    local db = open()
    add_hard(db, hard)
    assert(db:flush())
    assert.is_true(assert(db:import("prometheus", DATA)) >= REAL_ROWS_MIN)
    assert(db:close())
    db = open { read_only = true }
    check_input(db, hard)
    assert(db:close())

    local peer = start(path)
    local before, lists = rows.export(peer, path .. ".export"), lists_of(peer)
    peer:force_merge()
    local after = rows.export(peer, path .. ".export")
    assert.are.equal(0, peer:stop())

    db = open { read_only = true }
    assert_same_rows(before, db, SERIES + 400, REAL_ROWS_MIN)
    assert_same_rows(after, db, SERIES + 400, REAL_ROWS_MIN)
    assert_same_lists(lists, db)
    check_input(db, hard)
    assert(db:close())
  end)

  it("adds rows to our directory, which come back to us, and opens it again after we added some", function()
    local peer = start(path)
    local now = os.time() * 1000 - 60000 -- its exports end at the last full second
    peer:post("/api/v1/import/prometheus", ('added_by_peer{a="b"} 42 %d\nhard_zero{id="6"} 7 %d\n'):format(now, now))
    peer:flush()
    assert.are.equal(0, peer:stop())

    local db = open()
    local got = {}
    for series in assert(db:select('added_by_peer')) do got[#got + 1] = series.values[0] end
    assert.are.same({ 42 }, got)
    assert.is_true(db:add('added_by_us{a="b"}', now + 1, 43))
    assert.is_true(db:add('added_by_peer{a="b"}', now + 1, 44))
    assert.is_true(db:force_merge() ~= nil)
    for series in assert(db:select("added_by_peer")) do assert.are.equal(2, tonumber(series.count)) end
    assert(db:close())

    peer = start(path)
    local exported = rows.export(peer, path .. ".export")
    assert.are.same({ now, now + 1 }, exported['added_by_peer{a="b"}'][1])
    assert.are.same({ 42, 44 }, exported['added_by_peer{a="b"}'][2])
    assert.are.same({ 43 }, exported['added_by_us{a="b"}'][2])
    assert.are.equal(0, peer:stop())
    db = open { read_only = true }
    assert_same_rows(exported, db, SERIES + 400, REAL_ROWS_MIN)
    assert(db:close())
  end)

  it("opens our snapshot, taken while rows arrive", function()
    local db = open()
    local name, place = db:snapshot()
    assert.is_truthy(name, place)
    assert.is_true(db:add("after_the_snapshot", os.time() * 1000, 1))
    assert(db:flush())
    local inside = assert(tsengine.open { path = place, read_only = true, threads = 0 })
    local peer_rows
    local peer = start(place)
    peer_rows = rows.export(peer, path .. ".export")
    assert.are.equal(0, peer:stop())
    assert_same_rows(peer_rows, inside, SERIES + 400, REAL_ROWS_MIN)
    assert.is_nil(peer_rows.after_the_snapshot)
    assert(inside:close())
    assert.is_true(db:delete_snapshot(name))
    assert.are.same({}, db:snapshots())
    assert(db:close())
  end)

  it("writes a directory that we open: all is the same", function()
    local theirs = module.directory() .. "/theirs"
    local peer = start(theirs)
    local lines = {}
    for _, series in ipairs(hard) do
      for i = 1, #series.times do
        local value = series.values[i]
        if value == value then
          local text = value == 1 / 0 and "+Inf" or value == -1 / 0 and "-Inf" or ("%.17g"):format(value)
          if not series.metric:find('"label ', 1, true) and series.metric:find("^[%a_]") then
            lines[#lines + 1] = ("%s %s %d"):format(series.metric, text, series.times[i])
          end
        end
      end
    end
    assert.is_true(#lines > 100000)
    peer:post("/api/v1/import/prometheus", table.concat(lines, "\n") .. "\n")
    process.output(("zstd -dc '%s' > '%s.prom'"):format(DATA, theirs))
    peer:post("/api/v1/import/prometheus", theirs .. ".prom", true)
    os.remove(theirs .. ".prom")
    peer:flush()
    -- One part a month: its stop merges nothing more then. Where one block mixes magnitudes each merge may drop digits, so an
    -- export from before a merge is no measure of the files after it.
    peer:force_merge()
    local exported, lists = rows.export(peer, theirs .. ".export"), lists_of(peer)
    assert.are.equal(0, peer:stop())
    local db = assert(tsengine.open { path = theirs, threads = 2 })
    assert_same_rows(exported, db, 3000, REAL_ROWS_MIN)
    assert_same_lists(lists, db)
    assert(db:force_merge())
    assert_same_rows(exported, db, 3000, REAL_ROWS_MIN)
    assert(db:close())
  end)
end)
