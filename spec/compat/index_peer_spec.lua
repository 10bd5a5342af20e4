--- An index we wrote, opened by the real victoria-metrics: same series for random filters, and what it changes comes back.
local s = require("spec.index.index_support")
local json = require("spec.support.json")
local native = require("spec.support.native")
local victoria_metrics = require("spec.support.victoria_metrics")

local KEYS = { "job", "Job", "instance", "dc", "a", "b", "zone", "i.j", "sensor_type" }
local VALUES = { "1", "2", "3", "a", "b", "ab", "abc", "a.b", "web-1", "web-2", "web-10", "db-1", "foo bar", "x\ny", "день", "A" }
local NAMES = { "up", "cpu", "cpu.load", "cpu.idle", "mem.load", "http_requests_total", "", "имя", ("k"):rep(130) .. ".x" }
local PATTERNS = { ".*", ".+", "", "1|2", "a|ab|", "x|", "web-.*", "web-.+", "web-[12]", "web-\\d+", "(web|db)-1", ".*-1", ".+1.*", "a.*b", "a.*|b", "[ab].*",
  "(?i)a", "a\\.b", "[^a]", "cpu\\..*", "[^.]+\\.load", ".*\\.load", "(cpu|mem)\\.load", "nothing", "день|имя" }

local function pick(list) return list[math.random(#list)] end

local function quoted(text) return '"' .. text:gsub('[\n"\\]', { ["\n"] = "\\n", ['"'] = '\\"', ["\\"] = "\\\\" }) .. '"' end

-- Two bugs of 1.79.5, not asked for:
-- beside another filter on the name it forgets that one when the regexp on the name has a literal suffix with a dot
-- ({__name__="mem.load",__name__=~"[^.]+\\.load"} lists cpu.load too), and it panics ("nameLen must be greater than 0")
-- over an or-list of names with the empty one among them ({Job!="",b!~"[^a]",__name__=~"a|ab|"}).
local function peer_knows(selector)
  local _, names = selector:gsub("__name__", "")
  return not selector:find('__name__=~"[^"]*|"') and (names < 2 or not selector:find('__name__[=!]~"[^"]*%.[^"]*"'))
end

local function any_selector()
  local pieces = {}
  if math.random(3) == 1 then pieces[1] = "__name__=" .. quoted(pick(NAMES)) end
  for _ = 1, math.random(pieces[1] and 0 or 1, 3) do
    local regexp = math.random(2) == 1
    local operator = regexp and pick { "=~", "!~" } or pick { "=", "!=" }
    -- dotted label names are escaped with a backslash there and quoted here: other names will do
    local key = math.random(4) == 1 and "__name__" or pick(KEYS)
    if key == "i.j" then key = "a" end
    pieces[#pieces + 1] = key .. operator .. quoted(regexp and pick(PATTERNS) or math.random(8) == 1 and "" or pick(key == "__name__" and NAMES or VALUES))
  end
  return "{" .. table.concat(pieces, ",") .. "}"
end

local function random_selector()
  local selector
  repeat selector = any_selector() until peer_knows(selector)
  return selector
end

local function peer_keys(peer, selector, from, to)
  local answer = json.decode(peer:get("/api/v1/series", { ["match[]"] = selector, start = from, ["end"] = to }))
  assert(answer.status == "success", selector .. ": " .. tostring(answer.error))
  local keys = {}
  for i, series in ipairs(answer.data) do
    local labels = {}
    for name, value in pairs(series) do labels[#labels + 1] = { name, value } end
    keys[i] = s.key(labels)
  end
  table.sort(keys)
  return keys
end

describe("an index we wrote", function()
  setup(function() math.randomseed(native.seed("index and peer")) end)
  teardown(s.cleanup)

  local function random_labels()
    local labels, seen = {}, {}
    local name = pick(NAMES)
    if name ~= "" then labels[1] = { "__name__", name } end
    for _ = 1, math.random(name == "" and 1 or 0, 5) do
      local key = pick(KEYS)
      if not seen[key:lower()] then labels[#labels + 1] = { key, pick(VALUES) } end
      seen[key:lower()] = true
    end
    return labels
  end

  it("is answered by victoria-metrics as by us", function()
    local root = s.scratch() .. "/storage"
    local index = assert(s.open(root .. "/indexdb", { staging = 200, retention = 100 * 365 * s.DAY }))
    local ids = {}
    for i = 1, 1500 do ids[i] = index:register(random_labels(), s.TODAY - math.random(0, 2)) end
    index:delete { ids[3], ids[300], ids[1200] }
    for _ = 1, 300 do index:register(random_labels(), s.TODAY) end
    index:flush()
    -- composite rows are used from this time on: always (index format 15.2)
    os.execute(("mkdir -p '%s/metadata'"):format(root))
    local file = assert(io.open(root .. "/metadata/minTimestampForCompositeIndex", "wb"))
    file:write(("\0"):rep(8))
    file:close()

    local questions = {}
    for i = 1, 150 do
      local day = s.TODAY - math.random(0, 3)
      local from, to = day * 86400 + 10, (day + math.random(0, 2)) * 86400 + 10
      if math.random(3) == 1 then from, to = 1, s.NOW / 1000 + 86400 end
      local selector = random_selector()
      questions[i] = { selector, from, to, index:keys(selector, from * 1000, to * 1000) }
    end
    local labels = index:labels("{}")
    index:close()

    local peer = assert(victoria_metrics.start(root))
    local wrong
    local ok, message = pcall(function()
      for _, question in ipairs(questions) do
        local keys = peer_keys(peer, question[1], question[2], question[3])
        -- one name may have several ids for us, the peer lists it once; here names are unique but for deleted ones
        if table.concat(keys, "\n") ~= table.concat(question[4], "\n") then
          wrong = ("%s from %d to %d: it finds %d, we %d"):format(question[1], question[2], question[3], #keys, #question[4])
          break
        end
      end
      local answer = json.decode(peer:get("/api/v1/labels", { ["match[]"] = '{__name__!=""}', start = 1, ["end"] = s.NOW / 1000 + 86400 }))
      table.sort(answer.data)
      -- it also lists labels of deleted series
      local theirs = {}
      for _, label in ipairs(answer.data) do theirs[label] = true end
      for _, label in ipairs(labels) do assert(theirs[label], label) end
      peer:get("/api/v1/admin/tsdb/delete_series", { ["match[]"] = '{job="1"}' })
      peer:post("/api/v1/import/prometheus?timestamp=" .. ("%d"):format(s.NOW), 'up{job="2",instance="new one"} 1\n')
      peer:flush()
    end)
    assert.equal(0, peer:stop())
    assert(ok, message)
    assert.is_nil(wrong)

    index = assert(s.open(root .. "/indexdb", { now = s.NOW + 10 * s.DAY }))
    assert.equal(0, #index:search('{job="1"}'))
    assert.equal(1, #index:search('up{job="2",instance="new one"}', s.NOW, s.NOW))
    index:close()
  end)
end)
