--- Rows in by add, series and columns, and out again.
local ffi = require("ffi")
local module = require("spec.support.module")
local tsengine = module.tsengine
local NOON = module.NOON

local bits = ffi.new("union { uint64_t bits; double value; }")
local function bits_of(value)
  bits.value = value
  return bits.bits
end
local function from_bits(pattern)
  bits.bits = pattern
  return bits.value
end

describe("db:add", function()
  after_each(module.cleanup)

  it("takes a metric as text and as a table, which name the same series", function()
    local db = module.open()
    assert.is_true(db:add('cpu{host="a",dc="x"}', NOON, 1))
    assert.is_true(db:add({ __name__ = "cpu", dc = "x", host = "a" }, NOON + 1, 2))
    assert.are.same({ ['cpu{dc="x",host="a"}'] = { { NOON, 1 }, { NOON + 1, 2 } } }, module.rows(db, "cpu"))
  end)

  it("takes odd names and labels in either form", function()
    local db = module.open()
    local labels = { __name__ = "a b", ["label-1"] = 'quote " slash \\ line \n end', empty_not = "x", ["ü"] = "é" }
    assert.is_true(db:add(labels, NOON, 1))
    for series in db:select() do
      assert.are.same(labels, series.labels)
      assert.is_true(db:add(series.metric, NOON + 1, 2))
    end
    assert.are.equal(1, #db:series_names())
    for series in db:select() do assert.are.equal(2, series.count) end
  end)

  it("takes nil as now, floors fractions and takes int64", function()
    local db, clock = module.open()
    db:add("m", nil, 1)
    clock:advance("1s")
    db:add("m", nil, 2)
    db:add("m", NOON + 1500.9, 3)
    db:add("m", ffi.cast("int64_t", NOON + 2000), 4)
    db:add("m", ffi.cast("uint64_t", NOON + 3000), 5)
    assert.are.same({ { NOON, 1 }, { NOON + 1000, 2 }, { NOON + 1500, 3 }, { NOON + 2000, 4 }, { NOON + 3000, 5 } },
      module.rows(db, "m").m)
  end)

  it("raises for timestamps and values that are none", function()
    local db = module.open()
    for _, timestamp in ipairs { 0 / 0, 1 / 0, -1 / 0, "now", true, {} } do
      assert.is_false(pcall(db.add, db, "m", timestamp, 1))
    end
    local series = db:series("m")
    for _, value in ipairs { "1", true, {}, ffi.new("int[3]"), ffi.cast("void *", nil) } do
      for _, add in ipairs {
        function() db:add("m", NOON, value) end, function() series:add(NOON, value) end,
        function() series:add_columns({ NOON }, { value }) end,
      } do
        local ok, message = pcall(add)
        assert.is_false(ok)
        assert.matches("rows_spec.lua:%d+: tsengine: .*must be a number", message)
      end
    end
    assert.is_false(pcall(db.add, db, "m", NOON))
    assert.is_false(pcall(db.add, db, 7, NOON, 1))
    assert.is_false(pcall(db.add, db, { 7 }, NOON, 1))
    assert.are.same({}, module.rows(db))
  end)

  it("answers METRIC for text that is no metric and RANGE outside the window", function()
    local db = module.open { retention = "30d" }
    for _, metric in ipairs { "m{", 'm{a="b}', 'm{a=b}', "m}" } do
      local ok, message, code = db:add(metric, NOON, 1)
      assert.is_nil(ok)
      assert.are.equal("METRIC", code, metric)
      assert.matches("^METRIC: ", message)
    end
    for _, timestamp in ipairs { NOON + 3 * 86400000, NOON - 31 * 86400000, -5, 2 ^ 70, -2 ^ 70 } do
      local ok, _, code = db:add("m", timestamp, 1)
      assert.is_nil(ok)
      assert.are.equal("RANGE", code)
    end
    assert.is_true(db:add("m", NOON + 86400000, 1))
    assert.is_true(db:add("m", NOON - 29 * 86400000, 1))
  end)

  it("keeps equal names and timestamps all", function()
    local db = module.open()
    for value = 1, 3 do db:add("m", NOON, value) end
    local rows = module.rows(db, "m").m
    table.sort(rows, function(a, b) return a[2] < b[2] end)
    assert.are.same({ { NOON, 1 }, { NOON, 2 }, { NOON, 3 } }, rows)
  end)

  it("gives every value back as it was before and after flush, merge and reopening", function()
    local db, clock, path = module.open()
    local values = { 0, 1, -1, 0.1, 1.5, 123456789012, 2 ^ 53, -2 ^ 53, 1e-300, 1e300, 1 / 0, -1 / 0, 12.3456789012 }
    for i, value in ipairs(values) do
      assert.is_true(db:add(('m{i="%02d"}'):format(i), NOON + i, value))
    end
    local function compare()
      local all = module.rows(db, "m")
      for i, value in ipairs(values) do
        local rows = all[('m{i="%02d"}'):format(i)]
        assert.are.same({ { NOON + i, value } }, rows)
      end
    end
    compare()
    assert.is_true(db:flush())
    compare()
    assert(db:force_merge())
    compare()
    assert.is_true(db:close())
    db = module.open { path = path, clock = clock }
    compare()
    db:close()
  end)

  it("makes no negative zero", function()
    local db = module.open()
    db:add("m", NOON, -0.0)
    assert.are.equal(0, 1 / module.rows(db, "m").m[1][2] < 0 and 1 or 0)
  end)
end)

describe("a NaN", function()
  after_each(module.cleanup)

  -- Read through a double*, these bits would arrive as a Lua object made up from them.
  local FORGED = { 0xFFFA000000000001ULL, 0xFFFD000000000001ULL, 0xFFFFFFFFFFFFFFFFULL, 0x7FF8000000000001ULL,
    0x7FF0000000000001ULL, 0xFFF8000000000000ULL, 0xFFF0000000000002ULL }

  local function check_values(db)
    local stale = 0
    for series in db:select() do
      for i = 0, series.count - 1 do
        local pattern = ffi.cast("const uint64_t *", series.values)[i]
        local value = series.values[i]
        assert.are.equal("number", type(value))
        if value ~= value then
          assert.is_true(pattern == 0x7FF0000000000002ULL or pattern == 0x7FF8000000000000ULL)
          stale = stale + 1
        end
      end
    end
    return stale
  end

  it("of any bits given in columns is dropped and counted, and never readable", function()
    local db = module.open()
    local series = assert(db:series("m"))
    local n = #FORGED
    local timestamps, values = ffi.new("int64_t[?]", n + 1), ffi.new("double[?]", n + 1)
    for i, pattern in ipairs(FORGED) do
      timestamps[i - 1] = NOON + i
      ffi.cast("uint64_t *", values)[i - 1] = pattern
    end
    timestamps[n], values[n] = NOON + n + 1, 42
    assert(series:add_columns(timestamps, values, n + 1))
    assert.are.same({ { NOON + n + 1, 42 } }, module.rows(db, "m").m)
    assert.are.equal(0, check_values(db))
    assert.are.equal(n, db:stats().rows_ignored_nan)
    db:flush()
    assert.are.equal(0, check_values(db))
  end)

  it("made by Lua or written in a text is dropped", function()
    local db = module.open()
    assert.is_true(db:add("m", NOON, 0 / 0))
    local rows, report = db:write("prometheus", ("a NaN %d\nb nan %d\nc 1 %d\n"):format(NOON, NOON, NOON))
    assert.are.equal(1, rows)
    assert.are.equal(2, report.ignored.nan)
    assert.are.same({ c = { { NOON, 1 } } }, module.rows(db))
    assert.are.equal(3, db:stats().rows_ignored_nan)
  end)

  it("given as cdata is dropped, and no other bits are taken for a Lua object", function()
    local db = module.open()
    local series = assert(db:series("s"))
    local cell = ffi.new("union { uint64_t bits; double value; }")
    local value = ffi.cast("double &", ffi.cast("double *", cell))
    for i, pattern in ipairs { 0xFFFA000000000001ULL, 0xFFFFFFFFFFFFFFFFULL, 0x7FF8000000000001ULL, 0xFFF8000000000000ULL } do
      cell.bits = pattern
      assert.is_true(db:add("m", NOON + i, value))
      assert.is_true(series:add(NOON + i, value))
      assert.are.equal(0, series:add_columns({ NOON + i }, { value }))
    end
    assert.are.equal(12, db:stats().rows_ignored_nan)
    assert.are.same({}, module.rows(db))
    cell.bits = 0x7FF0000000000002ULL
    assert.is_true(db:add("m", NOON, value))
    for _, stored in db:select("m")():points() do assert.is_true(tsengine.is_stale(stored)) end
    cell.value = 2.5
    assert.is_true(series:add(NOON, value))
    assert.is_true(series:add(NOON, 5LL))
    assert.are.same({ s = { { NOON, 2.5 }, { NOON, 5 } } }, module.rows(db, "s"))
  end)

  it("with the stale marker's bits is kept, to the bit, also over flush and merge", function()
    local db, clock, path = module.open()
    assert.is_true(tsengine.is_stale(tsengine.stale))
    assert.is_false(tsengine.is_stale(0 / 0))
    assert.is_false(tsengine.is_stale(1))
    db:add("m", NOON, 1)
    db:add("m", NOON + 1000, tsengine.stale)
    local function stale_of()
      local query = db:select("m")
      local series = query()
      assert.are.equal(2, series.count)
      assert.is_true(tsengine.is_stale(series.values[1]))
      local found = bits_of(series.values[1])
      query:close()
      return found
    end
    assert.are.equal(0x7FF0000000000002ULL, stale_of())
    db:flush()
    assert.are.equal(0x7FF0000000000002ULL, stale_of())
    db:force_merge()
    db:close()
    db = module.open { path = path, clock = clock }
    assert.are.equal(0x7FF0000000000002ULL, stale_of())
    assert.are.equal(1, check_values(db))
    assert.are.equal(0x7FF0000000000002ULL, bits_of(from_bits(0x7FF0000000000002ULL)))
  end)
end)

describe("db:series", function()
  after_each(module.cleanup)

  it("appends rows that the next query sees", function()
    local db = module.open()
    local series = assert(db:series('m{a="b"}'))
    for i = 1, 1000 do
      assert.is_true(series:add(NOON + i, i))
      if i % 100 == 0 then assert.are.equal(i, #module.rows(db, "m")['m{a="b"}']) end
    end
    assert.matches('m{a="b"}', tostring(series), 1, true)
  end)

  it("takes columns as Lua arrays, as FFI arrays and as pointers", function()
    local db = module.open()
    local series = assert(db:series { __name__ = "m" })
    assert.are.equal(3, series:add_columns({ NOON, NOON + 1, NOON + 2.7 }, { 1, 2, 3 }))
    assert.are.equal(2, series:add_columns({ NOON + 3, ffi.cast("int64_t", NOON + 4), 0 }, { 4, 5, 0 }, 2))
    local timestamps, values = ffi.new("int64_t[3]", NOON + 5, NOON + 6, NOON + 7), ffi.new("double[3]", 6, 7, 8)
    assert.are.equal(2, series:add_columns(timestamps, values, 2))
    assert.are.equal(1, series:add_columns(timestamps + 2, values + 2, 1))
    assert.are.equal(0, series:add_columns({}, {}))
    local rows = module.rows(db, "m").m
    assert.are.equal(8, #rows)
    for i, row in ipairs(rows) do assert.are.same({ NOON + i - 1, i }, row) end
  end)

  it("raises for columns of the wrong kind", function()
    local db = module.open()
    local series = assert(db:series("m"))
    local timestamps, values = ffi.new("int64_t[2]", NOON, NOON), ffi.new("double[2]", 1, 2)
    assert.is_false(pcall(series.add_columns, series, timestamps, values))
    assert.is_false(pcall(series.add_columns, series, values, timestamps, 2))
    assert.is_false(pcall(series.add_columns, series, { NOON, NOON }, { 1 }))
    assert.is_false(pcall(series.add_columns, series, { NOON, "x" }, { 1, 2 }))
    assert.is_false(pcall(series.add_columns, series, { NOON }, { 1, 2 }, 2))
    assert.is_false(pcall(series.add_columns, series, { NOON, NOON }, { 1, "2" }))
    assert.is_false(pcall(series.add_columns, series, timestamps, values, -1))
    assert.is_false(pcall(series.add_columns, series, timestamps, values, 1.5))
    assert.is_false(pcall(series.add_columns, series, "abc", values, 1))
    assert.are.same({}, module.rows(db))
  end)

  it("raises at the caller's line for columns that are shorter than the number of rows", function()
    local db = module.open()
    local series = assert(db:series("m"))
    local pair = ffi.new("struct { int64_t timestamps[2]; double values[2]; }", { { NOON, NOON }, { 1, 2 } })
    local long = ffi.new("int64_t[8]", NOON)
    for _, columns in ipairs {
      { long, ffi.new("double[2]") }, { ffi.new("int64_t[?]", 2), ffi.new("double[8]") }, { pair.timestamps, pair.values },
      { { NOON, NOON }, { 1, 2, 3 } }, { { NOON, NOON, NOON }, { 1, 2 } },
    } do
      local ok, message = pcall(function() series:add_columns(columns[1], columns[2], 3) end)
      assert.is_false(ok)
      assert.matches("rows_spec.lua:%d+: tsengine: %a+ has fewer than 3 rows", message)
    end
    local ok, message = pcall(function() series:add_columns({ NOON }, { 1 }, 2 ^ 40) end)
    assert.is_false(ok)
    assert.matches("rows_spec.lua:%d+: ", message)
    ok, message = pcall(function() series:add_columns(long, ffi.cast("double *", nil), 3) end)
    assert.is_false(ok)
    assert.matches("NULL", message)
    assert.are.same({}, module.rows(db))
    -- What fits is taken, also where the size is not known.
    assert.are.equal(2, series:add_columns(pair.timestamps, pair.values, 2))
    assert.are.equal(1, series:add_columns(ffi.cast("const int64_t *", pair.timestamps), ffi.cast("void *", pair.values), 1))
  end)

  it("counts only the rows of a column that lie in the window", function()
    local db = module.open { retention = "30d" }
    local series = assert(db:series("m"))
    local accepted = assert(series:add_columns({ NOON - 40 * 86400000, NOON, NOON + 5 * 86400000 }, { 1, 2, 3 }))
    assert.are.equal(1, accepted)
    local stats = db:stats()
    assert.are.equal(1, stats.rows_ignored_past)
    assert.are.equal(1, stats.rows_ignored_future)
  end)

  it("answers METRIC for text that is no metric", function()
    local db = module.open()
    local series, message, code = db:series("m{")
    assert.is_nil(series)
    assert.are.equal("METRIC", code)
    assert.matches("^METRIC: ", message)
  end)

  it("stays valid when the series is deleted: rows added later are a new series", function()
    local db = module.open()
    local series = assert(db:series("m"))
    series:add(NOON, 1)
    assert.are.equal(1, db:delete { match = "m" })
    assert.are.same({}, module.rows(db, "m"))
    assert.is_true(series:add(NOON + 1, 2))
    assert.are.same({ m = { { NOON + 1, 2 } } }, module.rows(db, "m"))
  end)
end)
