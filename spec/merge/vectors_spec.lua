local ffi = require("ffi")
local native = require("spec.support.native")
local parts = require("spec.support.parts")
local vectors = require("spec.support.vectors")
local merges = require("spec.merge.support")
local lib = native.lib

local CLUSTER = 1
local BLOCK_ROWS_MAX, BLOCKS_MAX, HEX_ROOM = 8192, 256, 65536
local DELTA2_ZSTD, DELTA_ZSTD = 1, 4

local specials = { ["NaN:stale"] = 0x7FF0000000000002ULL, ["+Inf"] = 0x7FF0000000000000ULL, ["-Inf"] = 0xFFF0000000000000ULL }
local double = ffi.new("union { double d; uint64_t u; }")

--- The doubles of a run; specials are stored by their bits, never as Lua numbers.
local function fill_run(run, times, values, at)
  local bits = ffi.cast("uint64_t *", values)
  for i = 0, run.count - 1 do
    times[at + i] = run.start + i * run.step
    if type(run.value0) == "string" then
      bits[at + i] = assert(specials[run.value0], run.value0)
    else
      double.d = run.value0 + i * run.value_step
      bits[at + i] = double.u
    end
  end
end

--- The blocks that the peer makes of the rows of a source: cut where the series changes and at 8192 rows.
local function blocks_of(source, keep)
  local total = 0
  for _, run in ipairs(source.runs) do total = total + run.count end
  local times, values = ffi.new("int64_t[?]", total), ffi.new("double[?]", total)
  keep[#keep + 1], keep[#keep + 2] = times, values
  local series, at = {}, 0
  for _, run in ipairs(source.runs) do
    fill_run(run, times, values, at)
    local last = series[#series]
    if last and last.metric_id == run.metric_id then
      last.rows = last.rows + run.count
    else
      series[#series + 1] = { metric_id = run.metric_id, from = at, rows = run.count, runs = {} }
    end
    table.insert(series[#series].runs, { from = at, precision_bits = run.precision_bits })
    at = at + run.count
  end
  local blocks = ffi.new("struct tt_merge_block[?]", BLOCKS_MAX)
  local n = 0
  for _, s in ipairs(series) do
    local from, rest = s.from, s.rows
    while rest > 0 do
      local b, precision = blocks[n], nil
      for _, run in ipairs(s.runs) do if run.from <= from then precision = run.precision_bits end end
      b.tsid.account, b.tsid.project, b.tsid.metric_group_id, b.tsid.job_id, b.tsid.instance_id, b.tsid.metric_id = 1, 2, 3, 4, 5, s.metric_id
      b.timestamps_ms, b.values, b.rows, b.precision_bits = times + from, values + from, math.min(rest, BLOCK_ROWS_MAX), precision
      from, rest, n = from + tonumber(b.rows), rest - tonumber(b.rows), n + 1
    end
  end
  return blocks, n
end

--- The blocks of a part against those of a vector.
local function assert_blocks(env, part, expected, title)
  local headers, count = ffi.new("struct block_header[?]", BLOCKS_MAX), ffi.new("size_t[1]")
  local hex = ffi.new("char[?]", 2 * BLOCKS_MAX * HEX_ROOM)
  native.check(lib.tt_merge_blocks(env, part, headers, hex, HEX_ROOM, BLOCKS_MAX, count))
  assert.are.equal(#expected, tonumber(count[0]), title)
  for i, want in ipairs(expected) do
    local got = headers[i - 1]
    local function same(name, a, b) assert.are.equal(tostring(a), tostring(b), ("%s: block %d: %s"):format(title, i, name)) end
    same("metric_id", ffi.cast("uint64_t", want.metric_id), got.tsid.metric_id)
    same("rows", want.rows, got.rows)
    same("min", ffi.cast("int64_t", want.min_ts), got.min_timestamp_ms)
    same("max", ffi.cast("int64_t", want.max_ts), got.max_timestamp_ms)
    same("first value", ffi.cast("int64_t", want.first_value), got.first_value)
    same("scale", want.scale, got.exponent)
    same("types", want.ts_type .. " " .. want.val_type, got.timestamps_type .. " " .. got.values_type)
    same("precision", want.precision_bits, got.precision_bits)
    if want.ts_hex then same("timestamps", want.ts_hex, ffi.string(hex + 2 * (i - 1) * HEX_ROOM)) end
    if want.val_hex then same("values", want.val_hex, ffi.string(hex + (2 * (i - 1) + 1) * HEX_ROOM)) end
  end
end

local function compressed(block)
  return block.ts_type == DELTA2_ZSTD or block.ts_type == DELTA_ZSTD
end

local function check_vector(vector, title)
  local env, directory = lib.tt_table_env_open("unused", false, 1, 0), parts.directory()
  local keep = vector.version == "1.72" and merges.FIRST or merges.LAST
  local sources, memory = {}, {}
  for i, source in ipairs(vector.sources) do
    local blocks, n = blocks_of(source, memory)
    local out = ffi.new("struct part *[1]")
    native.check(lib.tt_merge_file_of_blocks(env, CLUSTER, directory, 1000000 + i, vector.dedup_interval_ms, keep, blocks, n, out))
    sources[i] = out[0]
    assert_blocks(env, sources[i], source.blocks, title .. ": source " .. i)
  end
  for _, id in ipairs(vector.deleted) do native.check(lib.tt_table_delete_series(env, id)) end
  local part, counts = merges.merge(env, sources, directory, { layout = CLUSTER, dedup = vector.dedup_interval_ms, keep = keep,
    deadline = vector.retention_deadline })
  assert.is_not_nil(part, title)
  assert.are.equal(vector.rows_deleted, tonumber(counts.rows_deleted), title)
  assert.are.equal(vector.rows_merged, tonumber(counts.rows_read - counts.rows_deleted), title)
  assert.are.equal(vector.out_rows, tonumber(counts.rows_written), title)
  if vector.out_rows == 0 then
    assert.is_true(part == nil, title)
  else
    assert_blocks(env, part, vector.out, title)
    local info = ffi.new("struct tt_part_info")
    lib.tt_part_info(part, info)
    assert.are.equal(vector.out_blocks, tonumber(info.blocks), title)
    assert.are.equal(vector.out_min_ts, tonumber(info.min_ms), title)
    assert.are.equal(vector.out_max_ts, tonumber(info.max_ms), title)
  end
  for _, source in ipairs(sources) do lib.part_unref(source) end
  lib.part_unref(part)
  parts.remove(directory)
  assert.are.equal(0, tonumber(lib.tt_table_env_close(env)), title)
end

describe("the golden vectors of merges", function()
  for i, vector in ipairs(vectors.of("merge")) do
    local title = vectors.title(vector, i)
    it("agree: " .. title, function() check_vector(vector, title) end)
  end

  it("include compressed and plain timestamps", function()
    local plain, packed = 0, 0
    for _, vector in ipairs(vectors.of("merge")) do
      for _, block in ipairs(vector.out) do
        if compressed(block) then packed = packed + 1 else plain = plain + 1 end
      end
    end
    assert.is_true(plain > 20 and packed > 0)
  end)
end)
