--- The small modules, and the declarations against the library.
local ffi = require("ffi")
local module = require("spec.support.module")
local duration = require("tsengine.duration")
local metric = require("tsengine.metric")
local core = require("tsengine.ffi")

describe("durations and sizes", function()
  it("are read as written", function()
    local cases = {
      ["1s"] = 1000, ["5m"] = 300000, ["6h"] = 21600000, ["30d"] = 30 * 86400000, ["1w"] = 7 * 86400000, ["1y"] = 365 * 86400000,
      ["15ms"] = 15, ["1.5h"] = 5400000, ["1h30m"] = 5400000, [" 2s "] = 2000, ["-1h"] = -3600000, ["0s"] = 0,
      [""] = "none", ["5"] = "none", ["h"] = "none", ["5x"] = "none", ["1h 30m"] = "none", ["-"] = "none", ["1e9y"] = "none",
      ["99999999999y"] = "none", ["0x5s"] = "none",
    }
    for text, ms in pairs(cases) do assert.are.equal(ms, duration.parse(text) or "none", text) end
    assert.are.equal(1500, duration.parse(1500.7))
    assert.is_nil(duration.parse(0 / 0))
    assert.is_nil(duration.parse(1 / 0))
    assert.is_nil(duration.parse(true))
    local sizes = {
      ["64MB"] = 64e6, ["64MiB"] = 64 * 2 ^ 20, ["1.5kB"] = 1500, ["2 GiB"] = 2 ^ 31, ["100"] = 100, ["7B"] = 7, ["0"] = 0,
      ["x"] = "none", [""] = "none", ["-1MB"] = "none", ["5 parsecs"] = "none",
    }
    for text, bytes in pairs(sizes) do assert.are.equal(bytes, duration.parse_size(text) or "none", text) end
    assert.is_nil(duration.parse_size(-1))
    assert.is_nil(duration.parse_size(1 / 0))
  end)
end)

describe("metrics as tables", function()
  it("become canonical text and labels again", function()
    local cases = {
      { { __name__ = "cpu" }, "cpu" },
      { { __name__ = "cpu", b = "2", a = "1" }, 'cpu{a="1",b="2"}' },
      { { a = "x" }, '{a="x"}' },
      { { __name__ = "a-b", c = "d" }, '{__name__="a-b",c="d"}' },
      { { __name__ = "a", ["c d"] = 'e"\\\nf' }, 'a{"c d"="e\\"\\\\\\nf"}' },
      { { __name__ = "ns:x", n = "{},=" }, 'ns:x{n="{},="}' },
      { {}, "{}" },
    }
    for _, case in ipairs(cases) do
      assert.are.equal(case[2], metric.text(case[1]))
      assert.are.same(case[1], metric.labels(case[2]))
    end
    assert.are.equal('m{n="5"}', metric.text { __name__ = "m", n = 5 })
  end)

  it("agree with the core's text for random bytes", function()
    local seed = tonumber(os.getenv("TSE_SEED") or "") or os.time()
    print("seed of metric tables: " .. seed)
    math.randomseed(seed)
    local db = module.open()
    local function text(n)
      local bytes = {}
      for i = 1, math.random(1, n) do bytes[i] = string.char(math.random(1, 255)) end
      return table.concat(bytes)
    end
    for round = 1, 500 do
      local labels = { __name__ = math.random() < 0.5 and "m" or text(6), round = tostring(round) }
      for _ = 1, math.random(0, 4) do labels[text(5)] = text(8) end
      assert(db:add(labels, module.NOON, round))
      local iterator = db:select(('{round="%d"}'):format(round))
      local series = iterator()
      assert.are.same(labels, series.labels)
      assert.are.equal(metric.text(labels), series.metric)
      iterator:close()
    end
    module.cleanup()
  end)
end)

describe("the declarations", function()
  --- struct -> names of its fields, as the header declares them.
  local function declared_fields()
    local header = assert(io.open("csrc/ffi/tsengine.h")):read("*a"):gsub("/%*.-%*/", "")
    local structs = {}
    for struct, body in header:gmatch("struct (tse_[%l_]+) (%b{})") do
      local names = {}
      for statement in body:sub(2, -2):gmatch("[^;]+") do
        for part in (statement .. ","):gmatch("([^,]*),") do
          local name = part:gsub("%[.-%]", ""):match("([%w_]+)%s*$")
          if name then names[#names + 1] = name end
        end
      end
      structs[struct] = names
    end
    return structs
  end

  it("agree with the library in size and offset of every field", function()
    local offsets, ends = {}, {}
    for line in ffi.string(core.C.tse_abi_layout()):gmatch("[^\n]+") do
      local struct, field, offset, size = line:match("^([%l_]+)%.([%l_]+) (%d+) (%d+)$")
      assert.is_truthy(struct, line)
      offsets[struct .. "." .. field] = tonumber(offset)
      ends[struct] = math.max(ends[struct] or 0, offset + size)
    end
    local structs, fields = 0, 0
    for struct, names in pairs(declared_fields()) do
      structs = structs + 1
      for _, name in ipairs(names) do
        fields = fields + 1
        assert.are.equal(offsets[struct .. "." .. name], ffi.offsetof("struct " .. struct, name), struct .. "." .. name)
      end
      assert.are.equal(math.ceil(ends[struct] / 8) * 8, ffi.sizeof("struct " .. struct), struct)
    end
    local known = 0
    for _ in pairs(offsets) do known = known + 1 end
    assert.are.equal(fields, known)
    assert.is_true(structs >= 11)
  end)

  it("declare functions that the library has", function()
    local header = assert(io.open("csrc/ffi/tsengine.h")):read("*a")
    local functions = 0
    for name in header:gmatch("[%s*](tse_[%l_]+)%(") do
      assert.is_truthy(core.C[name], name)
      functions = functions + 1
    end
    assert.is_true(functions > 40)
  end)

  it("refuse a library of another version", function()
    local code, output = module.run([[
      local ffi = require("ffi")
      local load = ffi.load
      ffi.load = function(path)
        local core = load(path)
        return setmetatable({ tse_abi_version = function() return 999 end }, { __index = core })
      end
      require("tsengine")
    ]])
    assert.are.equal(1, code)
    assert.matches("interface version 999", output, 1, true)
  end)
end)
