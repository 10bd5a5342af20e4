-- Every call of the disk fails once, and every one from there on: with EIO, with ENOSPC, with an fsync that loses what was
-- not yet durable. What must hold then stands in spec/native/fault_sweep.c.
local ffi = require("ffi")
local native = require("spec.support.native")
local lib = native.lib

native.cdef [[
struct tt_fault_plan { int work, fault; bool for_ever; uint64_t first, stride; };
struct tt_fault_report { uint64_t runs, failed, bad, states; char first[2048]; };
int tt_fault_sweep(const struct tt_fault_plan *plan, int64_t now_ms, struct tt_fault_report *report);
]]

local NOW = 1710936000000
local works = { "open", "flush", "force merge", "snapshot", "search", "a new month", "index flush and merge", "background work",
  "delete of series", "retention drop" }
local FAULT = { EIO = 0, ENOSPC = 1, FSYNC_LOSES = 2, MEMORY = 3 }

local function sweep(work, fault, for_ever, stride)
  local report = ffi.new("struct tt_fault_report")
  local plan = ffi.new("struct tt_fault_plan", { work = work, fault = fault, for_ever = for_ever, first = 1, stride = stride or 1 })
  native.check(lib.tt_fault_sweep(plan, NOW, report))
  return report
end

local function check(name, fault, for_ever, stride)
  local total, failed = 0, 0
  for i, work in ipairs(works) do
    -- background work has ten times the allocations of the others, most of them alike
    local thin = fault == FAULT.MEMORY and work == "background work" and 5 or 1
    if os.getenv("TSE_SANITIZED") then thin = thin * 5 end
    local report = sweep(i - 1, fault, for_ever, (stride or 1) * thin)
    assert.equal(0, tonumber(report.bad), work .. ": " .. ffi.string(report.first))
    total, failed = total + tonumber(report.runs), failed + tonumber(report.failed)
  end
  io.stderr:write(("  %-32s %5d failing calls, %5d reported by the work itself\n"):format(name, total, failed))
  assert.is_true(total > 20)
end

describe("a disk with", function()
  it("one EIO loses nothing durable, and the host lives", function() check("EIO once", FAULT.EIO, false) end)
  it("nothing but EIO loses nothing durable, and the host lives", function() check("EIO for ever", FAULT.EIO, true, 3) end)
  it("one ENOSPC goes on by itself", function() check("ENOSPC once", FAULT.ENOSPC, false) end)
  it("no space for ever still answers, and goes on when space is back", function() check("ENOSPC for ever", FAULT.ENOSPC, true) end)
  it("an fsync that fails once and loses what was not durable loses nothing that was promised", function()
    check("fsync fails and loses", FAULT.FSYNC_LOSES, false)
  end)
end)

describe("memory that runs out", function()
  it("at one allocation is reported, changes nothing, and the next try works", function() check("memory once", FAULT.MEMORY, false, 3) end)
  it("for ever is reported, and all goes on when there is some again", function() check("memory for ever", FAULT.MEMORY, true, 7) end)
end)
