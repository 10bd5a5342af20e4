--- Lines of both formats, good and broken, as victoria-metrics understands them and as we do.
-- Each corpus of spec/data/ingest goes to a victoria-metrics and through our parser; what its export holds must be what
-- we parsed: labels, timestamps, values. The known differences (listed in prometheus.c and influx.c) are asserted too:
-- when the peer or we change there, this spec says so.
local ingest = require("spec.support.ingest")
local json = require("spec.support.json")
local metric_text = require("spec.support.metric_text")
local process = require("spec.support.process")
local tsengine = require("spec.support.module").tsengine
local victoria_metrics = require("spec.support.victoria_metrics")

local FUTURE_MS = 2 * 86400000
local TRUNCATED = 1e-11 -- the peer keeps 12 to 15 digits

--- Values of the export: numbers, "Infinity", null for NaN.
local function to_number(value)
  if type(value) == "number" then return value end
  if type(value) == "cdata" then return tonumber(value) end
  return ({ Infinity = math.huge, ["-Infinity"] = -math.huge })[value] or error("value " .. tostring(value))
end

--- rows[metric] = list of {timestamp or "now", value}, sorted.
local function collect(add_all, now_from, now_to)
  local rows = {}
  add_all(function(metric, timestamp, value)
    if timestamp >= now_from and timestamp <= now_to then timestamp = "now" end
    rows[metric] = rows[metric] or {}
    table.insert(rows[metric], { timestamp, value })
  end)
  for _, list in pairs(rows) do
    table.sort(list, function(a, b)
      if a[1] ~= b[1] then return tostring(a[1]) < tostring(b[1]) end
      return a[2] < b[2]
    end)
  end
  return rows
end

local function equal_value(a, b, tolerance)
  return a == b or math.abs(a - b) <= math.max(math.abs(a), math.abs(b)) * tolerance
end

local function equal_rows(a, b, tolerance)
  if not a or not b or #a ~= #b then return false end
  for i = 1, #a do
    if a[i][1] ~= b[i][1] or not equal_value(a[i][2], b[i][2], tolerance) then return false end
  end
  return true
end

local function row_texts(list)
  if not list then return "nothing" end
  local texts = {}
  for i, row in ipairs(list) do texts[i] = ("(%s, %.17g)"):format(tostring(row[1]), row[2]) end
  return table.concat(texts, " ")
end

--- The metrics that differ: {metric = "peer: ... here: ..."}.
local function differences(peer, ours, tolerance)
  local all, found = {}, {}
  for metric in pairs(peer) do all[metric] = true end
  for metric in pairs(ours) do all[metric] = true end
  for metric in pairs(all) do
    if not equal_rows(peer[metric], ours[metric], tolerance) then
      found[metric] = ("peer: %s here: %s"):format(row_texts(peer[metric]), row_texts(ours[metric]))
    end
  end
  return found
end

describe("A line of text", function()
  local peer, directory
  local flags = {}

  local function start(more_flags)
    flags = more_flags or {}
    directory = process.scratch("ingest-peer")
    -- rows of 1970 are wanted: retention reaches back 100 years by the helper's flags
    peer = assert(victoria_metrics.start(directory, { flags = flags }))
  end

  after_each(function()
    if peer then
      peer:stop()
      process.remove_tree(directory)
      peer = nil
    end
  end)

  --- Post the text and read everything back from the peer: rows[metric]; rows of the time between `from` and now as "now".
  local function rows_of_peer(text, path, from)
    peer:post(path, text)
    peer:flush()
    local file = directory .. "-export.jsonl"
    peer:export_to(file, '{__name__!="no such name"}', { ["end"] = os.time() + 3 * 86400 })
    local to = os.time() * 1000 + 1000
    local rows = collect(function(add)
      for line in io.lines(file) do
        -- infinities stand in its JSON without quotes
        local series = json.decode((line:gsub("([%[,])%+Inf", '%1"Infinity"'):gsub("([%[,])%-Inf", '%1"-Infinity"')))
        local metric = metric_text.format(series.metric)
        for i, value in ipairs(series.values) do
          if value ~= json.null then add(metric, tonumber(series.timestamps[i]), to_number(value)) end
        end
      end
    end, from, to)
    os.remove(file)
    return rows, to
  end

  --- What the peer and our parser make of the text: returns what differs.
  local function compare(text, path, options)
    local from = os.time() * 1000 - 1000
    local theirs, to = rows_of_peer(text, path, from)
    options.now_ms = to - 1000
    local ours = collect(function(add)
      for _, row in ipairs(ingest.parse(options, text).rows) do
        -- what is not in the export: its start is second 1, and rows more than two days ahead are not stored
        if row.timestamp >= 1000 and row.timestamp < to + FUTURE_MS then add(row.metric, row.timestamp, row.value) end
      end
    end, from, to)
    return differences(theirs, ours, TRUNCATED)
  end

  --- What the peer and a database of ours hold of the text: returns what differs.
  local function compare_stored(text, path, format)
    local from = os.time() * 1000 - 1000
    local theirs, to = rows_of_peer(text, path, from)
    assert(next(theirs), "the peer stored nothing")
    local db = assert(tsengine.open { path = directory .. "-ours", threads = 0 })
    assert(db:write(format, text))
    assert(db:flush())
    local ours = collect(function(add)
      for series in db:select('{__name__!="no such name"}', 1000) do
        for i = 0, series.count - 1 do add(series.metric, tonumber(series.timestamps[i]), series.values[i]) end
      end
    end, from, to)
    assert(db:close())
    process.remove_tree(directory .. "-ours")
    return differences(theirs, ours, 0) -- bit for bit
  end

  it("is stored as there, with the limits of labels and lengths", function()
    local tags, labels = {}, {}
    for i = 1, 40 do tags[i], labels[i] = ("t%02d=v%d"):format(i, i), ('t%02d="v%d"'):format(i, i) end
    local name, value = ("n"):rep(300), ("v"):rep(20000)
    local texts = {
      influx = { "/write", "limits," .. table.concat(tags, ",") .. " f=1 1704067200\n" ..
        "long," .. name .. "=" .. value .. " f=2 1704067200\n" .. name .. " f=3 1704067200\n" },
      prometheus = { "/api/v1/import/prometheus", "limits{" .. table.concat(labels, ",") .. "} 1 1704067200000\n" ..
        "long{" .. name .. '="' .. value .. '"} 2 1704067200000\n' .. name .. " 3 1704067200000\n" },
    }
    for format, case in pairs(texts) do
      start()
      assert.same({}, compare_stored(ingest.corpus(format .. ".txt") .. case[2], case[1], format))
      peer:stop()
      process.remove_tree(directory)
      peer = nil
    end
  end)

  it("of the Prometheus corpus means what it means there", function()
    start()
    local found = compare(ingest.corpus("prometheus.txt"), "/api/v1/import/prometheus", { format = "prometheus" })
    assert.same({}, found)
  end)

  it("of the InfluxDB corpus means what it means there", function()
    start()
    local found = compare(ingest.corpus("influx.txt"), "/write", { format = "influx" })
    assert.same({}, found)
  end)

  it("of either corpus with carriage returns means the same", function()
    start()
    for path, options in pairs { ["/api/v1/import/prometheus"] = { format = "prometheus" }, ["/write"] = { format = "influx" } } do
      local text = ingest.corpus(options.format .. ".txt"):gsub("\r", ""):gsub("\n", "\r\n")
      -- both formats go to one peer: compare only the names of this one
      local first = options.format:sub(1, 1)
      for metric, difference in pairs(compare(text, path, options)) do
        assert(metric:sub(1, 1) ~= first, metric .. " " .. difference)
      end
    end
  end)

  local INFLUX = table.concat({
    "m,host=a value=1 1704067200", "m,host=a value=2,other=3 1704067201", "m,host=b,db=mine load=4i 1704067202",
    "m,host=c,env=old f=5", ",host=d g=6 1704067203", " h=7 1704067204", "m\\ x,host=e v\\ w=8 1704067205",
    "m,__name__=n k=9 1704067206", "m,t=v k=10 0", "m2 x=11 1704067207000", "m2 x=12 1704067208000000",
    "m2 x=13 1704067209000000000", "",
  }, "\n")

  it("follows the options of InfluxDB lines", function()
    local variants = {
      { flags = {}, path = "/write?db=base", options = { db = "base" } },
      { flags = {}, path = "/write?db=base&extra_label=env=new&extra_label=x=y", options = { db = "base", extra = "env=new\nx=y" } },
      { flags = {}, path = "/write?extra_label=__name__=other&extra_label=db=e", options = { extra = "__name__=other\ndb=e" } },
      { flags = { "-influxSkipSingleField" }, path = "/write", options = { skip_single_field = true } },
      { flags = { "-influxSkipMeasurement" }, path = "/write", options = { skip_measurement = true } },
      { flags = { "-influxSkipMeasurement", "-influxSkipSingleField" }, path = "/write",
        options = { skip_measurement = true, skip_single_field = true } },
      { flags = { "-influxMeasurementFieldSeparator=::" }, path = "/write", options = { separator = "::" } },
      { flags = { "-influxMeasurementFieldSeparator=" }, path = "/write", options = { separator = "" } },
    }
    for _, variant in ipairs(variants) do
      start(variant.flags)
      variant.options.format = "influx"
      assert.same({}, compare(INFLUX, variant.path, variant.options), variant.path .. table.concat(variant.flags, " "))
      peer:stop()
      process.remove_tree(directory)
      peer = nil
    end
  end)

  it("has its timestamp in the unit that the precision names", function()
    start()
    local seconds = 1704067200
    for i, unit in ipairs { { "ns", 1 }, { "u", 1000 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 }, { "m", 60e9 },
      { "h", 3600e9 } } do
      local text = {}
      for j, ts in ipairs { 1, 999999, seconds / 3600, seconds / 60, seconds, seconds * 1000 + 7, seconds * 1e6 + 1999,
        seconds * 1e9 + 1999999, 0 } do
        text[#text + 1] = ("u%d_%d f=%d %.0f\n"):format(i, j, i, ts)
      end
      local name = "u" .. i .. "_"
      for metric, difference in pairs(compare(table.concat(text), "/write?precision=" .. unit[1],
        { format = "influx", precision_ns = unit[2] })) do
        assert(metric:sub(1, #name) ~= name or difference:find("now", 1, true), unit[1] .. " " .. metric .. " " .. difference)
      end
    end
  end)

  it("of Prometheus gets default timestamp and extra labels as there", function()
    start()
    local text = 'a 1\na{x="y"} 2\na{x="y",e="old"} 3 1704067200000\na{__name__="b"} 4\n'
    assert.same({}, compare(text, "/api/v1/import/prometheus?timestamp=1704067201000&extra_label=e=new&extra_label=z=",
      { format = "prometheus", default_timestamp_ms = 1704067201000, extra = "e=new\nz=" }))
  end)

  -- {line, what the peer stores, what we store}; nil: nothing
  local function check_differences(path, options, cases)
    start()
    for i, case in ipairs(cases) do
      local line, theirs, ours = case[1], case[2], case[3]
      local found = compare(line .. "\n", path, options)
      local seen = 0
      for metric, difference in pairs(found) do
        local who = difference:find("peer: nothing", 1, true) and "here" or "peer"
        if difference:find("here: nothing", 1, true) or who == "here" then
          local of_line = metric == theirs or metric == ours
          if of_line then seen = seen + 1 end
          assert(not of_line or who == (metric == theirs and "peer" or "here"), line .. ": " .. metric .. " " .. difference)
        elseif metric == theirs and metric == ours then
          seen = seen + 2
        end
      end
      local wanted = (theirs and 1 or 0) + (ours and 1 or 0)
      assert(seen == wanted, ("case %d, %s: %d of %d differences seen"):format(i, line, seen, wanted))
    end
  end

  it("of Prometheus differs where prometheus.c says so, and nowhere else", function()
    check_differences("/api/v1/import/prometheus", { format = "prometheus" }, {
      { '{"d1 name",a="b"} 1 1704067200000', nil, '{__name__="d1 name",a="b"}' },
      { '{__name__="d2 name"} 1 1704067200000', nil, '{__name__="d2 name"}' },
      { 'd3{"a b"="c"} 1 1704067200000', 'd3{"\\"a b\\""="c"}', 'd3{"a b"="c"}' },
      { 'd4 5 # {trace_id="x"} 0.5', '{__name__="d4 5 #",trace_id="x"}', "d4" },
      { "d5 +5 1704067200000", nil, "d5" },
      { "d6 .5 1704067200000", nil, "d6" },
      { "d7 5. 1704067200000", nil, "d7" },
    })
  end)

  it("of InfluxDB differs where influx.c says so, and nowhere else", function()
    check_differences("/write", { format = "influx" }, {
      { "d1 f=abc 1704067200", "d1_f", nil },
      { "d2 f=12abc 1704067200", "d2_f", nil },
      { "d3 f=1_000 1704067200", "d3_f", nil },
      { "d4 f=1.2.3 1704067200", "d4_f", nil },
      { "d5 f=1 f\\ g=2 1704067200", nil, nil },
      { "d6 f=1\\ 1704067200", "d6_f", nil },
      { 'd7 f=1"a 1704067200', "d7_f", nil },
      { "d8 f=tr 1704067200", "d8_f", nil },
      { "d9 f=5. 1704067200", "d9_f", "d9_f" },
      { "d10 f=.5 1704067200", "d10_f", "d10_f" },
      { "d11 f=+5 1704067200", "d11_f", "d11_f" },
      { "d12 f=+5i 1704067200", nil, "d12_f" },
    })
  end)
end)
