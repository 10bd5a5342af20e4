-- One random bit of every byte, every length, one byte more: of every file of a database that we wrote, and of the peer's.
local ffi = require("ffi")
local native = require("spec.support.native")
local base = require("spec.base.support")
local crash = require("spec.crash.world")
local peer = require("spec.support.victoria_metrics")
local process = require("spec.support.process")
local lib = native.lib

native.cdef [[
struct tt_damage_report { uint64_t files, checks, noticed, silent, wrong; char first_wrong[1024], first_silent[1024]; };
struct tt_damage_plan {
  const char *path, *below, *not_below;
  int64_t now_ms;
  uint64_t seed;
  uint32_t per_file;
  bool merge;
};
int tt_damage_sweep(struct io *disk, const struct tt_damage_plan *plan, struct tt_damage_report *report);
]]

local seed = native.seed("damage")

local function sweep(disk, path, below, not_below, per_file, merge)
  local report = ffi.new("struct tt_damage_report")
  local texts = { ffi.new("char[?]", #path + 1, path), ffi.new("char[?]", #below + 1, below), ffi.new("char[?]", #not_below + 1, not_below) }
  local plan = ffi.new("struct tt_damage_plan", { path = texts[1], below = texts[2], not_below = texts[3], now_ms = crash.NOW, seed = seed,
    per_file = per_file, merge = merge })
  native.check(lib.tt_damage_sweep(disk, plan, report))
  io.stderr:write(("  %-28s %2d files, %5d damaged, %5d noticed, %4d without effect, %d wrong\n"):format(below, tonumber(report.files),
    tonumber(report.checks), tonumber(report.noticed), tonumber(report.silent), tonumber(report.wrong)))
  return report
end

--- Two months, uneven steps and values, two index parts.
local function world()
  local w = crash.new():open()
  for i = 1, 60 do w:add(i % 5 + 1, i * 7 % 6, 1, w.now - 7200000 + i * 61000 + i * i * 37 % 997) end
  w:flush()
  for i = 1, 25 do w:add(i % 3 + 1, i * 5 % 9, 1, w.now - 40 * crash.DAY + i * 60000 + i * i * 11 % 499) end
  return w:flush():close()
end

describe("a damaged byte", function()
  local w
  setup(function() w = world() end)
  teardown(function() w:free() end)

  it("of a data part of ours is always noticed", function()
    local report = sweep(w:crash_io(), "/db", "/data/", "", 0, true)
    assert.equal(0, tonumber(report.wrong), ffi.string(report.first_wrong))
    assert.equal(0, tonumber(report.silent), ffi.string(report.first_silent))
    assert.is_true(report.checks > 1500)
  end)

  it("of an index part of ours is always noticed, at the latest by a merge", function()
    local report = sweep(w:crash_io(), "/db", "/indexdb/", "converted-to", 0, true)
    assert.equal(0, tonumber(report.wrong), ffi.string(report.first_wrong))
    assert.equal(0, tonumber(report.silent), ffi.string(report.first_silent))
    assert.is_true(report.checks > 1000)
  end)

  it("of any other file never changes an answer unnoticed", function()
    for _, below in ipairs { "/tsengine/", "/metadata/", "converted-to" } do
      local report = sweep(w:crash_io(), "/db", below, "", 0, false)
      assert.equal(0, tonumber(report.wrong), ffi.string(report.first_wrong))
    end
  end)
end)

describe("a damaged byte of what victoria-metrics wrote", function()
  -- its parts carry no sums: another answer is possible there, a crash or a read out of bounds is not
  for _, name in ipairs { "values-single-1.79.5", "names-cluster-1.72.0-tenant-0_0" } do
    it("never harms the host: " .. name, function()
      local scratch = process.scratch("damage")
      process.output(("cd %s && zstd -dqc %s | tar -x"):format(process.quote(scratch),
        process.quote(process.output("pwd"):gsub("\n", "") .. "/spec/data/vmdirs/" .. name .. "/dir.tar.zst")))
      local top = process.output(("cd %s && find . -type d -name indexdb | head -1"):format(process.quote(scratch))):gsub("/indexdb\n", "")
      local real, memory = base.posix(), base.crash()
      base.check(lib.io_copy_tree(real.io, scratch .. "/" .. top, memory.io, "/db"))
      for _, below in ipairs { "/data/", "/indexdb/" } do
        local report = sweep(memory.io, "/db", below, "", 2, false)
        assert.is_true(report.checks > 20)
      end
      real:destroy()
      memory:destroy()
      process.remove_tree(scratch)
    end)
  end
end)

describe("a damaged part", function()
  it("is set aside, and victoria-metrics starts beside it with the other parts", function()
    local scratch = process.scratch("damage")
    crash.path = scratch .. "/db"
    local w = world()
    crash.path = "/db"
    local disk = base.posix()
    base.check(lib.io_copy_tree(w:crash_io(), scratch .. "/db", disk.io, scratch .. "/db"))
    local month = scratch .. "/db/data/small/2024_02"
    local part
    for _, name in ipairs(disk:list(month)) do if name:find("_", 1, true) then part = name end end
    local meta = disk:get(month .. "/" .. part .. "/metaindex.bin")
    disk:put(month .. "/" .. part .. "/metaindex.bin", meta:sub(1, #meta - 3))
    -- our open sets it aside; nothing else happens
    local again = crash.new()
    local out = ffi.new("struct io *[1]", disk.io)
    local rc = lib.tt_world_open_once(again.c, out[0], scratch .. "/db")
    assert.equal(0, rc, base.message())
    again:free()
    assert.is_false(disk:exists(month .. "/" .. part))
    assert.same({ "2024_02_" .. part }, disk:list(scratch .. "/db/tsengine/damaged"))
    local server = assert(peer.start(scratch .. "/db"))
    server:export_to(scratch .. "/export")
    local rows, file = 0, io.open(scratch .. "/export"):read("*a")
    for list in file:gmatch('"timestamps":%[(.-)%]') do rows = rows + select(2, list:gsub("[^,]+", "")) end
    assert.equal(180, rows)
    assert.equal(0, server:stop())
    w:free()
    disk:destroy()
    process.remove_tree(scratch)
  end)
end)
