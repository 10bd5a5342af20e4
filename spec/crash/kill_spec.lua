-- kill -9 at a random moment, five hundred times (forty under a sanitizer): also in the middle of opening what the last kill left.
local ffi = require("ffi")
local native = require("spec.support.native")
local process = require("spec.support.process")
local lib = native.lib

native.cdef [[
struct tt_kill_progress;
struct tt_kill_progress *tt_kill_progress_map(const char *path);
void tt_kill_progress_read(const struct tt_kill_progress *progress, uint64_t *numbers);
void tt_kill_progress_unmap(struct tt_kill_progress *progress);
int tt_kill_look(const char *path, uint64_t submitted, uint64_t acked_from, uint64_t acked, uint8_t *known, uint64_t *rows);
]]

local CYCLES, ROUND = os.getenv("TSE_SANITIZED") and 40 or 500, 25 -- a fresh directory every so often keeps looking cheap
local ROWS_MAX = 4000000

local CHILD = [[
local ffi = require("ffi")
ffi.cdef "int tt_kill_child(const char *path, const char *progress_path, uint64_t first, uint64_t seed);"
local lib = ffi.load(os.getenv("TSENGINE_LIB"))
lib.tt_kill_child(arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4]))
]]

describe("a process killed at any moment", function()
  it("leaves every row it was promised, and none twice", function()
    local seed = native.seed("kill cycles")
    math.randomseed(seed)
    local scratch = process.scratch("kill")
    local script = scratch .. "/child.lua"
    local file = assert(io.open(script, "w"))
    file:write(CHILD)
    file:close()
    local numbers, rows = ffi.new("uint64_t[4]"), ffi.new("uint64_t[1]")
    local known = ffi.new("uint8_t[?]", ROWS_MAX)
    local acked_total, before_open, killed = 0, 0, 0
    local directory, first
    for cycle = 0, CYCLES - 1 do
      if cycle % ROUND == 0 then
        if directory then process.output("rm -rf " .. process.quote(directory)) end
        directory, first = scratch .. "/db" .. cycle, 0
        ffi.fill(known, ROWS_MAX)
      end
      os.remove(scratch .. "/progress")
      local progress = lib.tt_kill_progress_map(scratch .. "/progress")
      local child = assert(process.start({ "luajit", script, directory, scratch .. "/progress", tostring(first), tostring(seed + cycle) },
        scratch .. "/child.log"))
      -- a third of the kills hit the first milliseconds: recovery of the last one
      process.sleep_ms(cycle % 3 == 0 and math.random(2, 14) or math.random(15, 110))
      child:stop(process.SIGKILL, 10)
      killed = killed + 1
      lib.tt_kill_progress_read(progress, numbers)
      lib.tt_kill_progress_unmap(progress)
      local log = io.open(scratch .. "/child.log")
      assert.equal(0, tonumber(numbers[3]), "the child failed: " .. (log and log:read("*a") or ""))
      if log then log:close() end
      local submitted, acked = math.max(tonumber(numbers[0]), first), math.max(tonumber(numbers[1]), first)
      if numbers[2] == 0 then before_open = before_open + 1 end
      assert.is_true(submitted < ROWS_MAX)
      local rc = lib.tt_kill_look(directory, submitted, first, acked, known, rows)
      assert.equal(0, rc, ("cycle %d: %s"):format(cycle, ffi.string(lib.err_message())))
      acked_total = acked_total + (acked - first)
      first = submitted
    end
    process.remove_tree(scratch)
    io.stderr:write(("  %d kills, %d before the open returned, %d rows acknowledged\n"):format(killed, before_open, acked_total))
    assert.equal(CYCLES, killed)
    assert.is_true(acked_total > CYCLES * 5)
  end)
end)
