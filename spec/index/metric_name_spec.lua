--- Stored names: canonical order, limits, escapes (index format 8).
local s = require("spec.index.index_support")
local native = require("spec.support.native")

describe("a stored name", function()
  local index, cluster
  setup(function()
    index = assert(s.open())
    cluster = assert(s.open(nil, { layout = "cluster" }))
  end)
  teardown(function()
    index:close()
    cluster:close()
    s.cleanup()
  end)

  local function stored(labels) return (assert(index:canonical(labels))) end

  --- The order of label names in the stored name, as text.
  local function order(...)
    local labels = { { "__name__", "m" } }
    for _, name in ipairs { ... } do labels[#labels + 1] = { name, "v" } end
    local names = {}
    for i, label in ipairs(assert(index:decode(stored(labels)))) do names[i] = label[1] end
    return table.concat(names, " ", 2)
  end

  it("is group, keys and values, each escaped and ended by 01", function()
    assert.equal("up\1job\1api\1zone\1a\1", stored { { "zone", "a" }, { "__name__", "up" }, { "job", "api" } })
    assert.equal("a\0000\1b\0001\1c\0002d\1", stored { { "__name__", "a\0" }, { "b\1", "c\2d" } })
    assert.equal("\1a\1b\1", stored { { "a", "b" } })
  end)

  it("starts with the tenant in the cluster layout", function()
    assert.equal("\0\0\1\2\0\0\2\1up\1", (assert(cluster:canonical({ { "__name__", "up" } }, { 258, 513 }))))
  end)

  it("has the special keys first, in the order of their table", function()
    local special = { "namespace", "ns", "datacenter", "dc", "environment", "env", "cluster", "service", "job", "model", "type",
      "sensor_type", "db", "instance", "host", "server", "pod", "node", "device", "tenant", "client", "name", "measurement" }
    math.randomseed(native.seed("metric name"))
    for _ = 1, 20 do
      local mixed = { "a", "zz", "Z" }
      for _, name in ipairs(special) do table.insert(mixed, math.random(#mixed + 1), name) end
      local names = {}
      for i, name in ipairs(special) do names[i] = name end
      assert.equal(table.concat(names, " ") .. " Z a zz", order(unpack(mixed)))
    end
  end)

  it("gives upper-case first letters the same place, and SensorType that of sensor_type", function()
    for _, name in ipairs { "Namespace", "Ns", "Datacenter", "Dc", "Environment", "Env", "Cluster", "Service", "Job", "Model", "Type",
      "Sensor_type", "SensorType", "Db", "Instance", "Host", "Server", "Pod", "Node", "Device", "Tenant", "Client", "Name", "Measurement" } do
      assert.equal(name .. " A", order("A", name), name)
    end
    for _, name in ipairs { "sensorType", "JOB", "jobs", "jo", "hosT", "Names" } do
      assert.equal(name < "a" and name .. " a" or "a " .. name, order("a", name), name)
    end
    -- equal places keep the order of arrival
    assert.equal("Job job", order("Job", "job"))
    assert.equal("job Job", order("job", "Job"))
  end)

  it("keeps the last of equal keys that are neighbours, and both when another key of the same place is between", function()
    assert.equal("m\1a\0012\1b\0013\1", stored { { "__name__", "m" }, { "a", "1" }, { "b", "3" }, { "a", "2" } })
    assert.equal("m\1job\0011\1Job\0012\1job\0013\1", stored { { "__name__", "m" }, { "job", "1" }, { "Job", "2" }, { "job", "3" } })
  end)

  it("drops empty values, takes an empty label name as the group, and the last group", function()
    assert.equal("m\1b\1x\1", stored { { "__name__", "m" }, { "a", "" }, { "b", "x" } })
    assert.equal("n\1b\1x\1", stored { { "__name__", "m" }, { "b", "x" }, { "", "n" } })
    local name, message, code = index:canonical { { "a", "" }, { "__name__", "" } }
    assert.is_nil(name)
    assert.equal(12, code)
    assert.matches("name", message)
  end)

  it("is cut to the limits, which are counted", function()
    local many = { { "__name__", "many" } }
    for i = 1, 40 do many[#many + 1] = { ("l%02d"):format(i), "v" } end
    local name, cuts = index:canonical(many)
    assert.equal(30, #index:decode(name))
    assert.equal(11, cuts.dropped)
    name, cuts = index:canonical { { "__name__", ("n"):rep(300) }, { ("k"):rep(300), ("v"):rep(20000) } }
    local labels = index:decode(name)
    assert.equal(300, #labels[1][2])
    assert.equal(256, #labels[2][1])
    assert.equal(16384, #labels[2][2])
    assert.same({ dropped = 0, names = 1, values = 1 }, cuts)
  end)

  it("must fit an index item", function()
    local labels = { { "__name__", "m" } }
    for i = 1, 3 do labels[#labels + 1] = { "k" .. i, ("v"):rep(16384) } end
    labels[#labels + 1] = { "last", ("v"):rep(16000) }
    assert.is_string((index:canonical(labels)))
    assert.is_truthy(index:register(labels))
    index:flush()
    assert.equal(1, #index:search('{last=~"v.*"}', s.NOW, s.NOW))
    labels[#labels] = { "last", ("\1"):rep(16000) } -- doubled by its escapes
    local name, _, code = index:canonical(labels)
    assert.is_nil(name)
    assert.equal(12, code)
  end)

  it("comes back as it was", function()
    math.randomseed(native.seed("metric name round trip"))
    for _ = 1, 500 do
      local labels, seen = { { "__name__", "m" } }, {}
      for _ = 1, math.random(0, 8) do
        local key, value = "", ""
        for _ = 1, math.random(1, 6) do key = key .. string.char(math.random(0, 255)) end
        for _ = 1, math.random(1, 12) do value = value .. string.char(math.random(0, 4) == 0 and math.random(0, 3) or math.random(0, 255)) end
        if not seen[key] then labels[#labels + 1] = { key, value } end
        seen[key] = true
      end
      assert.equal(s.key(labels), s.key(assert(index:decode(stored(labels)))))
    end
  end)

  it("that is damaged is corruption", function()
    for _, name in ipairs { "", "up", "up\1job", "up\1job\1api", "up\1\0003\1x\1", "up\1a\0\1x\1" } do
      local labels, _, code = index:decode(name)
      assert.is_nil(labels, name)
      assert.equal(3, code)
    end
  end)
end)
