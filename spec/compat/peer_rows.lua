--- What victoria-metrics says a directory holds, and how it compares with what we say: every sample bit for bit.
local ffi = require("ffi")
local json = require("spec.support.json")
local metric_text = require("spec.support.metric_text")

pcall(ffi.cdef, "double strtod(const char *text, char **end);")
local C = ffi.C

local M = {}

local bits = ffi.new("union { double value; uint64_t bits; }")
local function bits_of(value)
  bits.value = value
  return bits.bits
end

local NAN = 0 / 0
local SPECIAL = { ["+Inf"] = math.huge, ["-Inf"] = -math.huge, Inf = math.huge, Infinity = math.huge, ["-Infinity"] = -math.huge,
  NaN = NAN, null = NAN }

--- The numbers of the array called `name` in a line of export.
local function numbers(line, name)
  local _, at = line:find('"' .. name .. '": ?%[')
  local list, n = {}, 0
  for token in line:sub(at + 1, line:find("]", at, true) - 1):gmatch('[^, "]+') do
    n = n + 1
    list[n] = SPECIAL[token] or C.strtod(token, nil)
  end
  return list
end

--- The canonical name of a map of labels; the peer writes a missing name as an empty one.
local function name_of(labels)
  if labels.__name__ == "" then labels.__name__ = nil end
  return metric_text.format(labels)
end

--- One line of export: canonical name, timestamps, values.
local function parse_line(line)
  local _, open = line:find('"metric": ?')
  local labels
  -- the labels end where the first array begins; an array's name cannot stand inside a quoted text unescaped
  local stop = math.min(line:find('}, ?"values": ?%[') or #line, line:find('}, ?"timestamps": ?%[') or #line)
  labels = json.decode(line:sub(open + 1, stop))
  return name_of(labels), numbers(line, "timestamps"), numbers(line, "values")
end

--- metric -> { timestamps, values } of export lines; rows of a series that comes in several lines are joined.
function M.read(lines)
  local all = {}
  for line in lines do
    local metric, timestamps, values = parse_line(line)
    local series = all[metric]
    if not series then
      all[metric] = { timestamps, values }
    else
      for i = 1, #timestamps do
        series[1][#series[1] + 1] = timestamps[i]
        series[2][#series[2] + 1] = values[i]
      end
    end
  end
  return all
end

--- The export of a running peer.
function M.export(peer, file)
  peer:export_to(file)
  local all = M.read(io.lines(file))
  os.remove(file)
  return all
end

local function same_value(a, b)
  if a ~= a then return b ~= b end
  return bits_of(a) == bits_of(b)
end

--- Values of equal timestamps as one sorted text: their order is nobody's promise.
local function grouped(timestamps, values, n, base)
  local groups = {}
  for i = base, base + n - 1 do
    local ms = tonumber(timestamps[i])
    groups[ms] = groups[ms] or {}
    table.insert(groups[ms], ("%s"):format(tostring(bits_of(values[i]))))
  end
  for ms, list in pairs(groups) do
    table.sort(list)
    groups[ms] = table.concat(list, " ")
  end
  return groups
end

local function grouped_difference(metric, expected, series)
  local a = grouped(expected[1], expected[2], #expected[1], 1)
  local b = grouped(series.timestamps, series.values, tonumber(series.count), 0)
  for ms, text in pairs(a) do
    if b[ms] ~= text then return ("%s at %d: the peer has %s, we have %s"):format(metric, ms, text, tostring(b[ms])) end
  end
end

local function series_difference(metric, expected, series)
  local timestamps, values = expected[1], expected[2]
  local n = tonumber(series.count)
  if #timestamps ~= n then return ("%s: the peer has %d rows, we have %d"):format(metric, #timestamps, n) end
  for i = 1, n do
    if timestamps[i] ~= tonumber(series.timestamps[i - 1]) then
      return ("%s row %d: the peer has timestamp %d, we have %d"):format(metric, i, timestamps[i], tonumber(series.timestamps[i - 1]))
    end
    if not same_value(values[i], series.values[i - 1]) then
      if (i > 1 and timestamps[i] == timestamps[i - 1]) or timestamps[i] == timestamps[i + 1] then
        return grouped_difference(metric, expected, series)
      end
      return ("%s row %d at %d: the peer has %.17g, we have %.17g"):format(metric, i, timestamps[i], values[i], series.values[i - 1])
    end
  end
end

--- A name with a label twice as JSON can say it: the last one stays.
local function collapsed(metric)
  return (metric:gsub('%f[%w_]([%w_]+)="[^"]*",(%1=)', "%2"))
end

--- The first difference between an export and everything a database holds, as a text; nil, rows and series when there is none.
--- match: what was exported; nil: all series.
function M.difference(exported, db, match)
  local seen, series_count, rows = {}, 0, 0
  for series in assert(db:select(match)) do
    local expected = exported[series.metric] or exported[collapsed(series.metric)]
    if seen[series.metric] then return series.metric .. ": we list it twice" end
    seen[series.metric], seen[collapsed(series.metric)] = true, true
    if not expected then return series.metric .. ": we have it, the peer does not" end
    local difference = series_difference(series.metric, expected, series)
    if difference then return difference end
    series_count, rows = series_count + 1, rows + tonumber(series.count)
  end
  for metric in pairs(exported) do
    if not seen[metric] then return metric .. ": the peer has it, we do not" end
  end
  return nil, series_count, rows
end

--- First difference of two lists of texts, whatever their order.
function M.list_difference(expected, got)
  local a, b = {}, {}
  for _, text in ipairs(expected) do a[text] = true end
  for _, one in ipairs(got) do
    local text = a[one] and one or collapsed(one)
    if b[text] then return ("%q comes twice"):format(text) end
    b[text] = true
    if not a[text] then return ("we list %q, the peer does not"):format(text) end
  end
  for text in pairs(a) do
    if not b[text] then return ("the peer lists %q, we do not"):format(text) end
  end
end

--- Canonical names of a list of label maps.
function M.names(series)
  local names = {}
  for i, labels in ipairs(series) do names[i] = name_of(labels) end
  return names
end

return M
