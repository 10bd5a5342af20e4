--- The generator of the devops load: what it promises about its lines.
local process = require("spec.support.process")

local FIELDS = { "usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq", "usage_softirq",
  "usage_steal", "usage_guest", "usage_guest_nice" }
local TAGS = { "hostname", "region", "datacenter", "rack", "os", "arch", "team", "service", "service_version",
  "service_environment" }

local function generate(options) return process.output("luajit bench/gen_devops.lua " .. options) end

--- lines = list of {tags = text, values = {10 texts}, timestamp = text}
local function parse(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    local tags, fields, timestamp = line:match("^cpu,(%S+) (%S+) (%d+)$")
    assert(tags, line)
    local values, names = {}, {}
    for name, value in fields:gmatch("([%w_]+)=([^,]+)") do
      names[#names + 1] = name
      values[#values + 1] = value
    end
    assert.same(FIELDS, names)
    lines[#lines + 1] = { tags = tags, values = values, timestamp = timestamp }
  end
  return lines
end

describe("The devops load", function()
  it("has a line of ten integers per host and tick, hosts in order", function()
    local lines = parse(generate("--hosts 7 --hours 0.5 --interval 60 --start 2024-02-29T23:45:00Z"))
    assert.equal(7 * 30, #lines)
    local tags = {}
    for i, line in ipairs(lines) do
      local host, tick = (i - 1) % 7, math.floor((i - 1) / 7)
      assert.equal("host_" .. host, line.tags:match("^hostname=([^,]+)"))
      assert.equal(("%d000000000"):format(1709250300 + tick * 60), line.timestamp)
      tags[host] = tags[host] or line.tags
      assert.equal(tags[host], line.tags)
      for _, value in ipairs(line.values) do
        local n = tonumber(value:match("^(%d+)i$"))
        assert(n and n >= 0 and n <= 100, value)
      end
    end
  end)

  it("gives each host ten tags in order, drawn from the lists", function()
    local regions = {}
    for _, line in ipairs(parse(generate("--hosts 300 --hours 0.003"))) do
      local names, tags = {}, {}
      for name, value in line.tags:gmatch("([%w_]+)=([^,]+)") do
        names[#names + 1] = name
        tags[name] = value
      end
      assert.same(TAGS, names)
      assert.equal(tags.region, tags.datacenter:sub(1, -2))
      assert(tonumber(tags.rack) < 100 and tonumber(tags.service) < 20 and tonumber(tags.service_version) < 2)
      regions[tags.region] = true
    end
    local count = 0
    for _ in pairs(regions) do count = count + 1 end
    assert.equal(9, count)
  end)

  it("walks by normal steps within 0 and 100", function()
    local lines = parse(generate("--hosts 1 --hours 20 --float"))
    local steps, sum, squares, at_ends = 0, 0, 0, 0
    for i = 2, #lines do
      for j = 1, 10 do
        local a, b = tonumber(lines[i - 1].values[j]), tonumber(lines[i].values[j])
        assert(b >= 0 and b <= 100)
        if b == 0 or b == 100 or a == 0 or a == 100 then
          at_ends = at_ends + 1
        else
          steps, sum, squares = steps + 1, sum + b - a, squares + (b - a) ^ 2
        end
      end
    end
    assert(steps > 60000 and at_ends > 0)
    assert(math.abs(sum / steps) < 0.03)
    assert(math.abs(math.sqrt(squares / steps) - 1) < 0.03)
  end)

  it("is the same for the same seed, and another for another", function()
    local one = generate("--hosts 3 --hours 0.1 --seed 5")
    assert.equal(one, generate("--hosts 3 --hours 0.1 --seed 5"))
    assert.are_not.equal(one, generate("--hosts 3 --hours 0.1 --seed 6"))
  end)

  it("says the same in Prometheus text", function()
    local influx = parse(generate("--hosts 2 --hours 0.05"))
    local i = 0
    for line in generate("--hosts 2 --hours 0.05 --format prom"):gmatch("[^\n]+") do
      local from = influx[math.floor(i / 10) + 1]
      local field = i % 10 + 1
      local labels = from.tags:gsub("=([^,]+)", '="%1"')
      assert.equal(("cpu_%s{%s} %s %s"):format(FIELDS[field], labels, from.values[field]:sub(1, -2), from.timestamp:sub(1, -7)), line)
      i = i + 1
    end
    assert.equal(#influx * 10, i)
  end)

  it("refuses unknown options", function()
    assert.are_not.equal(0, os.execute("luajit bench/gen_devops.lua --host 5 2>/dev/null"))
    assert.are_not.equal(0, os.execute("luajit bench/gen_devops.lua --format csv 2>/dev/null"))
    assert.are_not.equal(0, os.execute("luajit bench/gen_devops.lua --hosts x 2>/dev/null"))
  end)
end)
