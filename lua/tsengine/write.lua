--- Rows from text formats: whole texts (write) and streams of any size (import).
local ffi = require("ffi")
local core = require("tsengine.ffi")
local config = require("tsengine.config")
local errors = require("tsengine.errors")
local time = require("tsengine.time")

local C = core.C
local tonumber = tonumber
local M = {}

-- Bytes read from a file at once: large enough that the calls cost nothing, small enough to stay in the second-level cache.
local CHUNK_BYTES = 256 * 1024

local FORMATS = { prometheus = 0, influx = 1 }
local PRECISIONS_NS = { ns = 1, u = 1e3, us = 1e3, ["µs"] = 1e3, ms = 1e6, s = 1e9, m = 60e9, h = 3600e9 }

local OPTION_NAMES = {
  tenant = true, extra_labels = true, timestamp = true,
  separator = true, skip_single_field = true, skip_measurement = true, precision = true, db = true,
}
local IMPORT_NAMES = { progress = true }
for name in pairs(OPTION_NAMES) do IMPORT_NAMES[name] = true end

---@class tsengine.WriteOptions
---@field tenant? string  "account:project"
---@field extra_labels? table<string, string>  added to every series, replacing labels of that name
---@field timestamp? number|ffi.cdata*  prometheus: milliseconds of lines that have none; nil: now
---@field separator? string  influx: between measurement and field in the metric name ("_")
---@field skip_single_field? boolean  influx: the series of a line with one field is named by its measurement alone
---@field skip_measurement? boolean  influx: metrics are named by the field alone
---@field precision? "ns"|"us"|"ms"|"s"|"m"|"h"  influx: unit of timestamps; nil: told by their size
---@field db? string  influx: value of the label "db"

---@class tsengine.ImportOptions: tsengine.WriteOptions
---@field progress? fun(bytes: integer, rows: integer)  called after each chunk with the totals so far

---@class tsengine.WriteReport
---@field rejected integer  bad lines
---@field ignored { past: integer, future: integer, nan: integer, limit: integer }  rows left out, by cause
---@field errors { line: integer, message: string }[]  the first 100
---@field lines integer
---@field bytes integer  after decompression
---@field labels_dropped integer  labels that new series had over the limit
---@field names_cut integer  label names of new series that were cut
---@field values_cut integer  label values of new series that were cut

local out_writer = ffi.new("struct tse_writer *[1]")
local out_report = ffi.new("struct tse_write_report")
local out_line = ffi.new("uint64_t[1]")
local texts_type = ffi.typeof("const char *[?]")
-- What the last struct of options points to, kept until the core has copied it.
local held -- luacheck: ignore 231 241

local function text_option(where, options, name)
  local value = options[name]
  if value ~= nil and type(value) ~= "string" then
    errors.misuse("%s: option '%s' must be text, got %s", where, name, type(value))
  end
  return value
end

local function flag_option(where, options, name)
  local value = options[name]
  if value ~= nil and type(value) ~= "boolean" then
    errors.misuse("%s: option '%s' must be true or false, got %s", where, name, tostring(value))
  end
  return value and 1 or 0
end

--- Labels as an array of texts: name, value, name, value.
local function extra_labels(where, out, labels)
  if type(labels) ~= "table" then errors.misuse("%s: option 'extra_labels' must be a table, got %s", where, type(labels)) end
  local flat = {}
  for name, value in pairs(labels) do
    if type(name) ~= "string" or type(value) ~= "string" then
      errors.misuse("%s: option 'extra_labels' maps names to texts", where)
    end
    if name:find("%z") or value:find("%z") then
      errors.misuse("%s: option 'extra_labels' must not hold zero bytes", where)
    end
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  local texts = texts_type(#flat + 1)
  for i, text in ipairs(flat) do texts[i - 1] = text end
  out.extra_labels, out.extra_labels_count = texts, #flat / 2
  held.texts, held.flat = texts, flat
end

--- The time of lines that have none. The core takes 0 for now, and no row is older than 1970.
local function default_timestamp(where, value)
  local ms = time.timestamp(value)
  if ms <= 0 then errors.misuse("%s: option 'timestamp' must be a time after 1970, got %s", where, tostring(value)) end
  return ms
end

--- Open a writer of the core.
---@return ffi.cdata*? writer, string? message, string? code
local function open_writer(db, where, format, options, names, compression)
  if type(format) ~= "string" then errors.misuse("%s: a format's name is needed, got %s", where, type(format)) end
  options = options or {}
  if type(options) ~= "table" then errors.misuse("%s: options must be a table, got %s", where, type(options)) end
  config.check_names(options, names, where)
  local number = FORMATS[format]
  if not number then
    return errors.fail("FORMAT", "unknown format '%s'; there are 'influx' and 'prometheus'", format)
  end
  local out = ffi.new("struct tse_write_options")
  held = { options = options }
  out.format, out.compression = number, compression
  out.account, out.project = db:tenant_of(where, options)
  if options.timestamp ~= nil then out.default_timestamp_ms = default_timestamp(where, options.timestamp) end
  local separator, db_label = text_option(where, options, "separator"), text_option(where, options, "db")
  out.influx_separator, out.influx_db = separator, db_label
  out.influx_skip_single_field = flag_option(where, options, "skip_single_field")
  out.influx_skip_measurement = flag_option(where, options, "skip_measurement")
  local precision = text_option(where, options, "precision")
  if precision then
    if not PRECISIONS_NS[precision] then
      return errors.fail("FORMAT", "unknown precision '%s'; there are ns, us, ms, s, m, h", precision)
    end
    out.influx_precision_ns = PRECISIONS_NS[precision]
  end
  if options.extra_labels ~= nil then extra_labels(where, out, options.extra_labels) end
  local rc = C.tse_writer_open(db.handle, out, out_writer)
  if rc ~= 0 then return errors.failure(C, rc) end
  return ffi.gc(out_writer[0], C.tse_writer_free)
end

--- The core's report as a table, and the number of rows stored.
---@return integer accepted, tsengine.WriteReport report
local function report_of(writer)
  C.tse_writer_report(writer, out_report)
  local report = {
    rejected = tonumber(out_report.rejected),
    ignored = {
      past = tonumber(out_report.ignored_past),
      future = tonumber(out_report.ignored_future),
      nan = tonumber(out_report.ignored_nan),
      limit = tonumber(out_report.ignored_limit),
    },
    errors = {},
    lines = tonumber(out_report.lines),
    bytes = tonumber(out_report.bytes),
    labels_dropped = tonumber(out_report.labels_dropped),
    names_cut = tonumber(out_report.names_cut),
    values_cut = tonumber(out_report.values_cut),
  }
  local accepted = tonumber(out_report.accepted)
  for i = 1, tonumber(out_report.errors_count) do
    local text = C.tse_writer_error(writer, i - 1, out_line)
    report.errors[i] = { line = tonumber(out_line[0]), message = ffi.string(text) }
  end
  return accepted, report
end

local function free(writer)
  ffi.gc(writer, nil)
  C.tse_writer_free(writer)
end

--- End a stream: its results, or the failure with the report of what was stored before it.
local function finish(writer, rc)
  if rc ~= 0 then
    local _, message, code = errors.failure(C, rc)
    local accepted, report = report_of(writer)
    free(writer)
    report.accepted = accepted
    return nil, message, code, report
  end
  local accepted, report = report_of(writer)
  free(writer)
  return accepted, report
end

--- See Db:write.
function M.write(db, format, bytes, options)
  if type(bytes) ~= "string" then errors.misuse("write: text is needed, got %s", type(bytes)) end
  local writer, message, code = open_writer(db, "write", format, options, OPTION_NAMES, 0)
  if not writer then return nil, message, code end
  return finish(writer, C.tse_writer_write(writer, bytes, #bytes, 1))
end

--- Chunks of an open file. The second value of the last call is the message of a failed read.
local function chunks_of(file)
  return function() return file:read(CHUNK_BYTES) end
end

--- An iterator of chunks for any kind of source; `close` ends what was opened here.
---@return (fun(): string?)? next, string|fun()? close_or_message
local function open_source(source)
  if type(source) == "string" then
    local file, message = io.open(source, "rb")
    if not file then return nil, message end
    -- A directory opens but cannot be read.
    local readable, problem = file:read(0)
    if not readable and problem then
      file:close()
      return nil, source .. ": " .. problem
    end
    return chunks_of(file), function() file:close() end
  end
  local kind = io.type(source)
  if kind == "file" then return chunks_of(source), function() end end
  if kind == "closed file" then errors.misuse("import: the file handle is closed") end
  local meta = type(source) == "table" and getmetatable(source)
  if type(source) == "function" or (meta and meta.__call) then return source, function() end end
  errors.misuse("import: the source must be a path, a file handle or a function that returns chunks, got %s", type(source))
end

--- Feed all chunks to the writer.
local function feed(writer, next_chunk, progress)
  while true do
    local chunk, problem = next_chunk()
    if chunk == nil then
      if problem then return 0, tostring(problem) end
      return C.tse_writer_write(writer, "", 0, 1)
    end
    if type(chunk) ~= "string" then
      errors.misuse("import: the source returned a %s where a chunk of text or nil was due", type(chunk))
    end
    local rc = C.tse_writer_write(writer, chunk, #chunk, 0)
    if rc ~= 0 then return rc end
    if progress then
      C.tse_writer_report(writer, out_report)
      progress(tonumber(out_report.bytes), tonumber(out_report.accepted))
    end
  end
end

--- See Db:import.
function M.import(db, format, source, options)
  local progress = type(options) == "table" and options.progress
  if progress and type(progress) ~= "function" then
    errors.misuse("import: option 'progress' must be a function, got %s", type(progress))
  end
  local writer, message, code = open_writer(db, "import", format, options, IMPORT_NAMES, 1)
  if not writer then return nil, message, code end
  local next_chunk, close = open_source(source)
  if not next_chunk then
    free(writer)
    return errors.fail("IO", "cannot read %s", close)
  end
  local ok, rc, problem = pcall(feed, writer, next_chunk, progress)
  close()
  if not ok then
    free(writer)
    error(rc, 0) -- what the source or progress raised, as it was
  end
  if problem then
    local accepted, report = report_of(writer)
    free(writer)
    report.accepted = accepted
    return nil, "IO: reading the source failed: " .. problem, "IO", report
  end
  return finish(writer, rc)
end

return M
