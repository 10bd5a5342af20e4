--- Whatever happens in between, a query answers what a simple model of the same rows answers.
local module = require("spec.support.module")
local native = require("spec.support.native")
local support = require("spec.storage.support")

local NOON, DAY = support.NOON, support.DAY

local NAMES = { "cpu", "mem", "disk_io", "http.requests" }
local HOSTS = { "a", "b", "c", "web-1", "web-2" }

local function metric_of(name, host)
  if name:find(".", 1, true) then return ('{__name__="%s",host="%s"}'):format(name, host) end
  return ('%s{host="%s"}'):format(name, host)
end

--- A selector and the same as a function of the canonical name.
local function random_match()
  local kind = math.random(6)
  local host, name = HOSTS[math.random(#HOSTS)], NAMES[math.random(3)]
  if kind == 1 then return name, function(m) return m:find("^" .. name .. "{") ~= nil end end
  if kind == 2 then return ('{host="%s"}'):format(host), function(m) return m:find('host="' .. host .. '"', 1, true) ~= nil end end
  if kind == 3 then return ('{host=~"web-.*"}'), function(m) return m:find('host="web-', 1, true) ~= nil end end
  if kind == 4 then
    return ('%s{host!="%s"}'):format(name, host), function(m)
      return m:find("^" .. name .. "{") ~= nil and not m:find('host="' .. host .. '"', 1, true)
    end
  end
  if kind == 5 then return metric_of(name, host), function(m) return m == metric_of(name, host) end end
  return nil, function() return true end
end

local function random_ms() return NOON - math.random(0, 70) * DAY + math.random(-40000000, 40000000) end

--- Random operations on a database and on the model; every few a query is compared.
local function run(seed, operations, options)
  math.randomseed(seed)
  local clock = support.tsengine.clock.manual(NOON)
  local path = module.directory() .. "/db"
  local all = { path = path, threads = 0, clock = clock, future_limit = "3650d" }
  for k, v in pairs(options or {}) do all[k] = v end
  local function open() return assert(support.tsengine.open(all)) end
  local db, model, handles = open(), support.model(), {}
  local text = {}

  local function add_one()
    local name, host = NAMES[math.random(#NAMES)], HOSTS[math.random(#HOSTS)]
    local metric, ms, value = metric_of(name, host), random_ms(), math.random(-1000, 100000)
    assert(db:add(metric, ms, value))
    model:add(metric, ms, value)
  end
  local function add_by_handle()
    local metric = metric_of(NAMES[math.random(#NAMES)], HOSTS[math.random(#HOSTS)])
    handles[metric] = handles[metric] or assert(db:series(metric))
    local times, values = {}, {}
    local base = random_ms()
    for i = 1, math.random(1, 300) do
      times[i], values[i] = base + i * 15000, math.random(0, 1000)
      model:add(metric, times[i], values[i])
    end
    assert(db:series(metric) ~= nil)
    assert.are.equal(#times, assert(handles[metric]:add_columns(times, values, #times)))
  end
  local function write_lines()
    text = {}
    for _ = 1, math.random(1, 40) do
      local host, ms = HOSTS[math.random(#HOSTS)], random_ms()
      local a, b = math.random(0, 1000), math.random(0, 1000)
      text[#text + 1] = ("net,host=%s rx=%d,tx=%d %d000000"):format(host, a, b, ms)
      model:add(('net_rx{host="%s"}'):format(host), ms, a)
      model:add(('net_tx{host="%s"}'):format(host), ms, b)
    end
    assert.are.equal(2 * #text, assert(db:write("influx", table.concat(text, "\n"))))
  end
  local function delete()
    local match, wanted = random_match()
    if not match then return end
    local in_model = 0
    for metric in pairs(model.series) do in_model = in_model + (wanted(metric) and 1 or 0) end
    assert.are.equal(model:delete(wanted), assert(db:delete { match = match }))
  end
  local function reopen()
    assert(db:close())
    handles = {}
    db = open()
  end
  local function compare()
    local match, wanted = random_match()
    local from, to = random_ms(), random_ms()
    if from > to then from, to = to, from end
    if math.random(3) == 1 then from, to = 0, NOON + 4000 * DAY end
    local difference = support.difference(model:rows(wanted, from, to), support.rows(db, match, from, to))
    assert(not difference, ("%s: %s from %d to %d"):format(tostring(difference), tostring(match), from, to))
  end

  local weighted = { { 40, add_one }, { 10, add_by_handle }, { 10, write_lines }, { 2, delete }, { 1, reopen },
    { 2, function() assert(db:flush()) end }, { 1, function() assert(db:force_merge()) end },
    { 20, function() db:step() end }, { 5, function() support.settle(db) end },
    { 8, function() clock:advance(math.random(0, 3000)) end }, { 1, function() clock:advance(math.random(0, 2) * DAY) end }, { 25, compare } }
  local total = 0
  for _, entry in ipairs(weighted) do total = total + entry[1] end
  for _ = 1, operations do
    local pick = math.random(total)
    for _, entry in ipairs(weighted) do
      pick = pick - entry[1]
      if pick <= 0 then
        entry[2]()
        break
      end
    end
  end
  -- and the whole of it, now and after a restart
  for _ = 1, 2 do
    local difference = support.difference(model:rows(function() return true end, 0, NOON + 5000 * DAY),
      support.rows(db, nil, 0, NOON + 5000 * DAY))
    assert(not difference, difference)
    reopen()
  end
  assert(db:close())
end

describe("a query", function()
  after_each(module.cleanup)

  it("answers what a model answers, at every moment of random work", function()
    run(native.seed("moments"), 1500)
  end)

  it("does so with tiny shards and merges of two", function()
    run(native.seed("moments with tiny shards"), 800, { flush = { shard_rows = 64, shards = 2 }, merge = { params = { fan = 2 } } })
  end)

  it("does so in the cluster layout", function()
    run(native.seed("moments in the cluster layout"), 500, { layout = "cluster", tenant = "3:4" })
  end)

  it("does so with background threads", function()
    run(native.seed("moments with threads"), 500, { threads = 3 })
  end)
end)
