local ffi = require("ffi")
local native = require("spec.support.native")
local parts = require("spec.support.parts")
local lib = native.lib

local LAYOUTS = { single = 0, cluster = 1 }

describe("a part", function()
  local env, directory

  setup(function() math.randomseed(native.seed("parts")) end)
  before_each(function()
    env = lib.tt_part_env_open()
    directory = parts.directory()
  end)
  after_each(function()
    parts.remove(directory)
    assert.are.equal(0, tonumber(lib.tt_part_env_close(env)))
  end)

  --- Rows of the part read in two ways must be those expected.
  local function assert_holds(part, expected, strict, title)
    local n = tonumber(expected.struct.count)
    local got = parts.place(n + 16384)
    for _, decode_first in ipairs { false, true } do
      native.check(lib.tt_part_rows(env, part, strict, decode_first, got.struct))
      assert.is_nil(parts.difference(expected, got), title)
    end
  end

  local shapes = {
    { rows = 1, series = 1, runs = 1 },
    { rows = 20000, series = 1, runs = 20000 },
    { rows = 20000, series = 3, runs = 40 },
    { rows = 5000, series = 1200, runs = 1 },
    { rows = 24000, series = 60, scraped = true },
    { rows = 22000, series = 2, scraped = true },
    { rows = 8000, series = 700, runs = 9, late = 0.1 },
    { rows = 30000, series = 2, runs = 3, late = 0.3 },
    { rows = 3000, series = 40, runs = 4, first = 4000000000 - 40 * 1000000, step = 1000000 },
  }

  for name, layout in pairs(LAYOUTS) do
    it("of the " .. name .. " layout gives back the rows it was made of, in memory and on disk", function()
      for i, shape in ipairs(shapes) do
        local title = ("shape %d"):format(i)
        local tsids = parts.tsids(shape.series, name == "cluster")
        local rows = parts.rows(shape.rows, shape.series, shape.first or 0, shape.step or 1, shape)
        local expected = parts.expected(rows, shape.rows, tsids, shape.first or 0, shape.step or 1)
        local memory = parts.build(env, layout, rows, shape.rows, tsids, shape.first, shape.step)
        assert_holds(memory, expected, false, title)
        local path = parts.write(env, memory, directory)
        local file = parts.open(env, layout, path)
        assert_holds(file, expected, true, title)
        native.check(lib.tt_part_verify(env, file))

        local info, from_memory = ffi.new("struct tt_part_info"), ffi.new("struct tt_part_info")
        lib.tt_part_info(file, info)
        lib.tt_part_info(memory, from_memory)
        assert.is_true(info.rows == from_memory.rows and info.blocks == from_memory.blocks)
        assert.is_true(info.min_ms == from_memory.min_ms and info.max_ms == from_memory.max_ms)
        assert.is_true(info.verified)
        assert.are.same({ 3, 2, "spec", 1700000000123 },
          { info.generation, info.fan_in, ffi.string(info.policy), tonumber(info.created_ms) })

        -- a part copied block by block is the same part
        local copies = directory .. "/copies"
        assert(os.execute("mkdir -p " .. copies) == 0)
        local copy = parts.write(env, file, copies)
        for _, entry in ipairs { "timestamps.bin", "values.bin", "index.bin", "metaindex.bin", "tsengine.sums" } do
          assert.is_true(parts.read_file(path .. "/" .. entry) == parts.read_file(copy .. "/" .. entry), title .. entry)
        end
        lib.part_unref(file)
        lib.part_unref(memory)
        os.execute("rm -rf " .. path .. " " .. copy)
      end
    end)
  end

  it("of another writer is read whatever valid encodings, block sizes and names it chose", function()
    for seed = 1, 12 do
      local series = math.random(1, 30)
      local n = seed == 1 and 40000 or math.random(1, 9000)
      local cluster = seed % 2 == 0
      local tsids = parts.tsids(series, cluster)
      local rows = parts.rows(n, series, 0, 1, { runs = math.random(1, 50), late = 0.01 })
      local expected = parts.expected(rows, n, tsids, 0, 1)
      local memory = parts.build(env, cluster and 1 or 0, rows, n, tsids)
      local path = ffi.new("char[600]")
      native.check(lib.tt_part_write_foreign(env, memory, directory, seed, path, 600))
      local file = parts.open(env, cluster and 1 or 0, ffi.string(path))
      assert_holds(file, expected, true, "seed " .. seed)
      local info = ffi.new("struct tt_part_info")
      lib.tt_part_info(file, info)
      assert.is_false(info.verified)
      -- and it can be written anew, with dedup by a millisecond decoding every block: rows of equal time fall together
      assert(os.execute("mkdir -p " .. directory .. "/again") == 0)
      local again = parts.write(env, file, directory .. "/again", 1)
      local rewritten = parts.open(env, cluster and 1 or 0, again)
      native.check(lib.tt_part_verify(env, rewritten))
      lib.part_unref(rewritten)
      lib.part_unref(file)
      lib.part_unref(memory)
      os.execute("rm -rf '" .. directory .. "'/*")
    end
  end)

  it("keeps rows of equal time in the order they came, and joins numbers of one series", function()
    local tsids = parts.tsids(2, false)
    tsids[1] = tsids[0]
    local rows = ffi.new("struct row[6]")
    for i = 0, 5 do
      rows[i].series, rows[i].timestamp_ms, rows[i].value = i % 2, parts.START_MS + (i < 3 and 5 or 5), i + 1
    end
    local memory = parts.build(env, 0, rows, 6, tsids)
    local got = parts.place(6)
    native.check(lib.tt_part_rows(env, memory, false, false, got.struct))
    assert.are.equal(1, tonumber(got.struct.blocks))
    local union = ffi.new("union { double d; uint64_t u; }")
    for i = 0, 5 do
      union.u = got.bits[i]
      assert.are.equal(i + 1, union.d)
    end
    lib.part_unref(memory)
  end)

  it("shares timestamps with the block before it only, as the format's example does", function()
    -- part format 17.10
    local counts, starts, steps = { 3, 5, 3, 3, 3 }, { 0, 7, 0, 0, 0 }, { 1000, 1000, 1000, 2000, 1000 }
    local rows, n = ffi.new("struct row[17]"), 0
    local tsids = ffi.new("struct tsid[5]")
    for s = 1, 5 do
      tsids[s - 1].metric_id = s
      for i = 0, counts[s] - 1 do
        rows[n].series, rows[n].timestamp_ms, rows[n].value = s - 1, parts.START_MS + starts[s] + i * steps[s], 1
        n = n + 1
      end
    end
    local memory = parts.build(env, 0, rows, n, tsids)
    local path = parts.write(env, memory, directory)
    assert.are.equal("\208\15\160\31\208\15", parts.read_file(path .. "/timestamps.bin"))
    assert.are.equal("", parts.read_file(path .. "/values.bin"))
    local file = parts.open(env, 0, path)
    local headers, count = ffi.new("struct block_header[5]"), ffi.new("size_t[1]")
    native.check(lib.tt_part_headers(env, file, headers, 5, count))
    local offsets = {}
    for i = 0, 4 do offsets[i + 1] = tonumber(headers[i].timestamps_offset) end
    assert.are.same({ 0, 0, 0, 2, 4 }, offsets)
    lib.part_unref(file)
    lib.part_unref(memory)
  end)

  it("closes an index block once its headers reach 65536 bytes", function()
    for _, case in ipairs { { 0, 810 }, { 1, 737 } } do
      local layout, full = case[1], case[2]
      for _, series in ipairs { full, full + 1 } do
        local tsids = parts.tsids(series, layout == 1)
        local rows = ffi.new("struct row[?]", series)
        for i = 0, series - 1 do rows[i].series, rows[i].timestamp_ms, rows[i].value = i, parts.START_MS + i, i end
        local memory = parts.build(env, layout, rows, series, tsids)
        local file = parts.open(env, layout, parts.write(env, memory, directory))
        assert.are.equal(series == full and 1 or 2, tonumber(lib.tt_part_metaindex_count(file)))
        lib.part_unref(file)
        lib.part_unref(memory)
      end
    end
  end)

  it("drops duplicates of an interval while it is written, and says so in its directory", function()
    local rows, n = ffi.new("struct row[8]"), 8
    for i, ms in ipairs { 0, 1, 999, 1000, 1001, 1999, 2000, 2001 } do
      rows[i - 1].series, rows[i - 1].timestamp_ms, rows[i - 1].value = 0, parts.START_MS + ms, i
    end
    for keep, kept in pairs { [0] = { 0, 1000, 2000, 2001 }, [1] = { 0, 1000, 2000 } } do
      local memory = parts.build(env, 0, rows, n, parts.tsids(1, false))
      local path = parts.write(env, memory, directory, 1000, keep)
      assert.are.equal("1s", parts.read_file(path .. "/min_dedup_interval"))
      local file, got, info = parts.open(env, 0, path), parts.place(8), ffi.new("struct tt_part_info")
      native.check(lib.tt_part_rows(env, file, true, false, got.struct))
      lib.tt_part_info(file, info)
      assert.are.equal(1000, tonumber(info.min_dedup_interval_ms))
      assert.are.equal(#kept, tonumber(info.rows))
      for i, ms in ipairs(kept) do assert.are.equal(parts.START_MS + ms, tonumber(got.timestamp_ms[i - 1])) end
      assert.are.equal(parts.START_MS + kept[#kept], tonumber(info.max_ms))
      lib.part_unref(file)
      lib.part_unref(memory)
      os.execute("rm -rf " .. path)
    end
  end)

  it("answers a search of any series and time range like a filter over all its rows", function()
    for round = 1, 6 do
      local cluster, series = round % 2 == 0, round < 3 and 4 or 2500
      local n = 30000
      local tsids = parts.tsids(series, cluster)
      local rows = parts.rows(n, series, 0, 1, { runs = 3, late = 0.02 })
      local memory = parts.build(env, cluster and 1 or 0, rows, n, tsids)
      local path = parts.write(env, memory, directory)
      local file = parts.open(env, cluster and 1 or 0, path)
      local all, got = parts.place(n), parts.place(n)
      native.check(lib.tt_part_rows(env, file, false, false, all.struct))
      local order = ffi.new("uint32_t[?]", series)
      native.check(lib.tt_part_order(tsids, series, order))
      for _ = 1, 8 do
        local wanted, ids, list = ffi.new("struct tsid[?]", series), {}, 0
        local chance = math.random() ^ 3
        for i = 0, series - 1 do
          if math.random() < chance then
            wanted[list] = tsids[order[i]]
            if math.random(10) == 1 then
              wanted[list].metric_id = wanted[list].metric_id + 0x100000000ULL -- a series that is not there
            else
              ids[tostring(wanted[list].metric_id)] = true
            end
            list = list + 1
          end
        end
        local min = parts.START_MS + math.random(0, 200000) * (math.random(3) == 1 and 0 or 1)
        local max = min + math.random(0, 400000)
        for _, part in ipairs { file, memory } do
          native.check(lib.tt_part_query(env, part, wanted, list, min, max, got.struct))
          -- whole blocks come back: those rows of the range must be exactly the wanted ones
          local at, count = 0, tonumber(got.struct.count)
          for i = 0, n - 1 do
            local t = tonumber(all.timestamp_ms[i])
            if t >= min and t <= max and ids[tostring(all.metric_id[i])] then
              while at < count and (got.timestamp_ms[at] < min or got.timestamp_ms[at] > max) do at = at + 1 end
              assert.is_true(at < count)
              assert.is_true(got.metric_id[at] == all.metric_id[i] and got.timestamp_ms[at] == all.timestamp_ms[i] and
                got.bits[at] == all.bits[i])
              at = at + 1
            end
          end
          while at < count do
            assert.is_true(got.timestamp_ms[at] < min or got.timestamp_ms[at] > max)
            at = at + 1
          end
        end
      end
      lib.part_unref(file)
      lib.part_unref(memory)
      os.execute("rm -rf " .. path)
    end
  end)

  it("reads nothing but its index for a series whose blocks lie outside the range", function()
    local n = 50000
    local tsids = parts.tsids(1, false)
    local rows = parts.rows(n, 1, 0, 1, { runs = n })
    local memory = parts.build(env, 0, rows, n, tsids)
    local file = parts.open(env, 0, parts.write(env, memory, directory))
    local got = parts.place(n)
    local before = lib.tt_part_env_bytes_read(env)
    native.check(lib.tt_part_query(env, file, tsids, 1, 0, parts.START_MS - 1, got.struct))
    assert.are.equal(0, tonumber(got.struct.count))
    assert.are.equal(0, tonumber(lib.tt_part_env_bytes_read(env) - before))
    native.check(lib.tt_part_query(env, file, tsids, 1, parts.START_MS, parts.START_MS + 20000, got.struct))
    assert.are.equal(8192, tonumber(got.struct.count))
    -- the index block, and a chunk or two of each payload file
    assert.is_true(lib.tt_part_env_bytes_read(env) - before < 60000)
    lib.part_unref(file)
    lib.part_unref(memory)
  end)
end)
