local ffi = require("ffi")
local base = require("spec.base.support")
local lib, code, model, data = base.lib, base.code, base.model, base.data

describe("the disk that crashes", function()
  local disk
  before_each(function() disk = base.crash() end)
  after_each(function()
    local mem = disk.mem
    disk:destroy()
    assert.equal(0, tonumber(mem.live_blocks))
  end)

  --- Calls fn with the state, then frees it.
  local function state(k, choice, fn)
    local s = disk:state(k, choice)
    local ok, message = pcall(fn, s)
    s:destroy()
    if not ok then error(message, 0) end
  end

  --- All contents of `path` that weak states before operation k show; false for a missing file.
  local function weak_contents(k, path)
    local found = {}
    for seed = 0, 2 ^ tonumber(lib.io_crash_uncertain(disk.io, k)) - 1 do
      for i = 0, 15 do
        state(k, { model = model.WEAK, seed = seed + i * 2 ^ 20 }, function(s) found[s:get(path) or "missing"] = true end)
      end
    end
    return found
  end

  it("shows every moment of the journal in order", function()
    disk:mkdir("/d")
    disk:put("/d/f", "abcd")
    disk:rename("/d/f", "/d/g")
    assert.equal(5, disk:ops())
    local seen = {}
    for k = 0, 5 do
      state(k, {}, function(s) seen[#seen + 1] = (s:exists("/d") and table.concat(s:list("/d"), " ") or "-") .. ":" .. tostring(s:get("/d/f")) end)
    end
    assert.same({ "-:nil", ":nil", "f:", "f:abcd", "f:abcd", "g:nil" }, seen)
    assert.equal("rename /d/f -> /d/g", disk:describe(4))
    assert.equal("write /d/g 4 bytes", disk:describe(2))
  end)

  it("treats bytes that were not fsynced as asked", function()
    disk:put("/f", "safe")
    local file = ffi.new("struct io_file *[1]")
    base.check(lib.io_create(disk.io, "/g", file))
    base.check(lib.io_write(file[0], "safe", 4))
    base.check(lib.io_fsync(file[0]))
    base.check(lib.io_write(file[0], "risk", 4))
    lib.io_close(file[0])
    local k = disk:ops()
    for choice, want in pairs { [data.FULL] = "saferisk", [data.LOST] = "safe", [data.ZEROED] = "safe\0\0\0\0", [data.HALF] = "saferi" } do
      state(k, { data = choice }, function(s)
        assert.equal("safe", s:get("/f"))
        assert.equal(want, s:get("/g"))
      end)
    end
  end)

  it("makes a name certain only by fsync of its directory under the weak model", function()
    disk:mkdir("/d")
    disk:fsync_dir("/")
    disk:put("/d/f", "x")
    assert.equal(1, tonumber(lib.io_crash_uncertain(disk.io, disk:ops())))
    assert.same({ x = true, missing = true }, weak_contents(disk:ops(), "/d/f"))
    disk:fsync_dir("/")
    assert.equal(1, tonumber(lib.io_crash_uncertain(disk.io, disk:ops())))
    disk:fsync_dir("/d")
    assert.equal(0, tonumber(lib.io_crash_uncertain(disk.io, disk:ops())))
    assert.same({ x = true }, weak_contents(disk:ops(), "/d/f"))
    -- before the fsync it still was uncertain
    assert.equal(1, tonumber(lib.io_crash_uncertain(disk.io, disk:ops() - 1)))
  end)

  it("loses a directory whose parent was not fsynced, with all that is durable in it", function()
    disk:mkdir("/month")
    disk:put("/month/f", "rows")
    disk:fsync_dir("/month")
    assert.same({ rows = true, missing = true }, weak_contents(disk:ops(), "/month/f"))
  end)

  it("lets directory operations happen out of order, but a directory has one place", function()
    disk:mkdir_all("/a/x")
    disk:mkdir("/b")
    disk:put("/a/x/f", "1")
    for _, d in ipairs { "/", "/a", "/b", "/a/x" } do disk:fsync_dir(d) end
    disk:rename("/a/x", "/b/x")
    disk:rename("/b/x", "/c")
    local seen = {}
    for seed = 0, 3 do
      state(disk:ops(), { model = model.WEAK, seed = seed }, function(s)
        local where = {}
        for _, p in ipairs { "/a/x", "/b/x", "/c" } do if s:exists(p) then where[#where + 1] = p end end
        seen[#seen + 1] = table.concat(where, " ")
      end)
    end
    assert.same({ "/a/x", "/b/x", "/c", "/c" }, seen)
  end)

  it("takes a rename over a file as one step", function()
    disk:put("/f", "old")
    disk:fsync_dir("/")
    disk:put("/f.tmp", "new")
    disk:fsync_dir("/")
    disk:rename("/f.tmp", "/f")
    assert.same({ old = true, new = true }, weak_contents(disk:ops(), "/f"))
  end)

  it("gives states that live on their own and crash again", function()
    disk:put("/f", "1")
    disk:fsync_dir("/")
    local s = disk:state(disk:ops(), {})
    s:put("/g", "2")
    assert.is_false(disk:exists("/g"))
    local again = s:state(1, { data = data.LOST })
    assert.equal("1", again:get("/f"))
    assert.equal("", again:get("/g"))
    s:destroy()
    assert.equal("1", again:get("/f"))
    again:destroy()
  end)

  it("starts anew at a checkpoint", function()
    disk:put("/f", "unsynced", true)
    base.check(lib.io_crash_checkpoint(disk.io))
    assert.equal(0, disk:ops())
    state(0, { data = data.LOST }, function(s) assert.equal("unsynced", s:get("/f")) end)
    disk:unlink("/f")
    state(0, {}, function(s) assert.is_true(s:exists("/f")) end)
    state(1, {}, function(s) assert.is_false(s:exists("/f")) end)
  end)

  it("keeps both names of a hard link through crashes", function()
    disk:put("/f", "x")
    disk:fsync_dir("/")
    disk:link("/f", "/g")
    disk:unlink("/f")
    assert.same({ missing = true, x = true }, weak_contents(disk:ops(), "/f"))
    assert.same({ missing = true, x = true }, weak_contents(disk:ops(), "/g"))
  end)

  it("knows which mark was the last before a crash", function()
    local number, found = ffi.new("uint64_t[1]"), ffi.new("bool[1]")
    lib.io_crash_mark(disk.io, 7, "acked")
    disk:mkdir("/a")
    lib.io_crash_mark(disk.io, 1, "other")
    lib.io_crash_mark(disk.io, 9, "acked")
    lib.io_crash_last_mark(disk.io, 0, "acked", number, found)
    assert.is_false(found[0])
    for k, want in pairs { [1] = 7, [3] = 7, [4] = 9, [99] = 9 } do
      lib.io_crash_last_mark(disk.io, k, "acked", number, found)
      assert.equal(want, tonumber(number[0]))
    end
    lib.io_crash_last_mark(disk.io, 3, nil, number, found)
    assert.equal(1, tonumber(number[0]))
  end)

  it("runs full and gives back the space of what is removed", function()
    lib.io_crash_set_free_space(disk.io, 10)
    disk:put("/a", "123456")
    local file = ffi.new("struct io_file *[1]")
    base.check(lib.io_create(disk.io, "/b", file))
    assert.equal(code.NOSPACE, lib.io_write(file[0], "123456", 6))
    assert.equal(code.IO, lib.io_write(file[0], "1", 1))
    assert.truthy(base.message():find("earlier write", 1, true))
    assert.equal(code.IO, lib.io_fsync(file[0]))
    lib.io_close(file[0])
    assert.equal("1234", disk:get("/b"))
    disk:unlink("/b")
    disk:put("/c", "4444")
    disk:link("/a", "/a2")
    disk:unlink("/a")
    local free = ffi.new("uint64_t[1]")
    base.check(lib.io_free_space(disk.io, "/", free))
    assert.equal(0, tonumber(free[0]))
    disk:unlink("/a2")
    base.check(lib.io_free_space(disk.io, "/", free))
    assert.equal(6, tonumber(free[0]))
  end)

  it("forgets unsynced bytes when a failed fsync does", function()
    disk:put("/f", "abc", true)
    base.check(lib.io_crash_lose_unsynced(disk.io, "/f"))
    assert.equal("\0\0\0", disk:get("/f"))
    state(disk:ops(), { data = data.LOST }, function(s) assert.equal("\0\0\0", s:get("/f")) end)
  end)

  it("tells equal states from different ones", function()
    disk:put("/f", "abc")
    local before = lib.io_crash_fingerprint(disk.io)
    disk:put("/g", "")
    assert.is_true(before ~= lib.io_crash_fingerprint(disk.io))
    disk:unlink("/g")
    assert.is_true(before == lib.io_crash_fingerprint(disk.io))
    base.check(lib.io_crash_set_content(disk.io, "/f", "abd", 3))
    assert.is_true(before ~= lib.io_crash_fingerprint(disk.io))
    assert.equal("abd", disk:get("/f"))
  end)

  it("builds thousands of states a second", function()
    for i = 1, 50 do
      disk:mkdir("/p" .. i)
      for j = 1, 4 do disk:put("/p" .. i .. "/f" .. j, ("x"):rep(1000)) end
      disk:fsync_dir("/p" .. i)
    end
    local started = os.clock()
    for i = 1, 1000 do disk:state(disk:ops() - i % 100, { model = i % 2, seed = i }):destroy() end
    local seconds = os.clock() - started
    assert.is_true(seconds < 1.5, ("1000 states of a disk with 200 files took %.2f s"):format(seconds))
  end)
end)

describe("the disk that fails", function()
  local inner, disk
  before_each(function()
    inner = base.crash()
    disk = base.fault(inner)
  end)
  after_each(function()
    for _, d in ipairs { disk, inner } do
      local mem = d.mem
      d:destroy()
      assert.equal(0, tonumber(mem.live_blocks))
    end
  end)

  local function plan(fields) lib.io_fault_plan(disk.io, ffi.new("struct io_fault_plan", fields)) end

  it("fails the n-th call once, or every one from there", function()
    plan { fail_at = 2, errno_value = 5 }
    disk:mkdir("/a")
    assert.equal(code.IO, lib.io_mkdir(disk.io, "/b"))
    assert.truthy(base.message():find("injected", 1, true))
    disk:mkdir("/c")
    assert.equal(3, tonumber(lib.io_fault_calls(disk.io)))
    assert.equal(1, tonumber(lib.io_fault_injected(disk.io)))
    assert.equal("failed 2: mkdir /b", ffi.string(lib.io_fault_last(disk.io)))
    plan { fail_at = 1, errno_value = 28, for_ever = true }
    for _ = 1, 3 do assert.equal(code.NOSPACE, lib.io_mkdir(disk.io, "/d")) end
    lib.io_fault_plan(disk.io, nil)
    disk:mkdir("/d")
    assert.same({ "a", "c", "d" }, disk:list("/"))
  end)

  it("counts only the calls and paths that are asked for", function()
    local part = ffi.new("char[4]", "txn")
    plan { fail_at = 1, errno_value = 5, calls = base.call.RENAME, path_part = part }
    disk:put("/a", "1")
    disk:rename("/a", "/b")
    assert.equal(code.IO, lib.io_rename(disk.io, "/b", "/txn"))
    disk:rename("/b", "/txn")
  end)

  it("leaves half of a failing write behind and poisons the file", function()
    plan { fail_at = 1, errno_value = 5, calls = base.call.WRITE }
    local file = ffi.new("struct io_file *[1]")
    base.check(lib.io_create(disk.io, "/f", file))
    assert.equal(code.IO, lib.io_write(file[0], "123456", 6))
    assert.equal(code.IO, lib.io_fsync(file[0]))
    assert.truthy(base.message():find("unknown", 1, true))
    lib.io_close(file[0])
    assert.equal("123", disk:get("/f"))
  end)

  it("loses the unsynced bytes of a failing fsync when told to, and never retries it", function()
    plan { fail_at = 1, errno_value = 5, calls = base.call.FSYNC, fsync_failed = lib.io_crash_lose_unsynced }
    local file = ffi.new("struct io_file *[1]")
    base.check(lib.io_create(disk.io, "/f", file))
    base.check(lib.io_write(file[0], "123456", 6))
    assert.equal(code.IO, lib.io_fsync(file[0]))
    assert.equal(code.IO, lib.io_fsync(file[0]))
    assert.equal(1, tonumber(lib.io_fault_calls(disk.io)))
    lib.io_close(file[0])
    assert.equal("\0\0\0\0\0\0", inner:get("/f"))
  end)

  it("leaves out a call and says that it was done", function()
    plan { fail_at = 1, leave_out = true, calls = base.call.FSYNC_DIR }
    disk:mkdir("/d")
    disk:fsync_dir("/")
    disk:fsync_dir("/")
    assert.equal(2, inner:ops())
    plan { fail_at = 1, leave_out = true, calls = base.call.CREATE }
    disk:put("/d/f", "x")
    assert.is_false(disk:exists("/d/f"))
  end)

  it("is full and empty again at will", function()
    lib.io_fault_set_full(disk.io, true)
    local free = ffi.new("uint64_t[1]", 1)
    base.check(lib.io_free_space(disk.io, "/", free))
    assert.equal(0, tonumber(free[0]))
    assert.equal(code.NOSPACE, lib.io_mkdir(disk.io, "/d"))
    lib.io_fault_set_full(disk.io, false)
    disk:mkdir("/d")
    lib.io_fault_set_full(disk.io, true)
    disk:rmdir("/d")
  end)
end)
