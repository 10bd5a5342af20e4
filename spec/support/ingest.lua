--- What csrc/ingest makes of a text, for the specs: rows, bad lines and counters as Lua tables.
local ffi = require("ffi")
local native = require("spec.support.native")

native.cdef [[
struct tt_ingest_options {
  int format;
  int64_t now_ms;
  int64_t default_timestamp_ms;
  int64_t precision_ns;
  const char *separator;
  int skip_single_field;
  int skip_measurement;
  const char *db;
  const char *extra;
  size_t chunk_bytes;
  int fresh_parser;
  uint64_t fail_at;
  int fail_for_ever;
};
struct tt_ingest_result {
  const char *text;
  size_t len;
  uint64_t live;
  uint64_t calls;
  uint64_t rows;
};
int tt_ingest_dump(const struct tt_ingest_options *in, const char *text, size_t len, struct tt_ingest_result *result);
void tt_ingest_free(struct tt_ingest_result *result);
uint64_t tt_ingest_hash(const struct tt_ingest_options *in);
int tt_ingest_try(const struct tt_ingest_options *in);
]]

local lib = native.lib
local M = {}

--- The time that rows without a timestamp get, unless options.now_ms says another.
M.NOW_MS = 1700000000123

--- C options from {format = "prometheus" or "influx", separator, skip_single_field, ...}; the strings live with `keep`.
local function c_options(options)
  local o = ffi.new("struct tt_ingest_options")
  o.format = options.format == "influx" and 1 or options.format == "prometheus" and 0 or options.format
  o.now_ms = options.now_ms or M.NOW_MS
  o.default_timestamp_ms = options.default_timestamp_ms or 0
  o.precision_ns = options.precision_ns or 0
  o.separator = options.separator
  o.skip_single_field = options.skip_single_field and 1 or 0
  o.skip_measurement = options.skip_measurement and 1 or 0
  o.db = options.db
  o.extra = options.extra
  o.chunk_bytes = options.chunk_bytes or 0
  o.fresh_parser = options.fresh_parser and 1 or 0
  o.fail_at = options.fail_at or 0
  o.fail_for_ever = options.fail_for_ever and 1 or 0
  return o
end

--- The text that describes everything a parser made of `text`, and the C result (live, calls, rows), or nil and rc.
function M.dump(options, text)
  local result = ffi.new("struct tt_ingest_result")
  local rc = lib.tt_ingest_dump(c_options(options), text, #text, result)
  local dumped = ffi.string(result.text, result.len)
  lib.tt_ingest_free(result)
  if rc ~= 0 then return nil, rc, result end
  assert(result.live == 0, "the parser leaks")
  assert(not ("\n" .. dumped):find("\nX\t", 1, true), dumped:match("X\t[^\n]*"))
  return dumped, result
end

--- {rows = {{metric, timestamp, value}}, errors = {{line, message}}, lines, rejected, nan}.
function M.parse(options, text)
  local dumped, rc = M.dump(options, text)
  if not dumped then native.check(rc) end
  local out = { rows = {}, errors = {} }
  for line in dumped:gmatch("[^\n]+") do
    local kind, a, b, c = line:match("^(%u)\t(.-)\t([^\t]*)\t([^\t]*)$")
    if kind == "R" then
      out.rows[#out.rows + 1] = { metric = a, timestamp = tonumber(b), value = tonumber(c) }
    elseif kind == "S" then
      out.lines, out.rejected, out.nan = tonumber(a), tonumber(b), tonumber(c)
    else
      local number, message = line:match("^E\t(%d+)\t(.*)$")
      out.errors[#out.errors + 1] = { line = tonumber(number), message = message }
    end
  end
  return out
end

--- Rows as texts `metric timestamp value`, in order.
function M.rows(options, text)
  local rows = {}
  for i, row in ipairs(M.parse(options, text).rows) do
    rows[i] = ("%s %.0f %s"):format(row.metric, row.timestamp, ("%.17g"):format(row.value))
  end
  return rows
end

function M.hash(options) return lib.tt_ingest_hash(c_options(options)) end

--- nil when a parser takes the options, else the error message.
function M.refusal(options)
  if lib.tt_ingest_try(c_options(options)) ~= 0 then return ffi.string(lib.err_message()) end
end

--- The bytes of a file under spec/data/ingest.
function M.corpus(name)
  local file = assert(io.open("spec/data/ingest/" .. name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

return M
