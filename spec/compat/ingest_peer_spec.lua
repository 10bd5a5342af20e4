--- Lines of both formats, good and broken, as victoria-metrics understands them and as we do.
-- Each corpus of spec/data/ingest goes to a victoria-metrics and through our parser; what its export holds must be what
-- we parsed: labels, timestamps, values. The known differences (listed in prometheus.c and influx.c) are asserted too:
-- when the peer or we change there, this spec says so.
local ingest = require("spec.support.ingest")
local json = require("spec.support.json")
local metric_text = require("spec.support.metric_text")
local process = require("spec.support.process")
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

local function equal_value(a, b)
  return a == b or math.abs(a - b) <= math.max(math.abs(a), math.abs(b)) * TRUNCATED
end

local function equal_rows(a, b)
  if not a or not b or #a ~= #b then return false end
  for i = 1, #a do
    if a[i][1] ~= b[i][1] or not equal_value(a[i][2], b[i][2]) then return false end
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
local function differences(peer, ours)
  local all, found = {}, {}
  for metric in pairs(peer) do all[metric] = true end
  for metric in pairs(ours) do all[metric] = true end
  for metric in pairs(all) do
    if not equal_rows(peer[metric], ours[metric]) then
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

  --- Post the text, read everything back, and compare with what we make of it. Returns what differs.
  local function compare(text, path, options)
    local from = os.time() * 1000 - 1000
    peer:post(path, text)
    peer:flush()
    local file = directory .. "-export.jsonl"
    peer:export_to(file, '{__name__=~".*"}', { ["end"] = os.time() + 3 * 86400 })
    local to = os.time() * 1000 + 1000
    local theirs = collect(function(add)
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
    options.now_ms = to - 1000
    local ours = collect(function(add)
      for _, row in ipairs(ingest.parse(options, text).rows) do
        -- what both storages drop: before 1970, and more than two days ahead
        if row.timestamp > 0 and row.timestamp < to + FUTURE_MS then add(row.metric, row.timestamp, row.value) end
      end
    end, from, to)
    return differences(theirs, ours)
  end

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
end)
