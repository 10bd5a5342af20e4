--- Parts for the specs of spec/part: environments, random rows, directories of their own, comparison.
local ffi = require("ffi")
local native = require("spec.support.native")

local M = {}

native.cdef [[
struct tsid { uint32_t account, project; uint64_t metric_group_id; uint32_t job_id, instance_id; uint64_t metric_id; };
struct row { uint32_t series, reserved; int64_t timestamp_ms; double value; };
struct tt_part_env;
struct part;
struct tt_part_rows { size_t count, cap; uint64_t *metric_id; int64_t *timestamp_ms; uint64_t *bits; size_t blocks; };
struct tt_part_info {
  uint64_t rows, blocks; int64_t min_ms, max_ms; uint64_t suffix, bytes; int64_t min_dedup_interval_ms;
  uint32_t generation, fan_in; int64_t created_ms; bool verified; char policy[32];
};
struct block_header {
  struct tsid tsid; int64_t min_timestamp_ms, max_timestamp_ms, first_value; uint64_t timestamps_offset, values_offset;
  uint32_t timestamps_bytes, values_bytes, rows; int16_t exponent; uint8_t timestamps_type, values_type, precision_bits;
};
struct metaindex_row {
  struct tsid tsid; uint32_t headers; int64_t min_timestamp_ms, max_timestamp_ms; uint64_t index_offset; uint32_t index_bytes;
};
struct part_header { uint64_t rows, blocks; int64_t min_timestamp_ms, max_timestamp_ms; uint64_t suffix; };

struct tt_part_env *tt_part_env_open(void);
uint64_t tt_part_env_close(struct tt_part_env *env);
void tt_part_env_fail(struct tt_part_env *env, uint64_t allocation, uint64_t call);
uint64_t tt_part_env_live(struct tt_part_env *env);
uint64_t tt_part_env_bytes_read(struct tt_part_env *env);
int tt_part_build(struct tt_part_env *env, int layout, const struct row *rows, size_t n, const struct tsid *tsids,
  uint32_t first, uint32_t step, struct part **out);
int tt_part_write(struct tt_part_env *env, struct part *from, const char *parent, int64_t dedup_ms, int dedup_keep,
  char *path, size_t path_bytes);
int tt_part_write_foreign(struct tt_part_env *env, struct part *from, const char *parent, uint64_t seed, char *path, size_t path_bytes);
int tt_part_open(struct tt_part_env *env, int layout, const char *path, struct part **out);
int tt_part_verify(struct tt_part_env *env, struct part *part);
int tt_part_check(struct tt_part_env *env, int layout, const char *path);
void tt_part_info(const struct part *part, struct tt_part_info *info);
int tt_part_rows(struct tt_part_env *env, struct part *part, bool strict, bool decode_first, struct tt_part_rows *rows);
int tt_part_query(struct tt_part_env *env, struct part *part, const struct tsid *tsids, size_t n, int64_t min_ms, int64_t max_ms,
  struct tt_part_rows *rows);
int tt_part_headers(struct tt_part_env *env, struct part *part, struct block_header *headers, size_t cap, size_t *count);
uint64_t tt_part_metaindex_count(const struct part *part);
int tt_part_order(const struct tsid *tsids, size_t n, uint32_t *order);
int tt_part_tsid_compare(const struct tsid *a, const struct tsid *b);
int64_t tt_part_min_dedup_parse(const char *text);
void part_unref(struct part *part);
]]
local lib = native.lib

M.START_MS = 1608336000000

--- A fresh directory, in memory where the system has one; M.remove takes it away.
function M.directory()
  local base = io.open("/dev/shm") and "/dev/shm" or "/tmp"
  local pipe = assert(io.popen("mktemp -d " .. base .. "/tsengine-part.XXXXXX"))
  local path = pipe:read("*l")
  pipe:close()
  return assert(path, "no directory for tests")
end

function M.remove(path)
  assert(path:find("tsengine-part.", 1, true))
  os.execute("rm -rf '" .. path .. "'")
end

--- The names of a directory's entries, sorted.
function M.list(path)
  local pipe = assert(io.popen("ls -1 '" .. path .. "'"))
  local names = {}
  for line in pipe:lines() do names[#names + 1] = line end
  pipe:close()
  return names
end

function M.read_file(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function M.write_file(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- TSIDs of `count` series in random order of their fields, metric ids unique.
function M.tsids(count, cluster)
  local tsids = ffi.new("struct tsid[?]", count)
  for i = 0, count - 1 do
    local t = tsids[i]
    if cluster then t.account, t.project = math.random(0, 2), math.random(0, 1) end
    t.metric_group_id = math.random(0, 5) * 0x123456789abcdef1ULL
    t.job_id, t.instance_id = math.random(0, 3), math.random(0, 0xffffffff)
    t.metric_id = 0x18e9b86ce9170000ULL + i
  end
  return tsids
end

local generators = {
  function(previous) return previous + math.random(0, 100) end,
  function(previous) return previous + math.random(-5, 5) end,
  function(previous) return previous end,
  function() return math.random(-100000, 100000) / 100 end,
  function(previous) return math.random(50) == 1 and (math.random(2) == 1 and 1 / 0 or -1 / 0) or previous + 1 end,
}

--- n random rows of `count` series as struct row[n]: series come in any order, times are mostly ascending.
---@param opts table {late = chance of a late row, runs = rows of a series in a row, scraped = all series at the same times}
function M.rows(n, count, first, step, opts)
  local rows = ffi.new("struct row[?]", n)
  if opts.scraped then
    local now = M.START_MS
    for i = 0, n - 1 do
      if i % count == 0 then now = now + math.random(14980, 15020) end
      rows[i].series, rows[i].timestamp_ms = first + i % count * step, now + (i % count > count / 2 and 7 or 0)
      rows[i].value = math.random(0, 1000)
    end
    return rows
  end
  local value, time = {}, {}
  local i = 0
  while i < n do
    local series = math.random(0, count - 1)
    for _ = 1, math.min(n - i, math.random(1, opts.runs or 1)) do
      time[series] = (time[series] or M.START_MS + math.random(0, 999)) + math.random(1, 15000)
      value[series] = generators[series % #generators + 1](value[series] or 0)
      rows[i].series = first + series * step
      rows[i].timestamp_ms = time[series] - (math.random() < (opts.late or 0) and 20000 or 0)
      rows[i].value = value[series]
      i = i + 1
    end
  end
  return rows
end

--- A place for up to cap rows.
function M.place(cap)
  local place = { struct = ffi.new("struct tt_part_rows") }
  place.metric_id, place.timestamp_ms, place.bits =
    ffi.new("uint64_t[?]", cap), ffi.new("int64_t[?]", cap), ffi.new("uint64_t[?]", cap)
  place.struct.cap = cap
  place.struct.metric_id, place.struct.timestamp_ms, place.struct.bits = place.metric_id, place.timestamp_ms, place.bits
  return place
end

--- What a part must hold of rows: arrays of metric ids, times and value bits in the order of TSID and time.
function M.expected(rows, n, tsids, first, step)
  local order, by_series = {}, {}
  for i = 0, n - 1 do
    local series = (rows[i].series - first) / step
    if not by_series[series] then
      by_series[series] = {}
      order[#order + 1] = series
    end
    table.insert(by_series[series], i)
  end
  table.sort(order, function(a, b) return lib.tt_part_tsid_compare(tsids + a, tsids + b) < 0 end)
  local place, at = M.place(n), 0
  local union = ffi.new("union { double d; uint64_t u; }")
  for _, series in ipairs(order) do
    local list = by_series[series]
    table.sort(list, function(a, b)
      local x, y = rows[a].timestamp_ms, rows[b].timestamp_ms
      if x ~= y then return x < y end
      return a < b
    end)
    for _, i in ipairs(list) do
      union.d = rows[i].value + 0.0
      place.metric_id[at], place.timestamp_ms[at], place.bits[at] = tsids[series].metric_id, rows[i].timestamp_ms, union.u
      at = at + 1
    end
  end
  place.struct.count = n
  return place
end

--- Are two places equal? The number of the first row that differs, or nil.
function M.difference(a, b)
  if a.struct.count ~= b.struct.count then return 0 end
  for i = 0, tonumber(a.struct.count) - 1 do
    if a.metric_id[i] ~= b.metric_id[i] or a.timestamp_ms[i] ~= b.timestamp_ms[i] or a.bits[i] ~= b.bits[i] then return i end
  end
end

--- The last error's message.
function M.message() return ffi.string(lib.err_message()) end

--- Builds a memory part; the caller unrefs it.
function M.build(env, layout, rows, n, tsids, first, step)
  local out = ffi.new("struct part *[1]")
  native.check(lib.tt_part_build(env, layout, rows, n, tsids, first or 0, step or 1, out))
  return out[0]
end

--- Writes a part into a directory under its name; returns the path.
function M.write(env, part, parent, dedup_ms, keep)
  local path = ffi.new("char[600]")
  native.check(lib.tt_part_write(env, part, parent, dedup_ms or 0, keep or 0, path, 600))
  return ffi.string(path)
end

--- Opens a part's directory; the caller unrefs it.
function M.open(env, layout, path)
  local out = ffi.new("struct part *[1]")
  native.check(lib.tt_part_open(env, layout, path, out))
  return out[0]
end

return M
