--- The life of an index: restarts, days, deletions, generations.
local ffi = require("ffi")
local s = require("spec.index.index_support")
local process = require("spec.support.process")
local native = require("spec.support.native")

local READONLY, LIMIT, NOTFOUND = 7, 9, 16

local function series(name, ...)
  local labels = { { "__name__", name } }
  for i = 1, select("#", ...), 2 do labels[#labels + 1] = { select(i, ...), (select(i + 1, ...)) } end
  return labels
end

local function list(path)
  local names = {}
  for name in process.output("ls -A " .. process.quote(path)):gmatch("[^\n]+") do names[#names + 1] = name end
  return names
end

--- How many items of a kind a generation holds.
local function count_kinds(index, which)
  local kinds = { [0] = 0, 0, 0, 0, 0, 0, 0 }
  for _, item in ipairs(index:items(which)) do kinds[item:byte()] = kinds[item:byte()] + 1 end
  return kinds
end

describe("an index", function()
  teardown(s.cleanup)

  it("gives dense ids that begin at the clock, and a name always the same", function()
    local index = assert(s.open())
    local first, created = index:register(series("a"))
    assert.is_true(created)
    assert.equal(s.NOW * 1000000ULL + 1, first)
    assert.equal(first + 1, (index:register(series("b"))))
    local again, new = index:register(series("a"))
    assert.equal(first, again)
    assert.is_false(new)
    assert.equal(first, index:find(series("a")))
    assert.is_nil(index:find(series("c")))
    index:close()
  end)

  it("finds series at once, and after a restart those that were flushed", function()
    local index = assert(s.open())
    local kept = index:register(series("kept", "job", "x"))
    assert.equal(1, #index:search("kept"))
    index:flush()
    index:register(series("lost", "job", "x"))
    assert.equal(1, #index:search("lost", s.NOW, s.NOW))
    assert.is_true(index:stat("durable_seq") < index:stat("last_seq"))
    index:reopen()
    assert.equal(1, #index:search('{job="x"}'))
    assert.equal(kept, index:find(series("kept", "job", "x")))
    local id, created = index:register(series("kept", "job", "x"))
    assert.equal(kept, id)
    assert.is_false(created)
    index:close()
  end)

  it("makes things durable by deadline, without a flush", function()
    local index = assert(s.open())
    index:register(series("a"))
    index:set_clock(s.NOW + 999)
    index:work()
    assert.equal(0, index:stat("durable_seq"))
    index:set_clock(s.NOW + 1000)
    index:work()
    index:set_clock(s.NOW + 5000)
    assert.is_true(index:stat("next_tick_ms") <= s.NOW + 5000)
    index:work()
    assert.equal(index:stat("last_seq"), index:stat("durable_seq"))
    index:close()
  end)

  it("issues ids above every one on disk, also when the clock goes back", function()
    local index = assert(s.open())
    local ids = {}
    for i = 1, 300 do ids[i] = index:register(series("a", "n", tostring(i))) end
    index:delete { ids[300] }
    index:flush()
    index:reopen { now = s.NOW - s.DAY }
    assert.equal(ids[300] + 1, (index:register(series("b"))))
    index:flush()
    index:reopen { now = s.NOW + s.DAY }
    assert.equal((s.NOW + s.DAY) * 1000000ULL + 1, (index:register(series("c"))))
    index:close()
  end)

  it("issues them above those of all tenants", function()
    local index = assert(s.open(nil, { layout = "cluster", now = s.NOW }))
    index:register(series("a"), s.TODAY, { 0, 0 })
    local last = index:register(series("a"), s.TODAY, { 4294967295, 4294967295 })
    index:flush()
    index:reopen { now = s.NOW - s.DAY }
    assert.equal(last + 1, (index:register(series("a"), s.TODAY, { 1, 2 })))
    assert.equal(1, #index:search("a", nil, nil, { tenant = { 4294967295, 4294967295 } }))
    assert.equal(0, #index:search("a", nil, nil, { tenant = { 5, 0 } }))
    index:close()
  end)

  it("refuses more series than the limit", function()
    local index = assert(s.open())
    for i = 1, 10 do index:register(series("a", "n", tostring(i))) end
    assert.equal(10, #index:search("a", nil, nil, { limit = 10 }))
    local found, message, code = index:search("a", nil, nil, { limit = 9 })
    assert.is_nil(found)
    assert.equal(LIMIT, code)
    assert.matches("10 series", message)
    assert.same({ "1", "10", "2" }, index:values("n", nil, nil, nil, { limit = 3 }))
    index:close()
  end)

  describe("day by day", function()
    it("knows which series were there, and registers a day once", function()
      local index = assert(s.open())
      local id = index:register(series("a"), s.TODAY)
      index:register(series("b"), s.TODAY - 1)
      local noon = s.NOW
      assert.same({ s.key(series("a")) }, index:keys('{__name__=~"a|b"}', noon, noon))
      assert.same({ s.key(series("b")) }, index:keys('{__name__=~"a|b"}', noon - s.DAY, noon - s.DAY))
      assert.equal(2, #index:keys("{}", noon - s.DAY, noon))
      assert.equal(0, #index:keys("{}", noon + s.DAY, noon + s.DAY))
      assert.equal(2, #index:keys("{}", noon - 43 * s.DAY, noon - 2 * s.DAY), "more than 40 days are global")
      assert.equal(0, #index:keys("{}", noon - 30 * s.DAY, noon - 2 * s.DAY))
      index:register_date(id, s.TODAY - 1)
      assert.equal(2, #index:keys("{}", noon - s.DAY, noon - s.DAY))
      index:flush()
      local before = index:stat("dates_registered")
      assert.equal(3, before)
      for _ = 1, 3 do index:register(series("a"), s.TODAY) end
      index:register_date(id, s.TODAY - 1)
      assert.equal(before, index:stat("dates_registered"))
      index:reopen()
      index:register(series("a"), s.TODAY)
      index:register_date(id, s.TODAY - 1)
      assert.equal(0, index:stat("dates_registered"), "the days are read from disk")
      index:register_date(id, s.TODAY + 1)
      assert.equal(1, index:stat("dates_registered"))
      index:flush()
      local kinds = count_kinds(index, 0)
      assert.equal(4, kinds[5])
      assert.equal(2, kinds[0])
      assert.equal(2, kinds[3])
      index:close()
    end)

    it("includes the last millisecond of the range", function()
      local index = assert(s.open())
      index:register(series("midnight"), s.TODAY)
      local midnight = s.TODAY * s.DAY
      assert.equal(1, #index:search("midnight", midnight - 1000, midnight))
      assert.equal(0, #index:search("midnight", midnight - 1000, midnight - 1))
      index:close()
    end)

    it("remembers thousands of days of a backfill", function()
      local index = assert(s.open(nil, { staging = 500 }))
      local id = index:register(series("old"), 1)
      index:register(series("other"), 1)
      for day = 2, 5000 do index:register_date(id, day) end
      for day = 2, 5000, 7 do index:register_date(id, day) end
      assert.equal(5001, index:stat("dates_registered"))
      index:flush()
      assert.equal(1, #index:search("{}", 3000 * s.DAY, 3000 * s.DAY))
      assert.equal(2, #index:search("{}", 1 * s.DAY, 5000 * s.DAY))
      index:close()
    end)
  end)

  describe("after a deletion", function()
    it("hides the series everywhere and for ever", function()
      local index = assert(s.open())
      local gone = index:register(series("gone", "only", "here", "job", "x"))
      index:register(series("stays", "job", "x"))
      local epoch = index:stat("epoch")
      index:delete { gone }
      assert.is_true(index:stat("epoch") > epoch)
      for round = 1, 3 do
        assert.same({ s.key(series("stays", "job", "x")) }, index:keys('{job="x"}'))
        assert.same({ "__name__", "job" }, index:labels())
        assert.same({ "__name__", "job" }, index:labels("{}"))
        assert.same({}, index:values("only"))
        assert.same({ "stays" }, index:values("__name__"))
        assert.is_nil(index:find(series("gone", "only", "here", "job", "x")))
        assert.equal(1, index:stat("deleted_ids"))
        if round == 1 then index:flush() else index:force_merge() end
        index:reopen()
      end
      local id, created = index:register(series("gone", "only", "here", "job", "x"))
      assert.is_true(created)
      assert.is_true(id > gone)
      assert.same({ "here" }, index:values("only"))
      index:flush()
      index:reopen()
      assert.equal(id, index:find(series("gone", "only", "here", "job", "x")))
      index:close()
    end)

    it("is gone after a crash before the flush, and there after one behind it", function()
      local index = assert(s.open())
      local id = index:register(series("a"))
      index:flush()
      index:delete { id }
      assert.is_true(index:stat("durable_seq") < index:stat("last_seq"))
      index:reopen()
      assert.equal(1, #index:search("a"))
      index:delete { id, id, id }
      index:delete { id }
      index:flush()
      index:reopen()
      assert.equal(0, #index:search("a"))
      assert.equal(1, count_kinds(index, 0)[4])
      index:close()
    end)

    it("does not register days of the deleted series", function()
      local index = assert(s.open())
      local id = index:register(series("a"))
      local rc
      -- as a writer would that looked the series up before the deletion
      local key = s.pack(series("a"))
      assert(key)
      index:delete { id }
      rc = pcall(index.register_date, index, id, s.TODAY + 1)
      assert.is_false(rc)
      assert.equal(0, #index:search("a", s.NOW + s.DAY, s.NOW + s.DAY))
      assert.is_number(NOTFOUND)
      index:close()
    end)
  end)

  describe("has generations", function()
    local hex = "^%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x$"

    it("two from the start", function()
      local root = s.scratch() .. "/deep/indexdb"
      local index = assert(s.open(root))
      local names = list(root)
      assert.equal(2, #names)
      for _, name in ipairs(names) do
        assert.matches(hex, name)
        assert.equal("ok", process.output(("cat '%s/%s/converted-to-v1.28.0'"):format(root, name)))
      end
      index:close()
      index = assert(s.open(root))
      assert.same(names, list(root))
      index:close()
    end)

    it("of which a lonely one becomes the previous one, and more than two are cut", function()
      local root = s.scratch() .. "/indexdb"
      local index = assert(s.open(root))
      index:register(series("a"))
      index:flush()
      index:close()
      local names = list(root)
      process.remove_tree(root .. "/" .. names[1])
      os.execute(("mkdir '%s/18e9b8' '%s/00000000000000AA' && touch '%s/0000000000000001'"):format(root, root, root))
      os.execute(("rmdir '%s/00000000000000AA'"):format(root))
      index = assert(s.open(root))
      assert.equal(1, #index:search("a"))
      assert.equal(0, #index:items(0))
      assert.is_true(#index:items(1) > 0)
      index:close()
      os.execute(("mkdir '%s/0000000000000003' '%s/0000000000000002'"):format(root, root))
      index = assert(s.open(root))
      assert.equal(1, #index:search("a"))
      index:close()
      local after = list(root)
      assert.equal(4, #after) -- two generations, and the two names that are none of ours
    end)

    it("and re-registers a series completely in a new one", function()
      local index = assert(s.open(nil, { retention = 30 * s.DAY }))
      local id = index:register(series("a", "job", "x"))
      local other = index:register(series("b", "job", "x"))
      index:register(series("c", "job", "x"))
      local epoch = index:stat("epoch")
      local deadline = math.ceil(s.NOW / (30 * s.DAY)) * 30 * s.DAY + 4 * 3600000
      index:set_clock(deadline - 1)
      index:work()
      assert.equal(0, index:stat("rotations"))
      index:set_clock(deadline)
      index:work()
      assert.equal(1, index:stat("rotations"))
      assert.is_true(index:stat("epoch") > epoch)
      assert.equal(0, #index:items(0))
      assert.equal(3, #index:search('{job="x"}'))
      local today = math.floor(deadline / s.DAY)
      local same, created = index:register(series("a", "job", "x"), today)
      assert.equal(id, same)
      assert.is_false(created)
      index:register_date(other, today) -- a writer that kept the TSID
      local kinds = count_kinds(index, 0)
      assert.same({ 2, 2, 2, 2 }, { kinds[0], kinds[2], kinds[3], kinds[5] })
      index:register_date(other, today + 1)
      index:register(series("a", "job", "x"), today + 1)
      kinds = count_kinds(index, 0)
      assert.same({ 2, 2, 2, 4 }, { kinds[0], kinds[2], kinds[3], kinds[5] })
      assert.equal(3, #index:search('{job="x"}'))
      index:delete { id }
      assert.equal(1, count_kinds(index, 0)[4])
      assert.equal(1, count_kinds(index, 1)[4])
      index:flush()
      index:reopen { now = deadline }
      assert.equal(2, #index:search('{job="x"}'))
      assert.is_nil(index:find(series("a", "job", "x")))

      index:set_clock(deadline + 30 * s.DAY)
      index:work()
      assert.equal(2, #list(index.root))
      -- c was not seen since the first rotation
      assert.same({ s.key(series("b", "job", "x")) }, index:keys('{job="x"}'))
      index:close()
    end)

    it("survives rotations that fail again and again", function()
      local index = assert(s.open(nil, { retention = 30 * s.DAY }))
      index:register(series("a", "job", "x"))
      index:flush()
      local root, before = index.root, list(index.root)
      local deadline = math.ceil(s.NOW / (30 * s.DAY)) * 30 * s.DAY + 4 * 3600000
      -- the name of the fresh generation, for all attempts; a lock that is a directory makes its opening fail half-way
      local ns = ffi.cast("uint64_t", deadline) * 1000000
      local name = ("%08X%08X"):format(tonumber(ns / 2 ^ 32), tonumber(ns % 2 ^ 32))
      for attempt = 0, 2 do
        index:set_clock(deadline + attempt * 60000)
        os.execute(("mkdir -p '%s/%s/flock.lock/in'"):format(root, name))
        assert.is_true(s.lib.tt_index_work(index.handle) ~= 0)
        assert.same(before, list(root))
      end
      index:set_clock(deadline + 4 * 60000)
      index:work()
      assert.equal(1, index:stat("rotations"))
      index:reopen { now = deadline + 5 * 60000 }
      assert.equal(1, #index:search("a"))
      index:close()
    end)

    it("reads items that a peer split between them", function()
      -- per-day items in the current generation, the series itself only in the previous one (index format 2.2)
      local index = assert(s.open(nil, { retention = 30 * s.DAY }))
      index:register(series("a"), s.TODAY)
      index:flush()
      local root = index.root
      local names = list(root)
      index:close()
      local fresh = ("%016X"):format(0) -- built by hand: rename the generations so that an empty one is the newest
      assert(fresh)
      os.execute(("mv '%s/%s' '%s/0000000000000002' && mv '%s/%s' '%s/0000000000000001'"):format(root, names[2], root, root, names[1], root))
      process.remove_tree(root .. "/0000000000000001")
      index = assert(s.open(root))
      assert.equal(1, #index:search("a", s.NOW, s.NOW))
      local id = index:find(series("a"))
      assert.equal(id, (index:register(series("a"), s.TODAY)))
      assert.equal(1, count_kinds(index, 0)[2])
      index:close()
    end)
  end)

  describe("opened read-only", function()
    it("answers, and changes nothing", function()
      local index = assert(s.open())
      index:register(series("a"))
      index:flush()
      index:close()
      local before = process.output("cd '" .. index.root .. "' && find . -type f -exec md5sum {} + | sort && find . | sort")
      local reader = assert(s.open(index.root, { read_only = true, retention = s.DAY, now = s.NOW + 300 * s.DAY }))
      assert.equal(1, #reader:search("a"))
      local ok, message = pcall(reader.register, reader, series("b"))
      assert.is_false(ok)
      assert.matches("code " .. READONLY, message)
      assert.is_false((pcall(reader.delete, reader, { 1 })))
      reader:work()
      assert.equal(1, reader:stat("read_only"))
      reader:close()
      assert.equal(before, process.output("cd '" .. index.root .. "' && find . -type f -exec md5sum {} + | sort && find . | sort"))
    end)

    it("is empty where there is no index", function()
      local reader = assert(s.open(s.scratch() .. "/nothing", { read_only = true }))
      assert.equal(0, #reader:search("a"))
      assert.same({}, reader:labels())
      assert.same({}, reader:labels("{}"))
      assert.is_nil(reader:find(series("a")))
      reader:close()
    end)
  end)

  it("tells the layout of a directory", function()
    local layout, known = ffi.new("int[1]"), ffi.new("bool[1]")
    for want, name in pairs { [0] = "single", [1] = "cluster" } do
      local index = assert(s.open(nil, { layout = name }))
      index:close()
      s.check(s.lib.tt_index_detect(index.root, layout, known))
      assert.is_false(known[0])
      index = assert(s.open(index.root, { layout = name }))
      index:register(series("a"))
      index:flush()
      index:close()
      s.check(s.lib.tt_index_detect(index.root, layout, known))
      assert.is_true(known[0])
      assert.equal(want, layout[0])
    end
    s.check(s.lib.tt_index_detect("/nonexistent/indexdb", layout, known))
    assert.is_false(known[0])
  end)

  it("can be snapshotted", function()
    local index = assert(s.open())
    index:register(series("a"))
    index:flush()
    local path = s.scratch() .. "/snapshot"
    index:snapshot(path)
    index:register(series("b"))
    index:flush()
    index:close()
    local copy = assert(s.open(path))
    assert.equal(1, #copy:search("{}"))
    copy:close()
  end)

  it("learns all names on disk from lookups that find nothing, and loses none", function()
    local index = assert(s.open(nil, { staging = 300 }))
    local ids = {}
    for i = 1, 3000 do ids[i] = index:register(series("m" .. i % 7, "n", tostring(i))) end
    index:flush()
    index:reopen()
    assert.equal(0, index:stat("filter_complete"))
    for i = 1, 40 do assert.is_true(select(2, index:register(series("new", "n", tostring(i))))) end
    assert.equal(1, index:stat("filter_complete"))
    for i = 1, 3000 do
      local id, created = index:register(series("m" .. i % 7, "n", tostring(i)))
      assert(not created and id == ids[i], "series " .. i .. " is known")
    end
    for i = 1, 40 do assert.is_false(select(2, index:register(series("new", "n", tostring(i))))) end
    index:close()
  end)

  it("with a damaged part takes no new series, since it may have lost their names", function()
    local index = assert(s.open())
    index:register(series("a"))
    index:flush()
    index:register(series("b"))
    index:flush()
    index:close()
    local part = process.output(("ls -d '%s'/*/*_*_* | head -1"):format(index.root)):gsub("%s+$", "")
    os.execute(("printf x > '%s/index.bin'"):format(part))
    index = assert(s.open(index.root))
    assert.equal(1, index:stat("read_only"))
    local ok, message = pcall(index.register, index, series("c"))
    assert.is_false(ok)
    assert.matches("code " .. READONLY, message)
    assert.is_false((pcall(index.delete, index, { 1 })))
    assert.is_true(#(index:search("{}") or {}) <= 2)
    index:close()
  end)

  it("survives memory that ends at any moment", function()
    local index = assert(s.open(nil, { staging = 40 }))
    math.randomseed(native.seed("index memory"))
    local known, refused = {}, 0
    for i = 1, 600 do
      index:fail_memory(math.random(0, 30))
      local labels = series("m" .. i % 3, "n", tostring(i), "job", "j" .. i % 5)
      local ok = pcall(index.register, index, labels)
      if ok then known[#known + 1] = labels else refused = refused + 1 end
      if i % 20 == 0 then
        pcall(index.search, index, '{job=~"j[12].*",n!="x"}', s.NOW, s.NOW)
        index:fail_memory(math.random(0, 60))
        pcall(index.labels, index)
        index:fail_memory(math.random(0, 60))
        pcall(index.delete, index, { 1 })
        index:fail_memory(math.random(0, 60))
        pcall(index.work, index)
      end
    end
    index:fail_memory(-1)
    assert.is_true(refused > 0)
    index:set_clock(s.NOW + 5000) -- what failed is tried again after a second
    index:flush()
    for _, labels in ipairs(known) do assert(index:find(labels), "a registered series is known") end
    index:reopen()
    for _, labels in ipairs(known) do
      assert(index:find(labels), "and after a restart")
      assert.equal(1, #index:search(('{n="%s"}'):format(labels[2][2]), s.NOW, s.NOW))
    end
    for n = 0, 60 do -- opening
      index:close()
      local again
      local handle = s.open(index.root, { now = s.NOW })
      again = assert(handle)
      index.handle = again.handle
      index:fail_memory(n)
      pcall(index.reopen, index)
      if index.handle == nil then index.handle = assert(s.open(index.root)).handle end
    end
    index:fail_memory(-1)
    index:close()
  end)
end)
