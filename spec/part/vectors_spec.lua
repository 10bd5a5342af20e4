local ffi = require("ffi")
local native = require("spec.support.native")
local vectors = require("spec.support.vectors")
require("spec.support.parts")

native.cdef [[
uint8_t *block_header_put(uint8_t *p, int layout, const struct block_header *header);
int block_header_get(const uint8_t *p, int layout, struct block_header *header);
uint8_t *metaindex_row_put(uint8_t *p, int layout, const struct metaindex_row *row);
int metaindex_row_get(const uint8_t *p, int layout, struct metaindex_row *row);
size_t dedup_rows(int64_t interval_ms, int keep, int64_t *timestamps_ms, int64_t *mantissas, double *values, size_t n);
]]
local lib = native.lib

local LAYOUTS = { single = 0, cluster = 1 }
local CORRUPTED = 3

local function fill_tsid(tsid, numbers)
  local at = 1
  if #numbers == 6 then
    tsid.account, tsid.project = numbers[1], numbers[2]
    at = 3
  end
  tsid.metric_group_id, tsid.job_id = numbers[at], numbers[at + 1]
  tsid.instance_id, tsid.metric_id = numbers[at + 2], numbers[at + 3]
end

local function fill_header(vector)
  local header = ffi.new("struct block_header")
  fill_tsid(header.tsid, vector.tsid)
  header.min_timestamp_ms, header.max_timestamp_ms = vector.min_ts, vector.max_ts
  header.first_value = vector.first_value
  header.timestamps_offset, header.values_offset = vector.ts_off, vector.val_off
  header.timestamps_bytes, header.values_bytes = vector.ts_size, vector.val_size
  header.rows, header.exponent = vector.rows, vector.scale
  header.timestamps_type, header.values_type = vector.ts_type, vector.val_type
  header.precision_bits = vector.precision_bits
  return header
end

describe("the golden vectors", function()
  it("agree on block headers", function()
    assert.are.equal(2, #vectors.of("block_header"))
    for _, vector in ipairs(vectors.of("block_header")) do
      local layout, bytes = LAYOUTS[vector.layout], ffi.new("uint8_t[128]")
      local len = tonumber(lib.block_header_put(bytes, layout, fill_header(vector)) - bytes)
      assert.are.equal(vector.hex, vectors.hex(bytes, len))
      local back, again = ffi.new("struct block_header"), ffi.new("uint8_t[128]")
      native.check(lib.block_header_get(bytes, layout, back))
      lib.block_header_put(again, layout, back)
      assert.are.equal(vector.hex, vectors.hex(again, len))
    end
  end)

  it("agree on metaindex rows", function()
    assert.are.equal(2, #vectors.of("metaindex_row"))
    for _, vector in ipairs(vectors.of("metaindex_row")) do
      local layout, bytes, row = LAYOUTS[vector.layout], ffi.new("uint8_t[128]"), ffi.new("struct metaindex_row")
      fill_tsid(row.tsid, vector.tsid)
      row.headers, row.min_timestamp_ms, row.max_timestamp_ms = vector.headers, vector.min_ts, vector.max_ts
      row.index_offset, row.index_bytes = vector.offset, vector.size
      local len = tonumber(lib.metaindex_row_put(bytes, layout, row) - bytes)
      assert.are.equal(vector.hex, vectors.hex(bytes, len))
      local back, again = ffi.new("struct metaindex_row"), ffi.new("uint8_t[128]")
      native.check(lib.metaindex_row_get(bytes, layout, back))
      lib.metaindex_row_put(again, layout, back)
      assert.are.equal(vector.hex, vectors.hex(again, len))
    end
  end)

  it("agree on dedup, both versions, on mantissas and on doubles", function()
    assert.are.equal(20, #vectors.of("dedup"))
    for i, vector in ipairs(vectors.of("dedup")) do
      local title, n = vectors.title(vector, i), #vector.timestamps
      local times, mantissas = vectors.int64s(vector.timestamps), vectors.int64s(vector.values)
      local doubles = ffi.new("double[?]", n + 1, vector.values)
      local left = tonumber(lib.dedup_rows(vector.interval_ms, vector.version == "1.72" and 1 or 0, times, mantissas, doubles, n))
      assert.are.equal(#vector.out_timestamps, left, title)
      assert.are.equal(vectors.show_list(vector.out_timestamps), vectors.show(times, left), title)
      assert.are.equal(vectors.show_list(vector.out_values), vectors.show(mantissas, left), title)
      for k = 1, left do assert.are.equal(tonumber(vector.out_values[k]), doubles[k - 1], title) end
    end
  end)
end)

describe("a block header", function()
  --- The code of reading a vector's header with some fields changed.
  local function read_with(change)
    local header = fill_header(vectors.of("block_header")[1])
    for name, value in pairs(change) do header[name] = value end
    local bytes = ffi.new("uint8_t[128]")
    local layout = LAYOUTS[vectors.of("block_header")[1].layout]
    lib.block_header_put(bytes, layout, header)
    return lib.block_header_get(bytes, layout, ffi.new("struct block_header"))
  end

  it("is refused when a field is outside its limits, and accepted on them", function()
    for _, case in ipairs {
      { 0, rows = 1 }, { 0, rows = 16384 }, { CORRUPTED, rows = 0 }, { CORRUPTED, rows = 16385 },
      { 0, values_type = 0 }, { CORRUPTED, values_type = 7 }, { CORRUPTED, timestamps_type = 7 },
      { CORRUPTED, precision_bits = 0 }, { 0, precision_bits = 1 }, { CORRUPTED, precision_bits = 65 },
      { 0, values_bytes = 131072 }, { CORRUPTED, values_bytes = 131073 }, { CORRUPTED, timestamps_bytes = 131073 },
      { CORRUPTED, min_timestamp_ms = 1608336060001 },
    } do
      local expected = table.remove(case, 1)
      assert.are.equal(expected, read_with(case), next(case))
    end
  end)
end)
