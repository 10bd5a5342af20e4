local native = require("spec.support.native")
local crash = require("spec.crash.world")

local seed = native.seed("crash states")
-- under a sanitizer every state costs ten times as much: there it is the same code that counts, not every state
local sanitized = os.getenv("TSE_SANITIZED") ~= nil

for _, operation in ipairs(crash.operations) do
  describe(operation.name .. ", interrupted by a crash anywhere,", function()
    local world
    setup(function() world = operation.run() end)
    teardown(function() world:free() end)

    it("opens again by itself with every acknowledged row, and none twice", function()
      local report = world:enumerate { weak_per_point = sanitized and 2 or operation.weak or 24,
        recovery_every = sanitized and 20 or 5, go_on_every = 9, stride = sanitized and 3 or 1, seed = seed }
      io.stderr:write(("  %-36s %4d operations, %6d states, %5d different, %5d crashes in recovery, %d bad\n"):format(
        operation.name, world:ops(), report.states, report.opened, report.recoveries, report.bad))
      assert.equal(0, report.bad, report.first)
      assert.is_true(report.opened > world:ops() / (sanitized and 6 or 2))
      assert.is_true(report.recoveries > 0 and report.went_on > 0)
    end)
  end)
end
