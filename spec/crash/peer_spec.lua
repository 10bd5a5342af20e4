-- The same promise, held by the real victoria-metrics: it must start on what a crash leaves and give the same rows.
local native = require("spec.support.native")
local base = require("spec.base.support")
local crash = require("spec.crash.world")
local peer = require("spec.support.victoria_metrics")

local seed = native.seed("crash states for victoria-metrics")
local process = require("spec.support.process")
local STATES = os.getenv("TSE_SANITIZED") and 1 or 10 -- of each of the ten operations

describe("victoria-metrics", function()
  local scratch
  setup(function()
    scratch = process.scratch("crash")
    crash.path = scratch .. "/db"
  end)
  teardown(function()
    crash.path = "/db"
    process.remove_tree(scratch)
  end)

  it("is installed", function() assert.is_true(peer.available()) end)

  for _, operation in ipairs(crash.operations) do
    it("opens what a crash leaves of " .. operation.name, function()
      local world = operation.run()
      local ops = world:ops()
      for i = 1, STATES do
        -- spread over the journal, never the same points twice
        local k = math.floor((i - 1 + ((seed * 7919 + i * 104729) % 1000) / 1000) * ops / STATES) + 1
        local choice
        if i % 3 == 0 then
          choice = { model = base.model.WEAK, seed = seed * 131 + i }
        else
          choice = { model = base.model.ORDERED, data = (seed + i) % 4 }
        end
        local complaint = world:peer_complaint(k, choice)
        assert.is_nil(complaint, ("operation %d of %d, model %d: %s"):format(k, ops, choice.model, tostring(complaint)))
      end
      world:free()
    end)
  end
end)
