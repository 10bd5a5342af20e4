-- A suite that finds nothing proves nothing: here every fsync and every rename of the engine's order is left out once, and
-- the same enumeration must find the crash that it was there for.
local ffi = require("ffi")
local base = require("spec.base.support")
local crash = require("spec.crash.world")
local lib = base.lib

--- What may be left out, with the reason. Anything else must be missed.
local harmless = {
  ["a flush into two months"] = {
    ["fsync dir /db/data/small/2024_02$"] = "the same directory is fsynced again after the part's rename",
    ["fsync dir /db/data/big/2024_02$"] = "an empty month of the big tree is made again by the next open",
    ["fsync dir /db/data/big$"] = "the same",
    ["fsync dir /db/data/small/2024_0[23]/tmp$"] = "fsync of the month makes the rename of the part certain, wherever it came from",
  },
  ["flush and merge of the index"] = {
    ["fsync dir /db/data/small/2024_03/tmp$"] = "the same",
    ["fsync .*/timestamps.bin$"] = "empty: one row per series needs no bytes there",
    ["fsync .*/values.bin$"] = "the same",
    ["rename /db/indexdb/%x+/tmp/"] = "merged sources that stay are items twice in a set",
  },
}

--- Records the operation with the n-th call of a kind left out; nil when it has no n-th.
local function run_without(operation, kind, n)
  local plan = ffi.new("struct io_fault_plan", { fail_at = n, leave_out = true, calls = base.call[kind] })
  local world
  crash.at_checkpoint = function(w)
    world = w
    lib.io_fault_plan(w:io(), plan)
  end
  local ok, message = pcall(operation.run)
  crash.at_checkpoint = nil
  local left_out = tonumber(lib.io_fault_injected(world:io())) > 0 and ffi.string(lib.io_fault_last(world:io())):gsub("^left out %d+: ", "")
  if not left_out then
    world:free()
    return nil
  end
  if ok then return left_out, world end
  world:free()
  return left_out, nil, message
end

local function is_harmless(operation, left_out)
  for pattern in pairs(harmless[operation.name] or {}) do
    if left_out:find(pattern) then return true end
  end
  return false
end

-- a sanitizer needs to see the code once
local names = os.getenv("TSE_SANITIZED") and { "a small merge" } or { "a flush into two months", "a small merge", "a big merge", "flush and merge of the index" }

for _, name in ipairs(names) do
  local operation
  for _, o in ipairs(crash.operations) do if o.name == name then operation = o end end

  describe(name, function()
    for _, kind in ipairs { "FSYNC", "FSYNC_DIR", "RENAME" } do
      it("without any one " .. kind:lower():gsub("_", " of a "):gsub("dir$", "directory") .. " breaks its promise, and that is found", function()
        local found, refused, n = 0, 0, 1
        while true do
          local left_out, world, message = run_without(operation, kind, n)
          if not left_out then break end
          if not world then
            -- the engine itself stumbles over what is missing: noticed at once
            assert.truthy(message)
            refused = refused + 1
          elseif not is_harmless(operation, left_out) then
            local report = world:enumerate { weak_per_point = 24, seed = n, stop_at_first = true, backward = true }
            world:free()
            assert.is_true(report.bad > 0, left_out .. " can be left out unnoticed")
            found = found + 1
          else
            world:free()
          end
          n = n + 1
        end
        io.stderr:write(("  %s: %d left out one at a time, %d found by a crash, %d at once\n"):format(kind:lower(), n - 1, found, refused))
        assert.is_true(found + refused > 0)
      end)
    end
  end)
end
