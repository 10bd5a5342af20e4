--- Small memory, many series, many fields, short steps.
local ffi = require("ffi")
local module = require("spec.support.module")
local native = require("spec.support.native")
local support = require("spec.storage.support")

local NOON, DAY = support.NOON, support.DAY

--- Lines of `fields` fields for hosts [first, last], one row each.
local function lines_of(first, last, fields, ms, value)
  local lines = {}
  for host = first, last do
    local parts = {}
    for field = 1, fields do parts[field] = ("f%d=%d"):format(field, value + field) end
    lines[#lines + 1] = ("m,host=host-%06d,region=eu-west-1,rack=%d %s %d000000"):format(host, host % 50, table.concat(parts, ","), ms)
  end
  return table.concat(lines, "\n") .. "\n"
end

local function count(db, match, from, to)
  local series, rows = 0, 0
  for one in assert(db:select(match, from, to)) do
    series, rows = series + 1, rows + tonumber(one.count)
  end
  return series, rows
end

describe("a database with little memory", function()
  after_each(module.cleanup)

  for _, threads in ipairs { 0, 2 } do
    it(("of 32 MB takes far more series than its cache holds, with %d threads"):format(threads), function()
      local db = module.open { memory_limit = "32MB", threads = threads, clock = "real" }
      local now = os.time() * 1000 - DAY
      local rows = 0
      for round = 0, 1 do
        for first = 0, 29999, 500 do rows = rows + assert(db:write("influx", lines_of(first, first + 499, 3, now + round * DAY / 2, round))) end
      end
      assert.are.equal(180000, rows)
      assert(db:flush())
      local stats = db:stats()
      assert.is_true(tonumber(stats.memory_peak) <= 32000000, tostring(stats.memory_peak))
      assert.are.equal(90000, tonumber(stats.series_created))
      local series, found = count(db, "m_f1")
      assert.are.same({ 30000, 60000 }, { series, found })
      assert.are.same({ 3, 6 }, { count(db, '{host="host-012345"}') })
      assert(db:close())
    end)
  end

  it("refuses with MEMORY what cannot fit, and goes on afterwards", function()
    local db = module.open { memory_limit = "12MB", threads = 0 }
    local handle = assert(db:series("s"))
    local ok, code = 0, nil
    for i = 1, 3000 do
      local times, values = {}, {}
      for k = 1, 1000 do times[k], values[k] = NOON - DAY + i * 1000 + k, k end
      local n, _, why = handle:add_columns(times, values, 1000)
      if n then ok = ok + n else code = why end
      if i == 300 then break end
    end
    assert.is_true(code == nil or code == "MEMORY", tostring(code))
    assert(db:flush())
    local _, rows = count(db, "s")
    assert.are.equal(ok, rows)
  end)

  it("keeps handles good when its numbers are given out anew", function()
    local db = module.open { memory_limit = "32MB", threads = 0 }
    local handle = assert(db:series('kept{a="b"}'))
    for i = 0, 59 do
      assert.is_true(handle:add(NOON + i, i))
      assert(db:write("influx", lines_of(i * 500, i * 500 + 499, 2, NOON + i, 0)))
    end
    assert.are.same({ 1, 60 }, { count(db, "kept") })
    assert.are.same({ 30000, 30000 }, { count(db, "m_f2") })
    assert(db:flush())
    assert.are.same({ 1, 60 }, { count(db, "kept") })
  end)
end)

describe("a line", function()
  after_each(module.cleanup)

  it("may have thousands of fields in any order", function()
    local db = module.open()
    local fields = {}
    for i = 1, 3000 do fields[i] = i end
    math.randomseed(native.seed("fields in any order"))
    for round = 1, 3 do
      for i = #fields, 2, -1 do
        local k = math.random(i)
        fields[i], fields[k] = fields[k], fields[i]
      end
      local words = {}
      for i, field in ipairs(fields) do words[i] = ("field_%d=%d"):format(field, field * 10 + round) end
      assert.are.equal(3000, assert(db:write("influx", ("wide,a=b %s %d000000\n"):format(table.concat(words, ","), NOON + round))))
    end
    local series = 0
    for one in assert(db:select('{a="b"}')) do
      local field = tonumber(one.metric:match("field_(%d+)"))
      assert.are.equal(3, tonumber(one.count))
      for i = 0, 2 do assert.are.equal(field * 10 + i + 1, one.values[i]) end
      series = series + 1
    end
    assert.are.equal(3000, series)
  end)
end)

describe("a step", function()
  after_each(module.cleanup)

  -- The promise is 5 ms, fsync left out. This library is built without optimisation and with
  -- asserts, perhaps with a sanitizer; what is measured is processor time, so that neither fsync nor other programs count.
  local CPU_MS_MAX = os.getenv("TSE_SANITIZED") and 50 or 5

  it("returns soon, also while millions of rows are merged", function()
    local db = module.open { threads = 0, clock = "real", flush = { visible = "100ms", durable = "300ms" } }
    local handles = {}
    for i = 1, 100 do handles[i] = assert(db:series(('load{id="%d"}'):format(i))) end
    local times, values = ffi.new("int64_t[1000]"), ffi.new("double[1000]")
    local longest, over, steps, base = 0, 0, 0, os.time() * 1000 - 10 * DAY
    local function step()
      local start = os.clock()
      local did = db:step()
      local ms = (os.clock() - start) * 1000
      longest = math.max(longest, ms)
      if ms > 5 then over = over + 1 end
      steps = steps + 1
      return did
    end
    for round = 0, 19 do
      for i = 1, 100 do
        for k = 0, 999 do times[k], values[k] = base + (round * 1000 + k) * 15000, (i * k) % 977 end
        assert(handles[i]:add_columns(times, values, 1000))
        step()
      end
    end
    assert(db:flush())
    local ticket = assert(db:force_merge { wait = false })
    local done
    while not done do
      step()
      for event in db:events() do done = done or (event.ticket == ticket and event.kind) end
    end
    assert.are.equal("done", done)
    assert.are.same({ 100, 2000000 }, { count(db, "load") })
    io.stderr:write(("%d steps, the longest took %.1f ms of the processor, %d more than 5 ms\n"):format(steps, longest, over))
    assert.is_true(longest <= CPU_MS_MAX, ("%.1f ms"):format(longest))
  end)
end)
