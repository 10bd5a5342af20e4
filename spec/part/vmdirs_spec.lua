local ffi = require("ffi")
local native = require("spec.support.native")
local parts = require("spec.support.parts")
local vectors = require("spec.support.vectors")
local vmdirs = require("spec.support.vmdirs")
local lib = native.lib

local SPECIAL = { ["+Inf"] = 1 / 0, ["-Inf"] = -1 / 0, ["Infinity"] = 1 / 0, ["-Infinity"] = -1 / 0 }
local STALE = "7ff0000000000002"

describe("parts written by victoria-metrics", function()
  --- How often each (timestamp, value) occurs in the export; a stale marker is "NaN" there.
  local function exported(name)
    local counts, total = {}, 0
    local union = ffi.new("union { double d; uint64_t u; }")
    for _, series in ipairs(vmdirs.export(name)) do
      for i, timestamp in ipairs(series.timestamps) do
        local value = series.values[i]
        local key
        if value == "NaN" then
          key = timestamp .. " " .. STALE
        else
          union.d = SPECIAL[value] or tonumber(value)
          key = timestamp .. " " .. vectors.show_bits(union.u)
        end
        counts[key] = (counts[key] or 0) + 1
        total = total + 1
      end
    end
    return counts, total
  end

  for _, name in ipairs { "values-single-1.79.5", "values-single-1.72.0", "values-cluster-1.72.0-tenant-7_13" } do
    it("hold the samples it exported: " .. name, function()
      local env = lib.tt_part_env_open()
      local path = vmdirs.unpack(name)
      local layout = name:find("cluster", 1, true) and 1 or 0
      local counts, total = exported(name)
      local got, rewritten = parts.place(200000), parts.place(200000)
      local seen, files = 0, vmdirs.part_paths(path)
      assert.are.equal(6, #files)
      for _, part_path in ipairs(files) do
        local part = parts.open(env, layout, part_path)
        native.check(lib.tt_part_verify(env, part))
        native.check(lib.tt_part_rows(env, part, true, false, got.struct))
        for i = 0, tonumber(got.struct.count) - 1 do
          local key = ("%d %s"):format(tonumber(got.timestamp_ms[i]), vectors.show_bits(got.bits[i]))
          assert.is_true((counts[key] or 0) > 0, key)
          counts[key] = counts[key] - 1
          seen = seen + 1
        end
        -- our writer copies its blocks to files of the same bytes, up to the compression of the index
        local copies = path .. "/copies"
        assert(os.execute("mkdir -p " .. copies) == 0)
        local copy_path = parts.write(env, part, copies)
        assert.are.equal(part_path:match("([^/]+)_%x+$"), copy_path:match("([^/]+)_%x+$"))
        for _, file in ipairs { "timestamps.bin", "values.bin" } do
          assert.is_true(parts.read_file(part_path .. "/" .. file) == parts.read_file(copy_path .. "/" .. file))
        end
        local copy = parts.open(env, layout, copy_path)
        native.check(lib.tt_part_rows(env, copy, true, true, rewritten.struct))
        assert.is_nil(parts.difference(got, rewritten))
        lib.part_unref(copy)
        lib.part_unref(part)
      end
      assert.are.equal(total, seen)
      parts.remove(path)
      assert.are.equal(0, tonumber(lib.tt_part_env_close(env)))
    end)
  end

  it("of the cluster are not taken for those of a single node, nor the other way round", function()
    local env, out = lib.tt_part_env_open(), ffi.new("struct part *[1]")
    for name, wrong in pairs { ["values-single-1.79.5"] = 1, ["values-cluster-1.72.0-tenant-7_13"] = 0 } do
      local path = vmdirs.unpack(name)
      for _, part_path in ipairs(vmdirs.part_paths(path)) do
        local rc = lib.tt_part_open(env, wrong, part_path, out)
        if rc == 0 then
          rc = lib.tt_part_verify(env, out[0])
          lib.part_unref(out[0])
        end
        assert.are.equal(3, rc, part_path)
      end
      parts.remove(path)
    end
    assert.are.equal(0, tonumber(lib.tt_part_env_close(env)))
  end)
end)
