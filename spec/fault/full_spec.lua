-- A disk that really runs full, and a directory that has an owner already.
local ffi = require("ffi")
local native = require("spec.support.native")
local base = require("spec.base.support")
local crash = require("spec.crash.world")
local process = require("spec.support.process")
local lib, code = native.lib, base.code

describe("a small disk", function()
  for _, kilobytes in ipairs { 24, 64, 200 } do
    it(("of %d KB fills up, answers on, and takes rows again when there is space"):format(kilobytes), function()
      local w = crash.new():open():add(200, 0, 5):flush()
      lib.io_crash_set_free_space(w:crash_io(), kilobytes * 1024)
      local refused
      for i = 1, 400 do
        local ok, message = pcall(function() w:add(40, i * 40, 40, w.now - 3000):flush() end)
        w:advance(500)
        if not ok then
          refused = message
          break
        end
        assert.is_true(i < 400, "the disk never ran full")
      end
      assert.truthy(refused:find("code 4", 1, true), refused)
      assert.equal(0, lib.tt_world_check_live(w.c), base.message())
      -- still full: the answer is the same a minute later
      for _ = 1, 3 do
        w:advance(20000)
        assert.is_false((pcall(function() w:add(40, 0, 40, w.now - 3000):flush() end)))
      end
      assert.equal(0, lib.tt_world_check_live(w.c), base.message())
      lib.io_crash_set_free_space(w:crash_io(), 2 ^ 30)
      w:advance(5000):advance(5000)
      w:add(40, 0, 40, w.now - 3000):flush():merge():flush()
      assert.equal(0, lib.tt_world_check_live(w.c), base.message())
      w:close()
      assert.equal(0, lib.tt_world_check_now(w.c), base.message())
      w:free()
    end)
  end
end)

describe("a directory with an owner", function()
  it("refuses a second one within a tenth of a second, two hundred times, and touches nothing", function()
    local w = crash.new():open():add(100, 0, 5):flush()
    local other = crash.new()
    local ops = w:ops()
    local slowest = 0
    for _ = 1, 200 do
      local started = os.clock()
      assert.equal(code.LOCKED, lib.tt_world_open_once(other.c, w:crash_io(), "/db"))
      slowest = math.max(slowest, os.clock() - started)
    end
    assert.is_true(slowest < 0.1)
    assert.equal(ops, w:ops())
    w:close()
    assert.equal(0, lib.tt_world_open_once(other.c, w:crash_io(), "/db"), base.message())
    other:free()
    w:free()
  end)

  it("names its pid on the real disk, and is free at once when that is killed", function()
    local scratch = process.scratch("owner")
    local script = scratch .. "/owner.lua"
    local file = assert(io.open(script, "w"))
    file:write('local ffi = require("ffi")\nffi.cdef "int tt_kill_child(const char *, const char *, uint64_t, uint64_t);"\n',
      'ffi.load(os.getenv("TSENGINE_LIB")).tt_kill_child(arg[1], arg[2], 0, 1)\n')
    file:close()
    native.cdef [[
struct tt_kill_progress;
struct tt_kill_progress *tt_kill_progress_map(const char *path);
void tt_kill_progress_read(const struct tt_kill_progress *progress, uint64_t *numbers);
void tt_kill_progress_unmap(struct tt_kill_progress *progress);
]]
    local progress, numbers = lib.tt_kill_progress_map(scratch .. "/progress"), ffi.new("uint64_t[4]")
    local child = assert(process.start({ "luajit", script, scratch .. "/db", scratch .. "/progress" }))
    for _ = 1, 500 do
      lib.tt_kill_progress_read(progress, numbers)
      if numbers[2] == 1 then break end
      process.sleep_ms(10)
    end
    local disk, other = base.posix(), crash.new()
    assert.equal(code.LOCKED, lib.tt_world_open_once(other.c, disk.io, scratch .. "/db"))
    assert.truthy(base.message():find("pid " .. tonumber(child.pid), 1, true), base.message())
    child:stop(process.SIGKILL, 10)
    assert.equal(0, lib.tt_world_open_once(other.c, disk.io, scratch .. "/db"), base.message())
    lib.tt_kill_progress_unmap(progress)
    other:free()
    disk:destroy()
    process.remove_tree(scratch)
  end)
end)
