--- Writes the load of TSBS "devops, cpu-only" as text: hosts of a data centre, ten CPU gauges each, one point per tick.
--
--   luajit bench/gen_devops.lua [--hosts 100] [--hours 24] [--interval 10] [--start 2016-01-01T00:00:00Z] [--seed 123]
--                               [--float] [--format influx|prom] [--out FILE]
--
-- Written from the definition of the workload (timescale/tsbs, use case cpu-only): a host has ten tags, drawn once; its
-- ten fields start uniformly in [0, 100) and move by N(0, 1) per tick, kept within [0, 100]. All hosts write at each tick,
-- in order. Values are cut to integers unless --float is given. Timestamps: ns for influx, ms for prom. The numbers drawn
-- are our own (xoroshiro128+, polar method), so that a seed gives the same bytes everywhere.
local ffi = require("ffi")
local bit = require("bit")

local REGIONS = {
  { "us-east-1", "abce" }, { "us-west-1", "ab" }, { "us-west-2", "abc" }, { "eu-west-1", "abc" }, { "eu-central-1", "ab" },
  { "ap-southeast-1", "ab" }, { "ap-southeast-2", "ab" }, { "ap-northeast-1", "ac" }, { "sa-east-1", "abc" },
}
local SYSTEMS = { "Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10" }
local ARCHITECTURES = { "x64", "x86" }
local TEAMS = { "SF", "NYC", "LON", "CHI" }
local ENVIRONMENTS = { "production", "staging", "test" }
local TAGS = { "hostname", "region", "datacenter", "rack", "os", "arch", "team", "service", "service_version", "service_environment" }
local FIELDS = { "usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait", "usage_irq", "usage_softirq",
  "usage_steal", "usage_guest", "usage_guest_nice" }
local FLUSH_BYTES = 1048576 -- text is collected up to here before it is written

--- Random numbers -------------------------------------------------------------------------------------------------

--- A generator of uniform numbers in [0, 1): xoroshiro128+ (Blackman, Vigna 2018) seeded by splitmix64.
local function uniform_of(seed)
  local x = ffi.cast("uint64_t", seed)
  local function splitmix()
    x = x + 0x9E3779B97F4A7C15ULL
    local z = x
    z = bit.bxor(z, bit.rshift(z, 30)) * 0xBF58476D1CE4E5B9ULL
    z = bit.bxor(z, bit.rshift(z, 27)) * 0x94D049BB133111EBULL
    return bit.bxor(z, bit.rshift(z, 31))
  end
  local a, b = splitmix(), splitmix()
  return function()
    local sum = a + b
    b = bit.bxor(a, b)
    a = bit.bxor(bit.rol(a, 24), b, bit.lshift(b, 16))
    b = bit.rol(b, 37)
    return tonumber(bit.rshift(sum, 11)) * 2 ^ -53
  end
end

--- A generator of N(0, 1) numbers: Marsaglia's polar method, which makes two at a time.
local function normal_of(uniform)
  local spare
  return function()
    if spare then
      local one = spare
      spare = nil
      return one
    end
    local u, v, s
    repeat
      u, v = 2 * uniform() - 1, 2 * uniform() - 1
      s = u * u + v * v
    until s > 0 and s < 1
    local factor = math.sqrt(-2 * math.log(s) / s)
    spare = v * factor
    return u * factor
  end
end

--- Hosts ----------------------------------------------------------------------------------------------------------

local function pick(uniform, list) return list[1 + math.floor(uniform() * #list)] end

--- The tag values of host i, in the order of TAGS.
local function draw_tags(uniform, i)
  local region = pick(uniform, REGIONS)
  local letter = 1 + math.floor(uniform() * #region[2])
  local rack = math.floor(uniform() * 100)
  local architecture, system = pick(uniform, ARCHITECTURES), pick(uniform, SYSTEMS)
  local service, version = math.floor(uniform() * 20), math.floor(uniform() * 2)
  local environment, team = pick(uniform, ENVIRONMENTS), pick(uniform, TEAMS)
  return { "host_" .. i, region[1], region[1] .. region[2]:sub(letter, letter), rack, system, architecture, team, service,
    version, environment }
end

--- What stands before each of a host's values: ten texts.
local function prefixes(format, tags)
  local labels, texts = {}, {}
  for i, name in ipairs(TAGS) do
    labels[i] = format == "influx" and ("%s=%s"):format(name, tags[i]) or ('%s="%s"'):format(name, tags[i])
  end
  for i, field in ipairs(FIELDS) do
    if format == "prom" then
      texts[i] = ("cpu_%s{%s} "):format(field, table.concat(labels, ","))
    elseif i == 1 then
      texts[i] = ("cpu,%s %s="):format(table.concat(labels, ","), field)
    else
      texts[i] = "," .. field .. "="
    end
  end
  return texts
end

--- Text -----------------------------------------------------------------------------------------------------------

local Writer = {}
Writer.__index = Writer

local function new_writer(out)
  return setmetatable({ out = out, room = ffi.new("uint8_t[?]", FLUSH_BYTES + 65536), used = 0 }, Writer)
end

function Writer:flush()
  self.out:write(ffi.string(self.room, self.used))
  self.used = 0
end

--- One host at one tick. `state` is its ten values from index `first` on; `behind` follows a value, `line_end` a line.
function Writer:point(texts, state, first, options, line_end)
  local room, used = self.room, self.used
  local influx = options.format == "influx"
  for j = 0, 9 do
    local text = texts[j + 1]
    ffi.copy(room + used, text, #text)
    used = used + #text
    local value = options.integers[math.floor(state[first + j])]
    if options.float then value = ("%.16g"):format(state[first + j]) end
    ffi.copy(room + used, value, #value)
    used = used + #value
    if not influx or j == 9 then
      ffi.copy(room + used, line_end, #line_end)
      used = used + #line_end
    end
  end
  self.used = used
  if used >= FLUSH_BYTES then self:flush() end
end

--- All ticks of all hosts.
local function generate(options, out)
  local uniform = uniform_of(options.seed)
  local normal = normal_of(uniform)
  local hosts, texts = options.hosts, {}
  local state = ffi.new("double[?]", hosts * 10)
  local writer = new_writer(out)
  options.integers = {}
  for i = 0, 100 do options.integers[i] = options.format == "influx" and i .. "i" or tostring(i) end
  for host = 0, hosts - 1 do
    for j = 0, 9 do state[host * 10 + j] = uniform() * 100 end
    texts[host] = prefixes(options.format, draw_tags(uniform, host))
  end
  local ticks = math.floor(options.hours * 3600 / options.interval)
  for tick = 0, ticks - 1 do
    local seconds = ("%.0f"):format(options.start + tick * options.interval)
    local line_end = " " .. seconds .. (options.format == "influx" and "000000000\n" or "000\n")
    for host = 0, hosts - 1 do writer:point(texts[host], state, host * 10, options, line_end) end
    for i = 0, hosts * 10 - 1 do
      local value = state[i] + normal()
      state[i] = value < 0 and 0 or value > 100 and 100 or value
    end
  end
  writer:flush()
end

--- Command line -----------------------------------------------------------------------------------------------------

local function usage(message)
  io.stderr:write(message, "\nusage: luajit bench/gen_devops.lua [--hosts N] [--hours H] [--interval SECONDS] ",
    "[--start TIME] [--seed N] [--float] [--format influx|prom] [--out FILE]\n")
  os.exit(2)
end

--- Seconds since 1970 of "2016-01-01T00:00:00Z" or of a number.
local function parse_time(text)
  local year, month, day, hour, minute, second = text:match("^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)Z$")
  if not year then return tonumber(text) end
  local y, m = tonumber(year), tonumber(month)
  if m <= 2 then y, m = y - 1, m + 12 end
  -- days from the civil date, counted from March so that the leap day is the last of a year
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400) + math.floor((153 * (m - 3) + 2) / 5) + day - 719469
  return ((days * 24 + hour) * 60 + minute) * 60 + second
end

local function parse_arguments(list)
  local options = { hosts = 100, hours = 24, interval = 10, start = "2016-01-01T00:00:00Z", seed = 123, format = "influx" }
  local i = 1
  while i <= #list do
    local name = list[i]:match("^%-%-(%a+)$")
    if name == "float" then
      options.float = true
    elseif name and (options[name] or name == "out") and list[i + 1] then
      i = i + 1
      options[name] = list[i]
    else
      usage("unknown or incomplete option " .. list[i])
    end
    i = i + 1
  end
  for _, name in ipairs { "hosts", "hours", "interval", "seed" } do
    options[name] = tonumber(options[name]) or usage("--" .. name .. " wants a number")
    if options[name] <= 0 then usage("--" .. name .. " must be positive") end
  end
  options.start = parse_time(options.start) or usage("--start wants 2016-01-01T00:00:00Z or seconds")
  if options.format ~= "influx" and options.format ~= "prom" then usage("--format is influx or prom") end
  return options
end

local options = parse_arguments(arg)
local out = options.out and assert(io.open(options.out, "wb")) or io.stdout
generate(options, out)
out:close()
