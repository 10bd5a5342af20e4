--- The engine on a crashing disk, from Lua: worlds, what they do, and states looked at by the real victoria-metrics.
local ffi = require("ffi")
local native = require("spec.support.native")
local base = require("spec.base.support")
local peer = require("spec.support.victoria_metrics")
local process = require("spec.support.process")

native.cdef [[
struct world;
struct world_look;
struct tt_crash_report { uint64_t states, opened, bad, recoveries, went_on; char first[2048]; };
struct tt_crash_plan {
  size_t from, to, stride;
  uint32_t weak_per_point, recovery_every, go_on_every;
  uint64_t seed;
  bool stop_at_first, backward;
};
struct world *tt_world_new(int64_t now_ms, const char *path);
void tt_world_free(struct world *world);
int tt_world_open(struct world *world);
int tt_world_close(struct world *world);
int tt_world_open_once(struct world *world, struct io *io, const char *path);
void tt_world_abandon(struct world *world);
int tt_world_add(struct world *world, uint32_t n, uint32_t first_series, uint32_t series, int64_t first_ms, int64_t step_ms);
int tt_world_flush(struct world *world);
int tt_world_force_merge(struct world *world, uint64_t *merges);
int tt_world_index_merge(struct world *world);
int tt_world_run(struct world *world, uint64_t units_max, uint64_t *units);
int tt_world_advance(struct world *world, int64_t ms, uint64_t *units);
int tt_world_snapshot(struct world *world, const char *name);
int tt_world_snapshot_delete(struct world *world, const char *name);
int tt_world_delete(struct world *world, uint32_t first_series, uint32_t n);
void tt_world_may_drop(struct world *world, int64_t before_ms);
void tt_world_set(struct world *world, int64_t retention_ms, uint64_t small_part_bytes);
int tt_world_checkpoint(struct world *world);
struct io *tt_world_io(struct world *world);
struct io *tt_world_crash(struct world *world);
size_t tt_world_rows(struct world *world);
int tt_world_check(struct world *world, struct io *io, size_t k);
int tt_world_check_now(struct world *world);
int tt_world_check_live(struct world *world);
void tt_world_enumerate(struct world *world, const struct tt_crash_plan *plan, struct tt_crash_report *report);
int tt_world_state(struct world *world, size_t k, const struct crash_choice *choice, struct io **out);
struct world_look *tt_look_begin(struct world *world, size_t k);
void tt_look_row(struct world_look *look, uint32_t series, int64_t at_ms, double value);
int tt_look_end(struct world_look *look);
]]

local lib = native.lib
local M = {}

M.DAY = 86400000
--- 2024-03-20 12:00:00 UTC: in the past of every machine, in the middle of a month.
M.NOW = 1710936000000

local World = {}
World.__index = World

--- Where worlds keep their database in memory. A state that is to be opened by others must be made where they find it:
--- transaction files hold absolute paths.
M.path = "/db"

--- A world whose clock stands at `now` (default M.NOW).
function M.new(now)
  return setmetatable({ c = lib.tt_world_new(now or M.NOW, M.path), now = now or M.NOW, path = M.path }, World)
end

function World:free() lib.tt_world_free(self.c) end
function World:open() native.check(lib.tt_world_open(self.c)) return self end
function World:close() native.check(lib.tt_world_close(self.c)) return self end
function World:abandon() lib.tt_world_abandon(self.c) return self end
--- n rows over `series` series from number `first`, going on from `at` (ms) every second.
function World:add(n, first, series, at)
  native.check(lib.tt_world_add(self.c, n, first, series, at or self.now - 3600000, 1000))
  return self
end
function World:flush() native.check(lib.tt_world_flush(self.c)) return self end
function World:merge() native.check(lib.tt_world_force_merge(self.c, ffi.new("uint64_t[1]"))) return self end
function World:index_merge() native.check(lib.tt_world_index_merge(self.c)) return self end
function World:run(units) native.check(lib.tt_world_run(self.c, units or 100000, ffi.new("uint64_t[1]"))) return self end
function World:advance(ms)
  self.now = self.now + ms
  native.check(lib.tt_world_advance(self.c, ms, ffi.new("uint64_t[1]")))
  return self
end
function World:snapshot(name) native.check(lib.tt_world_snapshot(self.c, name)) return self end
function World:snapshot_delete(name) native.check(lib.tt_world_snapshot_delete(self.c, name)) return self end
function World:delete(first, n) native.check(lib.tt_world_delete(self.c, first, n)) return self end
function World:may_drop(before) lib.tt_world_may_drop(self.c, before) return self end
function World:set(retention_ms, small_part_bytes) lib.tt_world_set(self.c, retention_ms, small_part_bytes or 0) return self end
--- From here on the journal counts; `M.at_checkpoint(world)` may set up a plan of failures for it.
function World:checkpoint()
  native.check(lib.tt_world_checkpoint(self.c))
  if M.at_checkpoint then M.at_checkpoint(self) end
  return self
end
function World:ops() return tonumber(lib.io_crash_ops_count(lib.tt_world_crash(self.c))) end
function World:crash_io() return lib.tt_world_crash(self.c) end
function World:io() return lib.tt_world_io(self.c) end

--- Looks at every crash state; the report, with `first` as text.
function World:enumerate(plan)
  local report = ffi.new("struct tt_crash_report")
  local c_plan = ffi.new("struct tt_crash_plan", plan or {})
  if c_plan.to == 0 then c_plan.to = 1e9 end
  lib.tt_world_enumerate(self.c, c_plan, report)
  return {
    states = tonumber(report.states), opened = tonumber(report.opened), bad = tonumber(report.bad),
    recoveries = tonumber(report.recoveries), went_on = tonumber(report.went_on), first = ffi.string(report.first),
  }
end

--- The workloads, each recorded from its checkpoint: what a crash may interrupt.
M.operations = {}

local function operation(name, run, weak) M.operations[#M.operations + 1] = { name = name, run = run, weak = weak } end

operation("creating a month", function()
  return M.new():checkpoint():open():add(300, 0, 6):flush():close()
end)

operation("a flush into two months", function()
  local w = M.new():open():add(200, 0, 5):flush():checkpoint()
  return w:add(200, 0, 5, w.now - 1800000):add(100, 5, 5, w.now - 30 * M.DAY):flush():close()
end)

operation("a small merge", function()
  local w = M.new():open()
  for i = 1, 4 do w:add(200, 0, 5, w.now - 3600000 * i):flush() end
  return w:checkpoint():merge():close()
end)

operation("a big merge", function()
  local w = M.new():open()
  for i = 1, 2 do w:add(200, 0, 5, w.now - 3600000 * i):flush() end
  w:set(0, 1):merge():set(0, 2 ^ 40)
  for i = 3, 4 do w:add(200, 3, 5, w.now - 3600000 * i):flush() end
  return w:set(0, 1):checkpoint():merge():close()
end)

operation("background work of a minute", function()
  local w = M.new():open():add(50, 0, 5):flush():checkpoint()
  for i = 1, 24 do
    w:add(60, i, 3, w.now - 1000):advance(2500)
    if i % 8 == 0 then w:flush() end
  end
  return w:close()
end, 6)

operation("dropping what is out of retention", function()
  local w = M.new():set(40 * M.DAY):open()
  w:add(200, 0, 4, w.now - 39 * M.DAY):add(100, 0, 4, w.now - 25 * M.DAY):flush()
  w:add(100, 0, 4, w.now - 12 * M.DAY):flush():add(100, 0, 4, w.now):flush()
  -- 18 days later the oldest month is out as a whole, and of the next one a part
  w:may_drop(w.now - 22 * M.DAY + 3600000):checkpoint()
  return w:advance(18 * M.DAY):advance(8 * 60000):advance(60000):advance(60000):close()
end)

operation("making and removing a snapshot", function()
  local w = M.new():open():add(200, 0, 5):flush():add(100, 0, 5, M.NOW - 40 * M.DAY):flush():checkpoint()
  w:add(50, 5, 5):snapshot("20240320120000-0000ABCD"):add(50, 5, 5, w.now - 60000):flush()
  return w:snapshot("20240320120000-0000ABCE"):snapshot_delete("20240320120000-0000ABCD"):close()
end)

operation("deleting series", function()
  local w = M.new():open():add(300, 0, 6):flush():checkpoint()
  return w:delete(1, 2):add(60, 3, 3, w.now - 1000):merge():flush():close()
end)

operation("flush and merge of the index", function()
  local w = M.new():open()
  for i = 0, 3 do w:add(60, i * 60, 60):flush() end
  w:checkpoint()
  for i = 4, 6 do w:add(40, i * 60, 40):flush() end
  return w:index_merge():close()
end)

operation("rotation of the index", function()
  local w = M.new():set(31 * M.DAY):open():add(100, 0, 10):flush():checkpoint()
  w:may_drop(w.now + 40 * M.DAY)
  w:advance(32 * M.DAY):add(60, 5, 10, w.now - 60000):flush():advance(3600000)
  return w:add(60, 5, 10, w.now - 1000):flush():close()
end)

--- Dumps a state to the world's path on the real disk, which must be free.
function World:dump(k, choice)
  local out = ffi.new("struct io *[1]")
  native.check(lib.tt_world_state(self.c, k, ffi.new("struct crash_choice", choice), out))
  local disk = base.posix()
  local exists = ffi.new("bool[1]")
  -- a crash before anything was made leaves no directory at all
  native.check(lib.io_exists(out[0], self.path, exists))
  if exists[0] then native.check(lib.io_copy_tree(out[0], self.path, disk.io, self.path)) end
  lib.io_destroy(out[0])
  disk:destroy()
end

--- Rows of a JSON lines export held against the promise before operation k: nil, or what is wrong.
function World:complaint_about(file, k)
  local look = lib.tt_look_begin(self.c, k)
  for line in io.lines(file) do
    local series = tonumber(line:match('"s":"(%d+)"'))
    local values, timestamps = line:match('"values":%[(.-)%]'), line:match('"timestamps":%[(.-)%]')
    local next_value = values:gmatch("[^,]+")
    for at in timestamps:gmatch("[^,]+") do lib.tt_look_row(look, series or 2 ^ 31, tonumber(at), tonumber(next_value())) end
  end
  return lib.tt_look_end(look) ~= 0 and base.message() or nil
end

--- What the real victoria-metrics makes of a state: nil when the promise holds, else what is wrong.
function World:peer_complaint(k, choice)
  self:dump(k, choice)
  local server, log = peer.start(self.path)
  local complaint
  if not server then
    complaint = "victoria-metrics does not start: " .. tostring(log):sub(-1500)
  else
    local export = self.path .. ".export"
    server:export_to(export, nil, { ["end"] = (M.NOW + 1000 * M.DAY) / 1000 })
    complaint = self:complaint_about(export, k)
    os.remove(export)
    local code = server:stop()
    if code ~= 0 then complaint = (complaint or "") .. " victoria-metrics ended with " .. tostring(code) end
  end
  process.output("rm -rf " .. process.quote(self.path))
  return complaint
end

return M
