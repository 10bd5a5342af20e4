--- Opening: options, layouts, locks, what is no storage directory.
local module = require("spec.support.module")
local process = require("spec.support.process")
local tsengine = module.tsengine

local function write_file(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

--- The message of what a call raises.
local function raised(...)
  local ok, message = pcall(...)
  assert.is_false(ok)
  return tostring(message)
end

describe("tsengine.open", function()
  after_each(module.cleanup)

  it("takes a path alone and makes the directory", function()
    local path = module.directory() .. "/a/b"
    local db = tsengine.open(path)
    if not db then
      -- Parents are the caller's: a path below nothing may be refused, but never half made.
      path = module.directory() .. "/a"
      db = assert(tsengine.open(path))
    end
    assert.is_true(db:add("m", nil, 1))
    assert.is_true(db:close())
    db = assert(tsengine.open(path))
    assert.are.equal(1, module.rows(db, "m").m[1][2])
    db:close()
  end)

  it("raises for an unknown option and suggests the nearest name", function()
    assert.matches("unknown option 'thread'; did you mean 'threads'", raised(tsengine.open, { path = "x", thread = 1 }), 1, true)
    assert.matches("open: flush: unknown option 'durrable'; did you mean 'durable'",
      raised(tsengine.open, { path = "x", flush = { durrable = "1s" } }), 1, true)
    assert.matches("open: merge.params: unknown option 'fans'; did you mean 'fan'",
      raised(tsengine.open, { path = "x", merge = { params = { fans = 3 } } }), 1, true)
    assert.matches("unknown option 'whatever_it_is'", raised(tsengine.open, { path = "x", whatever_it_is = 1 }), 1, true)
  end)

  it("raises at the caller's line", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() tsengine.open { path = "x", thread = 1 } end)
    assert.is_false(ok)
    assert.matches("open_spec.lua:" .. line .. ": ", message, 1, true)
  end)

  it("raises for values of the wrong kind", function()
    local wrong = {
      { path = "" }, { path = 7 }, {}, { path = "a\0b" },
      { path = "x", layout = "both" }, { path = "x", read_only = 1 }, { path = "x", retention = "long" },
      { path = "x", retention = 0 }, { path = "x", future_limit = "-1d" }, { path = "x", dedup_keep = "middle" },
      { path = "x", threads = -1 }, { path = "x", threads = 1.5 }, { path = "x", threads = "2" },
      { path = "x", memory_limit = "lots" }, { path = "x", memory_limit = -1 }, { path = "x", tenant = "1" },
      { path = "x", tenant = "4294967296:0" }, { path = "x", clock = 5 }, { path = "x", log = "syslog" },
      { path = "x", flush = "1s" }, { path = "x", flush = { visible = 0 } }, { path = "x", merge = { params = { fan = 1 } } },
      { path = "x", merge = { policy = 1 } }, { path = "x", flush = { shard_rows = 0 } },
    }
    for i, options in ipairs(wrong) do
      local ok = pcall(tsengine.open, options)
      assert.is_false(ok, "case " .. i)
    end
    assert.is_false(pcall(tsengine.open))
  end)

  it("answers POLICY for a policy that does not exist", function()
    local db, message, code = tsengine.open { path = module.directory() .. "/db", merge = { policy = "best" } }
    assert.is_nil(db)
    assert.are.equal("POLICY", code)
    assert.matches("^POLICY: ", message)
  end)

  it("takes every option at its default", function()
    local db = assert(tsengine.open {
      path = module.directory() .. "/db", layout = "single", read_only = false, retention = "forever", future_limit = "2d",
      dedup_interval = 0, dedup_keep = "last", flush = { visible = "1s", durable = "5s" },
      merge = { policy = "vm", params = { fan = 15 } }, min_free_disk = "100MB", tenant = "0:0", labels_max = 30,
    })
    assert.is_true(db:close())
  end)

  it("answers LAYOUT for a directory that holds something else", function()
    local path = module.directory()
    write_file(path .. "/holiday.txt", "photos")
    local db, message, code = tsengine.open(path)
    assert.is_nil(db)
    assert.are.equal("LAYOUT", code)
    assert.matches(path, message, 1, true)
    local file = path .. "/holiday.txt"
    db, message, code = tsengine.open(file)
    assert.is_nil(db)
    assert.is_truthy(code == "LAYOUT" or code == "IO")
    assert.matches("holiday", message, 1, true)
  end)

  it("answers LAYOUT for a path that transaction files could not hold", function()
    for _, name in ipairs { "/a\nb", "/a -> b" } do
      local db, message, code = tsengine.open(module.directory() .. name)
      assert.is_nil(db)
      assert.are.equal("LAYOUT", code)
      assert.matches("line feed", message, 1, true)
    end
  end)

  it("answers LAYOUT when the option contradicts the directory, finds it by itself otherwise", function()
    local db, _, path = module.open { layout = "cluster" }
    assert.is_true(db:add("m", nil, 1, { tenant = "7:13" }))
    assert.is_true(db:close())
    local other, _, code = tsengine.open { path = path, layout = "single" }
    assert.is_nil(other)
    assert.are.equal("LAYOUT", code)
    db = assert(tsengine.open { path = path })
    assert.are.equal("cluster", db:stats().layout)
    assert.are.equal(1, module.rows(db, "m", nil, nil, { tenant = "7:13" }).m[1][2])
    assert.are.same({}, module.rows(db, "m"))
    db:close()
  end)

  it("answers nil for a missing directory when it is read-only, and makes nothing", function()
    local path = module.directory() .. "/none"
    local db, message, code = tsengine.open { path = path, read_only = true }
    assert.is_nil(db)
    assert.is_truthy(code == "NOTFOUND" or code == "LAYOUT" or code == "IO")
    assert.matches(path, message, 1, true)
    assert.is_nil(io.open(path, "r"))
  end)

  it("reads a read-only directory, refuses rows with READONLY and changes no byte", function()
    local db, _, path = module.open()
    for i = 1, 100 do assert(db:add('m{i="' .. i .. '"}', module.NOON - i * 1000, i)) end
    db:close()
    local list = "cd " .. process.quote(path) .. " && find . -type f | sort | xargs sha256sum"
    local before = process.output(list)
    local reader = assert(tsengine.open { path = path, read_only = true })
    local second = assert(tsengine.open { path = path, read_only = true })
    assert.are.equal(100, #second:series_names())
    assert.are.equal(7, module.rows(reader, 'm{i="7"}')['m{i="7"}'][1][2])
    local ok, message, code = reader:add("m", nil, 1)
    assert.is_nil(ok)
    assert.are.equal("READONLY", code)
    assert.matches("^READONLY: ", message)
    assert.is_true(reader:stats().read_only)
    assert.is_true(second:close())
    assert.is_true(reader:close())
    assert.are.equal(before, process.output(list))
  end)
end)

describe("the lock", function()
  after_each(module.cleanup)

  it("answers LOCKED for a directory that this process has open", function()
    local db, _, path = module.open()
    local started = module.seconds()
    local other, message, code = tsengine.open(path)
    assert.is_true(module.seconds() - started < 0.1)
    assert.is_nil(other)
    assert.are.equal("LOCKED", code)
    assert.matches("^LOCKED: ", message)
    assert.is_true(db:add("m", nil, 1))
  end)

  it("answers LOCKED within 100 ms and names the process that has it open", function()
    local path = module.directory() .. "/db"
    local child, log = module.start([[
      local ffi = require("ffi")
      ffi.cdef("int usleep(unsigned us);")
      local db = assert(require("tsengine").open(arg[1]))
      io.stdout:write("open\n")
      io.stdout:flush()
      while db do ffi.C.usleep(10000) end
    ]], path)
    module.wait_for(log, "open")
    local started = module.seconds()
    local db, message, code = tsengine.open(path)
    local took = module.seconds() - started
    child:stop(process.SIGKILL)
    assert.is_nil(db)
    assert.are.equal("LOCKED", code)
    assert.matches(tostring(child.pid), message, 1, true)
    assert.is_true(took < 0.1, ("took %.3f s"):format(took))
    -- The lock goes with the process.
    assert(tsengine.open(path)):close()
  end)

  it("is not held by a child that the host started", function()
    local db, _, path = module.open()
    local child = assert(process.start({ "sleep", "60" }))
    assert.is_true(db:close())
    local again, message = tsengine.open(path)
    child:stop(process.SIGKILL)
    assert.is_truthy(again, message)
    again:close()
  end)
end)
