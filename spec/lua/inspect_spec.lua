--- Looking inside and working without threads: parts, stats, steps, tickets, events, snapshots, log.
local ffi = require("ffi")
local module = require("spec.support.module")
local process = require("spec.support.process")
local tsengine = module.tsengine
local NOON = module.NOON

local function fill(db, month_ms, n)
  local series = assert(db:series("m"))
  for i = 1, n do assert(series:add(month_ms + i, i)) end
end

describe("db:parts, partitions and stats", function()
  after_each(module.cleanup)

  it("tell what is stored where", function()
    local db = module.open()
    local october = NOON - 31 * 86400000
    fill(db, NOON, 1000)
    fill(db, october, 500)
    assert.is_true(db:flush())
    local partitions = db:partitions()
    assert.are.equal(2, #partitions)
    assert.are.equal("2026_10", partitions[1].name)
    assert.are.equal("2026_11", partitions[2].name)
    assert.are.equal(500, partitions[1].rows)
    assert.are.equal(1000, partitions[2].rows)
    assert.are.equal(0, partitions[2].raw_rows)
    assert.is_false(partitions[1].read_only)
    local parts = db:parts()
    local rows, ids = 0, {}
    for _, part in ipairs(parts) do
      rows = rows + part.rows
      assert.is_nil(ids[part.id])
      ids[part.id] = true
      assert.are.equal("small", part.tier)
      assert.is_true(part.bytes > 0 and part.blocks > 0 and #part.name > 0)
      assert.is_true(part.min_ms <= part.max_ms)
      assert.is_false(part.damaged)
      assert.is_true(part.verified)
    end
    assert.are.equal(1500, rows)
    local november = db:parts { partition = "2026_11" }
    assert.are.same(november, db:parts("2026_11"))
    assert.are.equal(NOON + 1, november[1].min_ms)
    assert.are.equal(NOON + 1000, november[#november].max_ms)
    assert.are.same({}, db:parts("2020_01"))
    assert.is_false(pcall(db.parts, db, { partition = "november" }))
    assert.is_false(pcall(db.parts, db, { part = "2026_11" }))
  end)

  it("count", function()
    local db = module.open()
    fill(db, NOON, 100)
    local stats = db:stats()
    assert.are.equal(100, stats.rows_added)
    assert.are.equal(1, stats.series_created)
    assert.are.equal(100, stats.pending_rows)
    assert.are.equal(0, stats.threads)
    assert.are.equal("single", stats.layout)
    assert.is_false(stats.read_only)
    assert.is_false(stats.no_space)
    assert.are.same({}, stats.damaged)
    assert.is_true(stats.memory_used_now > 0 and stats.memory_used_now <= stats.memory_limit)
    db:flush()
    stats = db:stats()
    assert.are.equal(0, stats.pending_rows)
    assert.are.equal(100, stats.rows_small_now)
    assert.is_true(stats.fsyncs > 0 and stats.bytes_written > 0 and stats.open_files_now > 0)
    for name, value in pairs(stats) do
      assert.is_truthy(type(value) == "number" or name == "layout" or name == "read_only" or name == "no_space" or name == "damaged", name)
    end
  end)

  it("show in the handle's text", function()
    local db, _, path = module.open()
    fill(db, NOON, 100)
    assert.are.equal(("tsengine.db: %s (open, 100 rows, 0 parts)"):format(path), tostring(db))
    db:close()
    assert.are.equal(("tsengine.db: %s (closed)"):format(path), tostring(db))
  end)

  it("name a part that was damaged on disk, and answers say what is missing", function()
    local db, clock, path = module.open()
    fill(db, NOON, 1000)
    db:flush()
    local name = db:parts()[1].name
    db:close()
    local file = assert(io.open(("%s/data/small/2026_11/%s/index.bin"):format(path, name), "r+b"))
    file:seek("set", 3)
    file:write("damage")
    file:close()
    file = assert(io.open(("%s/data/small/2026_11/%s/metaindex.bin"):format(path, name), "r+b"))
    file:seek("set", 3)
    file:write("damage")
    file:close()
    db = module.open { path = path, clock = clock }
    local damaged = db:stats().damaged
    assert.are.equal(1, #damaged)
    assert.matches(name, damaged[1], 1, true)
    local iterator = db:select("m")
    while iterator() do end -- luacheck: ignore
    assert.are.equal(1, #iterator.partial)
    assert.matches(name, iterator.partial[1], 1, true)
    assert.is_true(db:add("m", NOON + 5000, 1))
    assert.is_true(db:flush())
  end)

  it("name a damaged part of the index, whose series no answer has", function()
    local db, clock, path = module.open()
    fill(db, NOON, 10)
    db:close()
    local part = process.output(("cd %s && ls -d indexdb/*/*_*"):format(process.quote(path))):gsub("%s+$", "")
    assert.is_nil(part:find("\n"))
    local file = assert(io.open(path .. "/" .. part .. "/metaindex.bin", "w"))
    file:close()
    for _, read_only in ipairs { true, false } do
      db = module.open { path = path, clock = clock, read_only = read_only }
      local stats = db:stats()
      assert.are.same({ part }, stats.damaged)
      assert.is_true(stats.read_only)
      local iterator = db:select("m")
      assert.is_nil(iterator())
      assert.are.same({ part }, iterator.partial)
      local ok, _, code = db:add("n", NOON, 1)
      assert.is_nil(ok)
      assert.are.equal("READONLY", code)
      db:close()
    end
  end)
end)

describe("threads = 0", function()
  after_each(module.cleanup)

  it("does nothing by itself and everything by step", function()
    local db, clock = module.open { flush = { visible = "1s", durable = "5s" } }
    fill(db, NOON, 100)
    assert.are.equal(0, #db:parts())
    local worked, next_ms = db:step()
    assert.is_boolean(worked)
    assert.is_true(next_ms == nil or next_ms <= 5000)
    for _ = 1, 20 do
      clock:advance("500ms")
      while db:step() do end -- luacheck: ignore
    end
    local parts = db:parts()
    assert.are.equal(1, #parts)
    assert.are.equal("small", parts[1].tier)
    assert.are.equal(100, parts[1].rows)
    assert.is_false(pcall(db.step, db, -1))
    assert.is_false(pcall(db.step, db, "x"))
    worked = db:step(1000)
    assert.is_false(worked)
  end)

  it("ends tickets in events", function()
    local db, clock = module.open()
    fill(db, NOON, 1000)
    db:flush()
    fill(db, NOON + 1000, 1000)
    local tickets = {
      flush = assert(db:flush { wait = false }),
    }
    local ended = {}
    local function run()
      for _ = 1, 200 do
        db:step(1000)
        clock:advance("50ms")
        for event in db:events() do
          assert.is_string(event.kind)
          assert.is_number(event.at_ms)
          if event.ticket then ended[event.ticket] = event end
        end
      end
    end
    run()
    assert.is_truthy(ended[tickets.flush])
    assert.is_nil(ended[tickets.flush].code)
    assert.are.equal(0, db:stats().pending_rows)
    tickets.merge = assert(db:force_merge { wait = false })
    run()
    assert.is_truthy(ended[tickets.merge])
    assert.are.equal(1, #db:parts())
    local ticket, name, path = db:snapshot(nil, { wait = false })
    assert.is_number(ticket)
    run()
    assert.is_truthy(ended[ticket])
    assert.are.same({ name }, db:snapshots())
    assert.matches(name, path, 1, true)
    assert.is_true(tickets.flush ~= tickets.merge and tickets.merge ~= ticket)
  end)

  it("gives the same rows, answers and counts as threads", function()
    local answers = {}
    for _, threads in ipairs { 0, 1, 4 } do
      local db, clock = module.open { threads = threads, flush = { visible = "5ms", durable = "20ms" } }
      local lines = {}
      for i = 1, 30000 do
        lines[#lines + 1] = ('m{i="%d"} %.2f %d\n'):format(i % 300, (i * 7919) % 10007 / 100, NOON - (i * 31) % 86400000)
        if i % 3000 == 0 then
          assert.are.equal(3000, (db:write("prometheus", table.concat(lines))))
          lines = {}
          clock:advance("10ms")
          if threads == 0 then db:step(2000) end
        end
      end
      db:delete('m{i=~"1.*"}')
      if threads == 1 then db:flush() end
      if threads == 4 then assert(db:force_merge()) end
      if threads == 4 then assert.is_number(db:force_merge("2026_11")) end
      local all = module.rows(db, "m", NOON - 80000000, NOON - 1000)
      -- Rows of one millisecond have no order among themselves.
      for _, rows in pairs(all) do
        table.sort(rows, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
      end
      answers[#answers + 1] = { rows = all, names = db:series_names(), values = db:label_values("i") }
      db:close()
    end
    assert.are.same(answers[1], answers[2])
    assert.are.same(answers[1], answers[3])
  end)
end)

describe("a log function", function()
  after_each(module.cleanup)

  it("gets messages from calls, may use the database, and cannot break the caller", function()
    local db, clock, path = module.open()
    fill(db, NOON, 1000)
    db:flush()
    local name = db:parts()[1].name
    db:close()
    local file = assert(io.open(("%s/data/small/2026_11/%s/metaindex.bin"):format(path, name), "r+b"))
    file:write("damaged damaged")
    file:close()
    local messages, handle = {}, nil
    handle = module.open {
      path = path, clock = clock,
      log = function(level, message)
        messages[#messages + 1] = level .. ": " .. message
        if handle then handle:stats() end
      end,
    }
    handle:step()
    handle:flush()
    local text = table.concat(messages, "\n")
    assert.matches(name, text, 1, true)
    assert.is_truthy(text:find("^warning: ") or text:find("^error: ") or text:find("\nwarning: ") or text:find("\nerror: "))
    assert.is_true(handle:close())
  end)
end)

describe("snapshots", function()
  after_each(module.cleanup)

  it("are directories that open as databases", function()
    local db, clock = module.open()
    fill(db, NOON, 1000)
    local name, path = db:snapshot()
    assert.matches("^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%-%x+$", name)
    assert.are.equal("/", path:sub(1, 1))
    fill(db, NOON + 1000, 1000)
    assert.are.same({ name }, db:snapshots())
    local copy = module.directory() .. "/copy"
    process.output(("cp -rL %s %s"):format(process.quote(path), process.quote(copy)))
    local snapshot = module.open { path = copy, clock = clock }
    assert.are.equal(1000, #module.rows(snapshot, "m").m)
    snapshot:close()
    local other = db:snapshot("20261105120000-1A2B")
    assert.are.equal("20261105120000-1A2B", other)
    assert.are.equal(2, #db:snapshots())
    local again, _, code = db:snapshot("20261105120000-1A2B")
    assert.is_nil(again)
    assert.is_string(code)
    for _, wrong in ipairs { "my snapshot", "20261105120001-1A2B\0" } do
      again, _, code = db:snapshot(wrong)
      assert.is_nil(again)
      assert.are.equal("FORMAT", code)
    end
    again, _, code = db:delete_snapshot(other .. "\0")
    assert.is_nil(again)
    assert.are.equal("FORMAT", code)
    assert.is_true(db:delete_snapshot(other))
    assert.are.same({ name }, db:snapshots())
    again, _, code = db:delete_snapshot(other)
    assert.is_nil(again)
    assert.are.equal("NOTFOUND", code)
    again, _, code = db:delete_snapshot("../data")
    assert.is_nil(again)
    assert.is_string(code)
    assert.are.equal(2000, #module.rows(db, "m").m)
  end)
end)

describe("a manual clock", function()
  it("stands until it is moved", function()
    local clock = tsengine.clock.manual(1000)
    assert.are.equal(1000, clock:now())
    assert.are.equal(6000, clock:advance("5s"))
    assert.are.equal(6007, clock:advance(7))
    assert.are.equal(6007, clock:now())
    assert.are.equal(3, clock:set(3.9))
    assert.are.equal(4, clock:set(4LL))
    assert.are.equal(NOON, tsengine.clock.manual(ffi.cast("int64_t", NOON)):now())
    clock:set(3)
    assert.matches("3 ms", tostring(clock), 1, true)
    assert.is_false(pcall(tsengine.clock.manual))
    assert.is_false(pcall(tsengine.clock.manual, 0 / 0))
    assert.is_false(pcall(clock.advance, clock, "soon"))
  end)

  it("is kept alive by the database that uses it", function()
    local db = module.open { clock = tsengine.clock.manual(NOON) }
    collectgarbage()
    collectgarbage()
    db:add("m", nil, 1)
    assert.are.equal(NOON, module.rows(db, "m").m[1][1])
    module.cleanup()
  end)
end)
