--- Searching: the peer's directories against what the peer said, and random filters against a naive evaluator.
local s = require("spec.index.index_support")
local json = require("spec.support.json")
local native = require("spec.support.native")
local vmdirs = require("spec.support.vmdirs")
local parts = require("spec.support.parts")

local function read_api(name)
  local file = assert(io.open("spec/data/vmdirs/" .. name .. "/api.json", "rb"))
  local api = json.decode(file:read("*a"))
  file:close()
  return api
end

local function key_of_object(object)
  local labels = {}
  for name, value in pairs(object) do labels[#labels + 1] = { name, value } end
  return s.key(labels)
end

--- JSON cannot hold bytes that are no UTF-8: the peer wrote U+FFFD for them.
local function as_json_text(text)
  local out, at = {}, 1
  while at <= #text do
    local c = text:byte(at)
    local n = c < 0x80 and 1 or c >= 0xC2 and c <= 0xDF and 2 or c >= 0xE0 and c <= 0xEF and 3 or c >= 0xF0 and c <= 0xF4 and 4 or 0
    local piece = text:sub(at, at + n - 1)
    local valid = n > 0 and #piece == n
    for i = 2, n do valid = valid and piece:byte(i) and piece:byte(i) >= 0x80 and piece:byte(i) <= 0xBF end
    if valid then
      out[#out + 1] = piece
      at = at + n
    else
      out[#out + 1] = "\239\191\189"
      at = at + 1
    end
  end
  return table.concat(out)
end

local function labels_as_json(labels)
  local object = {}
  for _, label in ipairs(labels) do object[as_json_text(label[1])] = as_json_text(label[2]) end
  return object
end

--- Equal as sets; the message names a few of the differences, not two long lists.
local function assert_same_sets(expected, found, what)
  local seen, wrong = {}, {}
  for _, text in ipairs(expected) do seen[text] = true end
  for _, text in ipairs(found) do
    if not seen[text] then wrong[#wrong + 1] = "unexpected " .. text:sub(1, 200) end
    seen[text] = "found"
  end
  for _, text in ipairs(expected) do
    if seen[text] ~= "found" then wrong[#wrong + 1] = "missing " .. text:sub(1, 200) end
  end
  if wrong[1] then error(("%s: %d differences, e.g. %s"):format(what, #wrong, table.concat(wrong, "\n", 1, math.min(5, #wrong))), 2) end
end

local function set_of(list)
  local set = {}
  for _, text in ipairs(list) do set[text] = true end
  return set
end

local function keys_of(set)
  local list = {}
  for text in pairs(set) do list[#list + 1] = text end
  return list
end

local function map(fn, list)
  local out = {}
  for i, item in ipairs(list) do out[i] = fn(item) end
  return out
end

--- label -> set of values of the live and of the deleted series of a tenant, from the items themselves; third: of keys that
-- are twice in a name, the values behind the first.
local function values_by_label(index, tenant)
  local deleted, names = {}, {}
  local prefix = index.layout == 1 and ("%08x%08x"):format(tenant[1], tenant[2]):gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end) or ""
  for which = 0, 1 do
    for _, item in ipairs(index:items(which)) do
      if item:byte() == 4 then deleted[item:sub(2)] = true end
      if item:byte() == 3 and item:sub(2, 1 + #prefix) == prefix then
        names[item:sub(2 + #prefix, 9 + #prefix)] = item:sub(10 + #prefix)
      end
    end
  end
  local live, dead, later = {}, {}, {}
  for id, name in pairs(names) do
    local into = deleted[id] and dead or live
    local seen = {}
    into.__name__ = into.__name__ or {}
    for _, label in ipairs(assert(index:decode(name))) do
      local key, value = as_json_text(label[1]), as_json_text(label[2])
      into[key] = into[key] or {}
      into[key][value] = true
      later[key] = later[key] or {}
      if seen[key] then later[key][value] = true end
      seen[key] = true
    end
  end
  return live, dead, later
end

local directories = {
  { "names-single-1.79.5", "single", { 0, 0 } },
  { "values-single-1.79.5", "single", { 0, 0 } },
  { "values-single-1.72.0", "single", { 0, 0 } },
  { "names-cluster-1.72.0-tenant-0_0", "cluster", { 0, 0 } },
  { "names-cluster-1.72.0-tenant-258_513", "cluster", { 258, 513 }, "names-cluster-1.72.0-tenant-0_0" },
  { "values-cluster-1.72.0-tenant-7_13", "cluster", { 7, 13 } },
}

describe("a directory the peer wrote", function()
  for _, case in ipairs(directories) do
    local name, layout, tenant, archive = case[1], case[2], case[3], case[4] or case[1]

    it("answers as the peer did: " .. name, function()
      local path = vmdirs.unpack(archive)
      local api = read_api(name)
      local detected, known = require("ffi").new("int[1]"), require("ffi").new("bool[1]")
      s.check(s.lib.tt_index_detect(path .. "/indexdb", detected, known))
      assert.is_true(known[0])
      assert.equal(layout == "cluster" and 1 or 0, detected[0])

      for _, read_only in ipairs { true, false } do
        local index = assert(s.open(path .. "/indexdb", { layout = layout, read_only = read_only }))
        local opts = { tenant = tenant }
        local expected, found = {}, {}
        for i, series in ipairs(api.series) do expected[i] = key_of_object(series) end
        -- the peer lists what {__name__!=""} matches
        for i, series in ipairs(index:search("{}", nil, nil, opts)) do found[i] = key_of_object(labels_as_json(series.labels)) end
        assert_same_sets(expected, found, "series")

        -- With a match the peer also lists what only deleted series have (index format 13.2): we must not.
        -- Of a key that is twice in a name it lists only the first value; we list all.
        local live, dead, later = values_by_label(index, tenant)
        local named = {}
        for label, values in pairs(api.label_values) do named[label] = set_of(values) end
        for _, label in ipairs(index:labels("{}", nil, nil, opts)) do
          local peers = assert(named[as_json_text(label)], label)
          for _, value in ipairs(index:values(label, "{}", nil, nil, opts)) do
            assert(peers[as_json_text(value)] or later[as_json_text(label)][as_json_text(value)], label .. "=" .. value .. " is unknown to the peer")
            peers[as_json_text(value)] = nil
          end
        end
        for label, values in pairs(named) do
          for value in pairs(values) do assert(dead[label] and dead[label][value], label .. "=" .. value .. " is missing") end
        end
        -- Without a match: exactly what the names of live series have.
        assert_same_sets(keys_of(live), map(as_json_text, index:labels(nil, nil, nil, opts)), "label names")
        for _, label in ipairs(index:labels(nil, nil, nil, opts)) do
          assert_same_sets(keys_of(live[as_json_text(label)]), map(as_json_text, index:values(label, nil, nil, nil, opts)), "values of " .. label)
        end
        assert.equal(0, index:stat("missing_tsids"))
        index:close()
      end
      parts.remove(path)
    end)
  end
end)

-- Random series and filters ------------------------------------------------------------------------------------------

local DAY = s.DAY
local KEYS = { "job", "Job", "instance", "dc", "a", "b", "zone", "\254x", "\255y", "ключ", "a\1b", "i.j" }
local VALUES = { "1", "2", "3", "a", "b", "ab", "abc", "a.b", "a|b", "web-1", "web-2", "web-10", "db-1", "foo bar", "x\ny", "a\nb", "\0", "a\1b", "a\2", "день", "A", "Web-1", "\200\201" }
local NAMES = { "up", "cpu", "cpu.load", "cpu.idle", "mem.load", "a", "web-1", "http_requests_total", "", "", "имя", "n\1.m", ("k"):rep(130) .. ".x" }

--- Patterns with what they mean on one value ("" is a missing label): written out by hand, not by any regexp engine.
local function is_in(...)
  local set = {}
  for _, v in ipairs { ... } do set[v] = true end
  return function(v) return set[v] == true end
end
local function no_newline(v) return not v:find("\n", 1, true) end
local PATTERNS = {
  { ".*", function() return true end },
  { ".+", function(v) return v ~= "" end },
  { "", is_in("") },
  { "1", is_in("1") },
  { "1|2", is_in("1", "2") },
  { "a|ab|", is_in("a", "ab", "") },
  { "x|", is_in("x", "") },
  { "web-.*", function(v) return v:sub(1, 4) == "web-" end },
  { "web-.+", function(v) return v:sub(1, 4) == "web-" and #v > 4 end },
  { "web-[12]", is_in("web-1", "web-2") },
  { "web-\\d", is_in("web-1", "web-2") },
  { "web-\\d+", is_in("web-1", "web-2", "web-10") },
  { "(web|db)-1", is_in("web-1", "db-1") },
  { "(?:web|db)-1?", is_in("web-1", "db-1", "web-", "db-") },
  { ".*-1", function(v) return v:sub(-2) == "-1" end },
  { ".+1.*", function(v) return v:find("1", 2, true) ~= nil end },
  { ".*b", function(v) return v:sub(-1) == "b" end },
  { "a.*b", function(v) return #v >= 2 and v:sub(1, 1) == "a" and v:sub(-1) == "b" end },
  { "a.+", function(v) return #v >= 2 and v:sub(1, 1) == "a" end },
  { "a.*b.*", function(v) return v:sub(1, 1) == "a" and v:find("b", 2, true) ~= nil end },
  { ".*a.*b", function(v) return v:find("a.*b$") ~= nil and no_newline(v) end },
  { "a.*|b", function(v) return v == "b" or (v:sub(1, 1) == "a" and no_newline(v)) end },
  { "[ab].*", function(v) return v:find("^[ab]") ~= nil and no_newline(v) end },
  { "(?i)web-1", is_in("web-1", "Web-1") },
  { "(?i)a", is_in("a", "A") },
  { "a\\.b", is_in("a.b") },
  { "^ab?$", is_in("a", "ab") },
  { "ab{1}", is_in("ab") },
  { "[^a]", is_in("1", "2", "3", "b", "A", "\0") },
  { "день|имя", is_in("день", "имя") },
  { "cpu\\..*", function(v) return v:sub(1, 4) == "cpu." end },
  { "[^.]+\\.load", is_in("cpu.load", "mem.load") },
  { ".*\\.load", function(v) return v:sub(-5) == ".load" end },
  { "(cpu|mem)\\.load", is_in("cpu.load", "mem.load") },
  { "nothing", is_in("nothing") },
  { ".*.*", no_newline },
}

--- The filter rules of index format 12.4, on a list of labels.
local function filter_matches(filter, labels)
  local values = {}
  for _, label in ipairs(labels) do
    if label[1] == filter.key and label[2] ~= "" then values[#values + 1] = label[2] end
  end
  local any = false
  for _, value in ipairs(values) do any = any or filter.test(value) end
  if filter.text == ".*" and filter.regexp then
    if filter.negative then return #values == 0 end
    return true
  end
  local empty = filter.test("")
  if not filter.negative then return any or (#values == 0 and empty) end
  if any then return false end
  return not (empty and #values == 0)
end

local function group_matches(group, labels)
  local left = 0
  for _, filter in ipairs(group) do
    if not (filter.regexp and filter.text == ".*" and not filter.negative) then left = left + 1 end
    if not filter_matches(filter, labels) then return false end
  end
  if left > 0 then return true end
  for _, label in ipairs(labels) do if label[1] == "__name__" then return true end end
  return false
end

local function quoted(text)
  return '"' .. text:gsub('[%z\1-\31"\\]', function(c) return ("\\x%02x"):format(c:byte()) end) .. '"'
end

local function pick(list) return list[math.random(#list)] end

local function random_filter()
  local on_name = math.random(4) == 1
  local filter = { key = on_name and "__name__" or pick(KEYS), negative = math.random(3) == 1 }
  if math.random(2) == 1 then
    filter.text = math.random(8) == 1 and "" or pick(on_name and NAMES or VALUES)
    local text = filter.text
    filter.test = function(v) return v == text end
    filter.operator = filter.negative and "!=" or "="
  else
    local pattern = pick(PATTERNS)
    filter.regexp, filter.text, filter.test = true, pattern[1], pattern[2]
    filter.operator = filter.negative and "!~" or "=~"
  end
  return filter
end

local function random_group()
  local group, pieces = {}, {}
  local name
  if math.random(3) == 1 then
    name = pick(NAMES)
    if name ~= "" then
      group[1] = { key = "__name__", text = name, test = function(v) return v == name end }
      pieces[1] = quoted(name)
    end
  end
  for _ = 1, math.random(0, 3) do
    local filter = random_filter()
    group[#group + 1] = filter
    pieces[#pieces + 1] = quoted(filter.key) .. filter.operator .. quoted(filter.text)
  end
  return group, "{" .. table.concat(pieces, ",") .. "}"
end

local function random_labels()
  local labels, seen = {}, {}
  local name = pick(NAMES)
  if name ~= "" then labels[1] = { "__name__", name } end
  for _ = 1, math.random(name == "" and 1 or 0, 5) do
    local key = pick(KEYS)
    if not seen[key] then
      seen[key] = true
      labels[#labels + 1] = { key, pick(VALUES) }
    end
  end
  if math.random(20) == 1 then
    -- equal keys with others of the same rank between them stay two tags (index format 8.2)
    labels = { labels[1] or { "__name__", "dup" }, { "job", pick(VALUES) }, { "Job", pick(VALUES) }, { "job", pick(VALUES) } }
  end
  return labels
end

--- What the index keeps of labels, by its own canonical form (tested elsewhere).
local function stored_labels(index, labels) return assert(index:decode(assert(index:canonical(labels)))) end

local function expected_keys(all, groups, from_day, to_day, tenant)
  local keys = {}
  for _, series in pairs(all) do
    if not series.deleted and series.tenant[1] == tenant[1] then
      local in_range = from_day == nil
      for day in pairs(series.days) do in_range = in_range or (day >= from_day and day <= to_day) end
      local matches = false
      for _, group in ipairs(groups) do matches = matches or group_matches(group, series.labels) end
      if in_range and matches then keys[#keys + 1] = s.key(series.labels) end
    end
  end
  table.sort(keys)
  return keys
end

local function check_random_searches(index, all, tenants, n)
  for _ = 1, n do
    local groups, texts = {}, {}
    for i = 1, math.random(6) == 1 and 3 or 1 do groups[i], texts[i] = random_group() end
    local tenant = pick(tenants)
    local opts = { tenant = tenant }
    local from, to, from_day, to_day
    if math.random(2) == 1 then
      from_day = s.TODAY - math.random(0, 3)
      to_day = from_day + math.random(0, 2)
      from, to = from_day * DAY, to_day * DAY + 5000
    end
    local found = index:keys(texts, from, to, opts)
    assert.same(expected_keys(all, groups, from_day, to_day, tenant), found, table.concat(texts, " or ") .. (" days %s to %s"):format(tostring(from_day), tostring(to_day)))
    if math.random(4) == 1 then
      local names, values, label = {}, {}, pick(KEYS)
      for _, series in ipairs(index:search(texts, from, to, opts)) do
        names.__name__ = true
        for _, pair in ipairs(series.labels) do
          names[pair[1]] = true
          if pair[1] == label then values[pair[2]] = true end
        end
      end
      local function sorted(set)
        local list = {}
        for text in pairs(set) do list[#list + 1] = text end
        table.sort(list)
        return list
      end
      assert.same(sorted(names), index:labels(texts, from, to, opts))
      assert.same(sorted(values), index:values(label, texts, from, to, opts))
    end
  end
end

local function run_random(layout, series_count, staging)
  local index = assert(s.open(nil, { layout = layout, staging = staging }))
  local tenants = layout == "cluster" and { { 0, 0 }, { 7, 13 } } or { { 0, 0 } }
  local all, ids = {}, {}

  local function register_some(n, day)
    for _ = 1, n do
      local tenant = pick(tenants)
      local labels = stored_labels(index, random_labels())
      local id = index:register(labels, day, tenant)
      local text = tostring(id)
      if not all[text] then
        all[text] = { id = id, labels = labels, tenant = tenant, days = {} }
        ids[#ids + 1] = text
      end
      all[text].days[day] = true
    end
  end

  for day = s.TODAY - 3, s.TODAY do register_some(series_count / 4, day) end
  check_random_searches(index, all, tenants, 120)
  index:flush()
  check_random_searches(index, all, tenants, 100)
  index:reopen()
  check_random_searches(index, all, tenants, 100)
  register_some(series_count / 4, s.TODAY)
  local gone = {}
  for _ = 1, 30 do
    local series = all[pick(ids)]
    if not series.deleted then
      gone[#gone + 1] = series.id
      series.deleted = true
    end
  end
  index:delete(gone)
  check_random_searches(index, all, tenants, 120)
  register_some(series_count / 4, s.TODAY - 1) -- some of the deleted names come back under new ids
  index:force_merge()
  check_random_searches(index, all, tenants, 120)
  index:reopen()
  check_random_searches(index, all, tenants, 100)
  index:close()
end

describe("random filters", function()
  setup(function() math.randomseed(native.seed("index search")) end)
  teardown(s.cleanup)

  it("find what a naive evaluator finds, single layout", function() run_random("single", 400, 100) end)
  it("find what a naive evaluator finds, cluster layout", function() run_random("cluster", 400, 64) end)
end)

describe("filters on many series", function()
  teardown(s.cleanup)

  it("find the same whichever of them is read first, and whether rows or names are", function()
    local index = assert(s.open(nil, { staging = 3000 }))
    local n = 10000
    for i = 1, n do
      index:register { { "__name__", i % 2 == 0 and "even.name" or "odd" }, { "job", "one" }, { "half", i % 2 == 0 and "a" or "b" }, { "n", tostring(i) },
        { "tens", tostring(math.floor(i / 10)) } }
    end
    index:register { { "__name__", "rare" }, { "half", "b" } }
    for round = 1, 2 do
      for _, case in ipairs {
        { '{job="one"}', n }, -- more ids than a good first set has
        { '{job="one",half="a"}', n / 2 }, { '{half="a",job=~"one|two"}', n / 2 }, { '{job="one",half="b",n="777"}', 1 }, { '{job="one",half="a",n="777"}', 0 },
        { '{tens="7",job="one",half!="a"}', 5 }, { 'odd{job="one",n=~"77.*"}', 56 }, { '{__name__="odd",job="one"}', n / 2 }, { 'odd{half="a"}', 0 },
        { '{job="one",n!~"[0-8].*"}', 1111 }, { '{job="one",missing=~"x|",half=~"a|"}', n / 2 }, { '{job="one",half!~"a|"}', n / 2 }, { '{job!="one"}', 1 },
        { '{__name__="odd",__name__=~"rare|rarer",half="b"}', 0 }, { '{__name__=~"rare|rarer",half="b"}', 1 },
        { '{__name__=~"even\\\\..*",tens=~"99.",half="a"}', 50 }, { '{__name__!="odd",job="one",n=~".*0"}', 1000 },
        { '{n=~"1|2|3",job="one",__name__=~".+"}', 3 }, { '{tens="0"}', 9 }, { '{tens="0",n!="3",job!="two"}', 8 },
      } do
        assert.equal(case[2], #assert(index:search(case[1])), case[1])
        assert.equal(case[2], #assert(index:search(case[1], s.NOW, s.NOW)), case[1] .. " of today")
      end
      assert.equal(0, #index:search('{job="one"}', s.NOW + s.DAY, s.NOW + s.DAY))
      if round == 1 then
        index:force_merge()
        index:reopen()
      end
    end
    index:close()
  end)
end)
