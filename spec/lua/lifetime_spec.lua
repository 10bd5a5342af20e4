--- Ends of every kind: closed, closed twice, collected, forked, killed.
local ffi = require("ffi")
local module = require("spec.support.module")
local process = require("spec.support.process")
local tsengine = module.tsengine
local NOON = module.NOON

pcall(ffi.cdef, "int fork(void); void _exit(int code);")

describe("a closed database", function()
  after_each(module.cleanup)

  it("raises for every call, at the caller's line", function()
    local db = module.open()
    local series = assert(db:series("m"))
    local iterator = assert(db:select("m"))
    assert.is_true(db:close())
    local calls = {
      function() db:add("m", NOON, 1) end, function() db:series("m") end, function() db:write("influx", "m v=1") end,
      function() db:import("influx", "x") end, function() db:select("m") end, function() db:series_names() end,
      function() db:labels() end, function() db:label_values("a") end, function() db:delete("m") end, function() db:flush() end,
      function() db:force_merge() end, function() db:snapshot() end, function() db:snapshots() end,
      function() db:delete_snapshot("x") end, function() db:parts() end, function() db:partitions() end,
      function() db:stats() end, function() db:step() end, function() db:events() end, function() db:event_fd() end,
      function() series:add(NOON, 1) end, function() series:add(nil, 1) end, function() series:add_columns({ NOON }, { 1 }) end,
      function() iterator() end,
    }
    for i, call in ipairs(calls) do
      local ok, message = pcall(call)
      assert.is_false(ok, "call " .. i)
      assert.matches("closed", tostring(message), 1, true)
      assert.matches("lifetime_spec.lua:%d+: ", tostring(message), nil)
    end
    assert.matches("closed", tostring(db), 1, true)
    assert.matches("closed", tostring(series), 1, true)
  end)

  it("is not what a call with a dot is told", function()
    local db = module.open()
    local series = assert(db:series("m"))
    assert.is_true(series:add(NOON, 1))
    local found = db:select("m")()
    for i, call in ipairs {
      function() db.add("m", NOON, 1) end, function() db.select("m") end, function() db.flush() end, function() db.close() end,
      function() series.add(NOON, 1) end, function() series.add_columns({ NOON }, { 1 }) end, function() found.points() end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok, "call " .. i)
      assert.matches("lifetime_spec.lua:%d+: .*with a colon", message)
    end
  end)

  it("may be closed again", function()
    local db = module.open()
    assert.is_true(db:close())
    assert.is_true(db:close())
  end)

  it("keeps what was accepted, without a flush before", function()
    local db, clock, path = module.open()
    for i = 1, 500 do db:add(('m{i="%d"}'):format(i), NOON + i, i) end
    assert.is_true(db:close())
    db = module.open { path = path, clock = clock }
    assert.are.equal(500, #db:series_names())
  end)

  it("leaves objects that may be collected in any order", function()
    for _ = 1, 20 do
      local db = module.open()
      do
        local series, query = db:series("m"), db:select("m")
        assert.is_truthy(series and query)
      end
      db:close()
      collectgarbage()
    end
  end)
end)

describe("a database that is collected", function()
  after_each(module.cleanup)

  it("is closed: its rows are durable and the directory is free", function()
    local path = module.directory() .. "/db"
    do
      local db = assert(tsengine.open { path = path, threads = 2 })
      db:add("m", nil, 5)
    end
    collectgarbage()
    collectgarbage()
    local db = assert(tsengine.open(path))
    assert.are.equal(5, module.rows(db, "m").m[1][2])
    db:close()
  end)

  it("is kept by its series and its queries", function()
    local path = module.directory() .. "/db"
    local series, iterator
    do
      local db = assert(tsengine.open { path = path, threads = 0 })
      series = db:series("m")
      series:add(nil, 1)
      iterator = db:select("m")
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(series:add(nil, 2))
    assert.are.equal(1, iterator().count)
    assert.is_true(series.db:close())
  end)

  it("frees queries that were dropped, before their memory is missing", function()
    local db = module.open { memory_limit = "40MB" }
    for i = 1, 500 do assert(db:add({ __name__ = "m", i = tostring(i) }, NOON, i)) end
    for _ = 1, 3000 do
      local iterator = assert(db:select("m"))
      assert.is_truthy(iterator())
    end
    -- Those that are kept are not: each still answers.
    local kept = {}
    for i = 1, 100 do kept[i] = assert(db:select('m{i="7"}')) end
    for i = 1, 100 do assert.are.equal(7, kept[i]().values[0]) end
  end)

  it("frees a thousand handles", function()
    local db = module.open()
    local before
    for round = 1, 3 do
      for i = 1, 1000 do
        db:series(('m{i="%d"}'):format(i))
        assert.is_truthy(db:select("m"))
      end
      collectgarbage()
      collectgarbage()
      local live = db:stats().live_allocations_now
      if round == 2 then before = live end
      if round == 3 then assert.is_true(live <= before + 50, ("%d allocations, then %d"):format(before, live)) end
    end
  end)
end)

describe("a forked child", function()
  after_each(module.cleanup)

  it("gets FORKED for every call, and its end leaves the parent's database alone", function()
    local code, output = module.run([[
      local ffi = require("ffi")
      ffi.cdef("int fork(void); void _exit(int code); int waitpid(int pid, int *status, int options);")
      local tsengine = require("tsengine")
      local db = assert(tsengine.open { path = arg[1], threads = 2 })
      local series = assert(db:series("s"))
      assert(db:add("m", nil, 1))
      local pid = ffi.C.fork()
      if pid == 0 then
        local bad = 0
        local function forked(value, message, code)
          if value ~= nil or code ~= "FORKED" or not message:find("^FORKED: ") then bad = bad + 1 end
        end
        forked(db:add("m", nil, 2))
        forked(series:add(nil, 2))
        forked(db:write("prometheus", "m 2"))
        forked(db:select("m"))
        forked(db:series_names())
        forked(db:flush())
        forked(db:force_merge())
        forked(db:step())
        db:close()
        ffi.C._exit(bad)
      end
      local status = ffi.new("int[1]")
      ffi.C.waitpid(pid, status, 0)
      print("status", status[0])
      assert(db:add("m", nil, 3))
      assert(series:add(nil, 3))
      assert(db:flush())
      local rows = 0
      for s in db:select() do rows = rows + s.count end
      print("rows", rows)
      print(db:close())
    ]], module.directory() .. "/db")
    assert.are.equal(0, code, output)
    assert.matches("status\t0\n", output, 1, true)
    assert.matches("rows\t3\n", output, 1, true)
    assert.matches("true\n", output, 1, true)
  end)
end)

describe("a process that ends without close", function()
  after_each(module.cleanup)

  local PROGRAM = [[
    local ffi = require("ffi")
    ffi.cdef("int usleep(unsigned us); int kill(int pid, int signal); int getpid(void);")
    local tsengine = require("tsengine")
    local db = assert(tsengine.open { path = arg[1], threads = 3, flush = { visible = "10ms", durable = "20ms" } })
    assert(db:add("kept", 1000 * (os.time() - 60), 1))
    assert(db:flush())
    local series = assert(db:series("m"))
    for i = 1, 200000 do series:add(nil, i) end
    io.stdout:write("ready\n")
    io.stdout:flush()
    local way = arg[2]
    if way == "error" then error("on purpose") end
    if way == "os.exit" then os.exit(0) end
    if way == "os.exit close" then os.exit(0, true) end
    if way == "signal" or way == "kill" then
      while true do series:add(nil, 1) end
    end
  ]]

  for way, codes in pairs {
    ["normal"] = { [0] = true }, ["error"] = { [1] = true }, ["os.exit"] = { [0] = true }, ["os.exit close"] = { [0] = true },
    ["signal"] = { [128 + 15] = true }, ["kill"] = { [128 + 9] = true },
  } do
    it("(" .. way .. ") leaves a directory that opens with what was durable", function()
      for _ = 1, 5 do
        local path = module.directory() .. "/db"
        local child, log = module.start(PROGRAM, path, way)
        module.wait_for(log, "ready")
        local code
        if way == "signal" then
          code = child:stop(process.SIGTERM)
        elseif way == "kill" then
          code = child:stop(process.SIGKILL)
        else
          code = child:wait(30)
        end
        assert.is_true(codes[code], ("ended with %s"):format(tostring(code)))
        local db = assert(tsengine.open(path))
        assert.are.equal(1, #module.rows(db, "kept").kept)
        if way == "normal" or way == "error" or way == "os.exit close" then
          -- The finaliser ran: nothing is lost.
          assert.are.equal(200000, #module.rows(db, "m").m)
        end
        assert.is_true(db:close())
      end
    end)
  end
end)

describe("the module", function()
  after_each(module.cleanup)

  it("may be required again after package.loaded was cleared, with a database open and threads running", function()
    local code, output = module.run([[
      local first = require("tsengine")
      local db = assert(first.open { path = arg[1], threads = 2 })
      assert(db:add("m", nil, 1))
      for round = 1, 10 do
        for name in pairs(package.loaded) do
          if name:find("^tsengine") then package.loaded[name] = nil end
        end
        collectgarbage()
        local again = require("tsengine")
        assert(again ~= first)
        local other = assert(again.open(arg[1] .. round))
        assert(other:add("n", nil, 2))
        assert(other:close())
      end
      assert(db:add("m", nil, 2))
      assert(db:close())
      print("done")
    ]], module.directory() .. "/db")
    assert.are.equal(0, code, output)
    assert.are.equal("done\n", output)
  end)

  it("makes no global variable", function()
    local code, output = module.run([[
      local before = {}
      for name in pairs(_G) do before[name] = true end
      local tsengine = require("tsengine")
      local db = assert(tsengine.open(arg[1]))
      db:add("m", nil, 1)
      for s in db:select("m") do s:copy() end
      db:write("influx", "a b=1")
      db:stats() db:parts() db:close()
      for name in pairs(_G) do if not before[name] then print(name) end end
    ]], module.directory() .. "/db")
    assert.are.equal(0, code)
    assert.are.equal("", output)
  end)

  it("says what it needs in plain Lua", function()
    local pipe = io.popen(("cd %s && LUA_PATH='lua/?.lua;lua/?/init.lua' lua5.1 -e 'require \"tsengine\"' 2>&1; echo :$?")
      :format(process.quote(module.root)))
    local text = pipe:read("*a")
    pipe:close()
    assert.matches("tsengine needs LuaJIT", text, 1, true)
    assert.matches(":1\n", text, 1, true)
  end)

  it("lists every place it looked at when the core is missing", function()
    local directory = module.directory()
    process.output(("cp -r %s/lua %s/"):format(process.quote(module.root), process.quote(directory)))
    local paths = ("LUA_CPATH='%s/none/?.so' LUA_PATH='lua/?.lua;lua/?/init.lua'"):format(directory)
    local pipe = io.popen(("cd %s && env -u TSENGINE_LIB %s luajit -e 'require \"tsengine\"' 2>&1; echo :$?")
      :format(process.quote(directory), paths))
    local text = pipe:read("*a")
    pipe:close()
    assert.matches("the core library was not found", text, 1, true)
    assert.matches(directory .. "/none/tsengine/core.so", text, 1, true)
    assert.matches("build/tsengine/core.so", text, 1, true)
    pipe = io.popen(("cd %s && LUA_PATH='lua/?.lua;lua/?/init.lua' TSENGINE_LIB=/none.so luajit -e 'require \"tsengine\"' 2>&1")
      :format(process.quote(module.root)))
    text = pipe:read("*a")
    pipe:close()
    assert.matches("/none.so", text, 1, true)
  end)
end)
