local ffi = require("ffi")
local native = require("spec.support.native")
local parts = require("spec.support.parts")
local tables = require("spec.table.support")
local merges = require("spec.merge.support")
local lib = native.lib

local START, SERIES = tables.NOON, 40
local CORRUPTED = 3

describe("a merge", function()
  local env, directory

  setup(function() math.randomseed(native.seed("merges")) end)
  before_each(function()
    env, directory = lib.tt_table_env_open("unused", false, SERIES, 0), parts.directory()
  end)
  after_each(function()
    parts.remove(directory)
    assert.are.equal(0, tonumber(lib.tt_table_env_close(env)))
  end)

  --- A part of rows {series, ms, value}, in memory or on disk.
  local function part_of(rows, on_disk, layout)
    local c, out = ffi.new("struct row[?]", #rows), ffi.new("struct part *[1]")
    for i, r in ipairs(rows) do c[i - 1].series, c[i - 1].timestamp_ms, c[i - 1].value = r[1], r[2], r[3] end
    native.check(lib.tt_merge_memory_of_rows(env, layout or 0, c, #rows, out))
    if not on_disk then return out[0] end
    local memory, file = out[0], ffi.new("struct part *[1]")
    native.check(lib.tt_merge_file_of_part(env, memory, merges.spec { layout = layout }, directory, file))
    lib.part_unref(memory)
    return file[0]
  end

  local function rows_of(part)
    local place = parts.place(400000)
    if part ~= nil then native.check(lib.tt_merge_rows(env, part, true, place.struct)) end
    return place
  end

  local function unref(list) for _, p in ipairs(list) do lib.part_unref(p) end end

  --- Sources of random shape: some series in many, some in one; times overlap or not.
  local function random_sources(opts)
    local sources, all = {}, {}
    for s = 1, math.random(1, 6) do
      local from = opts.apart and START + s * 10000000 or START + math.random(0, 200000)
      local rows = {}
      for _ = 1, math.random(1, opts.rows or 6000) do
        local series = math.random(0, math.random(0, SERIES - 1))
        rows[#rows + 1] = { series, from + math.random(0, 300000), math.random(-1000, 1000) }
      end
      sources[s] = part_of(rows, opts.files == nil and math.random(2) == 1 or opts.files, opts.layout)
      tables.append(all, rows)
    end
    return sources, all
  end

  for _, case in ipairs { { "overlapping parts", {} }, { "parts one after the other", { apart = true } }, { "files", { files = true } },
    { "memory", { files = false } }, { "few rows", { rows = 5 } }, { "many rows of few series", { rows = 40000 } },
    { "the cluster layout", { layout = 1 } } } do
    it("keeps every row once: " .. case[1], function()
      for round = 1, case[2].rows and case[2].rows > 6000 and 2 or 6 do
        local sources, all = random_sources(case[2])
        for _, in_memory in ipairs { false, true } do
          local part, counts, steps = merges.merge(env, sources, directory,
            { in_memory = in_memory, budget = round % 2 == 1 and 1 or nil, layout = case[2].layout })
          local place = rows_of(part)
          assert.are.same(tables.bag_of(all), tables.bag(place))
          assert.are.equal(#all, tonumber(counts.rows_written))
          assert.are.equal(0, tonumber(counts.rows_deleted + counts.rows_deduplicated))
          assert.is_true(steps >= 1)
          for i = 1, #all - 1 do -- sorted inside a series when nothing is cut at 8192 rows
            if #all < 8192 and place.metric_id[i] == place.metric_id[i - 1] then
              assert.is_true(place.timestamp_ms[i] >= place.timestamp_ms[i - 1])
            end
          end
          lib.part_unref(part)
        end
        unref(sources)
      end
    end)
  end

  it("copies blocks that meet no other undecoded", function()
    local sources = {}
    for s = 1, 4 do
      local rows = {}
      for i = 1, 3000 do rows[i] = { s, START + i * 1000, i } end
      sources[s] = part_of(rows, true)
    end
    local part, counts = merges.merge(env, sources, directory, {})
    assert.are.equal(4, tonumber(counts.blocks_copied))
    assert.are.equal(0, tonumber(counts.blocks_joined))
    lib.part_unref(part)
    unref(sources)
  end)

  it("copies a full block that only later ones follow", function()
    local first, second = {}, {}
    for i = 1, 8192 do first[i] = { 1, START + i, i % 100 } end
    for i = 1, 100 do second[i] = { 1, START + 8192 + i - 1, i } end
    local sources = { part_of(first, true), part_of(second, true) }
    local part, counts = merges.merge(env, sources, directory, {})
    assert.are.equal(2, tonumber(counts.blocks_copied))
    lib.part_unref(part)
    unref(sources)
  end)

  it("orders equal timestamps by whose turn it is", function()
    local pending = part_of({ { 1, START, 2 }, { 1, START + 1000, 3 } }, true)
    local other = part_of({ { 1, START, 11 }, { 1, START + 1000, 12 } }, true)
    local part = merges.merge(env, { pending, other }, directory, {})
    local place, double, seen = rows_of(part), ffi.new("union { double d; uint64_t u; }"), {}
    for i = 0, 3 do
      double.u = place.bits[i]
      seen[i + 1] = double.d
    end
    assert.are.same({ 2, 11, 12, 3 }, seen)
    unref { pending, other, part }
  end)

  it("drops deleted series", function()
    local sources, all = random_sources {}
    native.check(lib.tt_table_delete_series(env, 1000 + 3)) -- after the sources: they are made by merges too
    native.check(lib.tt_table_delete_series(env, 1000 + 0))
    local left, dropped = {}, 0
    for _, r in ipairs(all) do
      if r[1] == 3 or r[1] == 0 then dropped = dropped + 1 else left[#left + 1] = r end
    end
    local part, counts = merges.merge(env, sources, directory, {})
    assert.are.same(tables.bag_of(left), tables.bag(rows_of(part)))
    assert.is_true(dropped > 0)
    assert.are.equal(dropped, tonumber(counts.rows_deleted))
    unref(sources)
    lib.part_unref(part)
  end)

  it("leaves nothing when every series is deleted", function()
    local source = part_of({ { 1, START, 1 }, { 2, START, 1 } }, true)
    native.check(lib.tt_table_delete_series(env, 1001))
    native.check(lib.tt_table_delete_series(env, 1002))
    for _, in_memory in ipairs { false, true } do
      local part, counts = merges.merge(env, { source }, directory, { in_memory = in_memory })
      assert.is_true(part == nil)
      assert.are.equal(2, tonumber(counts.rows_deleted))
    end
    lib.part_unref(source)
  end)

  it("drops rows before the deadline where blocks are joined, and whole blocks everywhere", function()
    for _ = 1, 6 do
      local sources, all = random_sources {}
      local deadline = START + 250000
      local part, counts = merges.merge(env, sources, directory, { deadline = deadline })
      local got, want, kept = tables.bag(rows_of(part)), tables.bag_of(all), 0
      for key, n in pairs(want) do
        local ms = tonumber(key:match("^%d+ (%d+)"))
        if ms >= deadline then assert.are.equal(n, got[key], key) else kept = kept + (got[key] or 0) end
      end
      for key, n in pairs(got) do assert.is_true((want[key] or 0) >= n, key) end
      assert.are.equal(#all, tonumber(counts.rows_written + counts.rows_deleted))
      unref(sources)
      lib.part_unref(part)
    end
  end)

  --- The sample of each bucket that a query keeps, by series.
  local function dedup_model(rows, interval, keep)
    local best = {}
    for _, r in ipairs(rows) do
      local bucket = keep == merges.LAST and math.ceil(r[2] / interval) or math.floor(r[2] / interval)
      local key = r[1] .. " " .. bucket
      local old = best[key]
      if not old or (keep == merges.LAST and r[2] > old[2]) or (keep == merges.FIRST and r[2] < old[2]) then best[key] = r end
    end
    local list = {}
    for _, r in pairs(best) do list[#list + 1] = r end
    return list
  end

  for name, keep in pairs { last = merges.LAST, first = merges.FIRST } do
    it("applies dedup to what it writes, keeping the " .. name, function()
      for _, in_memory in ipairs { false, true } do
        local interval, all, sources = 1000, {}, {}
        for s = 1, 3 do
          local rows = {}
          for i = 1, 2000 do rows[i] = { math.random(0, 4), START + i * 30 + s, math.random(0, 9) } end -- all times differ
          sources[s] = part_of(rows, s == 2)
          tables.append(all, rows)
        end
        local part, counts = merges.merge(env, sources, directory, { dedup = interval, keep = keep, in_memory = in_memory })
        local left = dedup_model(all, interval, keep)
        assert.are.same(tables.bag_of(left), tables.bag(rows_of(part)))
        assert.are.equal(#all - #left, tonumber(counts.rows_deduplicated))
        unref(sources)
        lib.part_unref(part)
      end
    end)
  end

  it("takes two runs by turns whatever their shape", function()
    for _ = 1, 300 do
      local function run()
        local n, at = math.random(0, 60), 0
        local times, values = ffi.new("int64_t[?]", n + 1), ffi.new("uint64_t[?]", n + 1)
        local stride = math.random(3) == 1 and 40 or 2
        for i = 0, n - 1 do
          at = at + math.random(0, stride)
          times[i], values[i] = at, math.random(1, 1000000)
        end
        return times, values, n
      end
      local at, av, a = run()
      local bt, bv, b = run()
      local times, values = ffi.new("int64_t[?]", a + b + 1), ffi.new("uint64_t[?]", a + b + 1)
      lib.tt_merge_two_runs(at, av, a, bt, bv, b, times, values)
      local t, v, n = { [0] = at, bt }, { [0] = av, bv }, { [0] = a, b }
      local i, turn, out = { [0] = 0, 0 }, 0, 0
      while i[0] < n[0] or i[1] < n[1] do
        if i[turn] == n[turn] then
          turn = 1 - turn
        elseif i[1 - turn] < n[1 - turn] and t[turn][i[turn]] > t[1 - turn][i[1 - turn]] then
          turn = 1 - turn
        end
        assert.are.equal(tonumber(t[turn][i[turn]]), tonumber(times[out]))
        assert.are.equal(tonumber(v[turn][i[turn]]), tonumber(values[out]))
        i[turn], out = i[turn] + 1, out + 1
      end
    end
  end)

  it("fails without a trace when memory or the disk fails at any call", function()
    local sources = {}
    for s = 1, 3 do
      local rows = {}
      for i = 1, 500 do rows[i] = { i % 7, START + i * 100 + s, i } end
      sources[s] = part_of(rows, s > 1)
    end
    for _, what in ipairs { "memory", "disk" } do
      local n, failures = 0, 0
      repeat
        n = n + 1
        if what == "memory" then lib.tt_table_fail_memory(env, n) else lib.tt_table_fault(env, n, 5, false, 0, nil) end
        local part, code = merges.merge(env, sources, directory, {})
        lib.tt_table_fail_memory(env, 0)
        lib.tt_table_fault(env, 0, 0, false, 0, nil)
        if not part then
          failures = failures + 1
          assert.is_true(code == tables.CODE.MEMORY or code == tables.CODE.IO or code == tables.CODE.NOTFOUND, code)
        else
          lib.part_unref(part)
        end
      until part
      assert.is_true(failures > 20, what .. failures)
    end
    unref(sources)
  end)

  it("names the damaged source", function()
    local good = part_of({ { 1, START, 1 }, { 2, START, 5 } }, true)
    local rows = {}
    for i = 1, 4000 do rows[i] = { 1, START + i * 100, math.random(1, 100000) } end
    local memory = part_of(rows, false)
    local bad = ffi.new("struct part *[1]")
    native.check(lib.tt_merge_file_of_part(env, memory, merges.spec {}, directory, bad))
    local path
    for _, name in ipairs(parts.list(directory)) do if name:find("^4000_") then path = directory .. "/" .. name end end
    lib.part_unref(bad[0])
    local text = parts.read_file(path .. "/values.bin")
    parts.write_file(path .. "/values.bin", text:sub(1, 1000) .. string.char((text:byte(1001) + 1) % 256) .. text:sub(1002))
    bad = merges.open(env, 0, path)
    local part, code, damaged = merges.merge(env, { good, bad }, directory, {})
    assert.is_nil(part)
    assert.are.equal(CORRUPTED, code)
    assert.are.equal(2, damaged)
    unref { good, bad, memory }
  end)
end)
