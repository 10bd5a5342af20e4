--- Directories that victoria-metrics wrote (1.72 and 1.79.5, single and cluster) open here and hold what it said they hold.
local json = require("spec.support.json")
local module = require("spec.support.module")
local rows = require("spec.compat.peer_rows")

local tsengine = module.tsengine

local FIXTURES = {
  { "values-single-1.72.0", layout = "single", tenant = "0:0" },
  { "values-single-1.79.5", layout = "single", tenant = "0:0" },
  { "values-cluster-1.72.0-tenant-7_13", layout = "cluster", tenant = "7:13" },
  { "names-single-1.79.5", layout = "single", tenant = "0:0" },
  { "names-cluster-1.72.0-tenant-0_0", layout = "cluster", tenant = "0:0" },
  { "names-cluster-1.72.0-tenant-258_513", directory = "names-cluster-1.72.0-tenant-0_0", layout = "cluster", tenant = "258:513" },
}

--- What their writer was asked for: series without a name are in none of its answers.
local NAMED = '{__name__!=""}'

--- Series alias has the label job twice, 1 and 3: the peer lists one of them, JSON shows the other, we list both.
local TWICE = { job = { ["1"] = true, ["3"] = true } }
local function twice(name, label, value) return name:find("^names") and TWICE[label] and TWICE[label][value] end

local function unpack_fixture(name)
  local path = module.directory()
  assert(os.execute(("zstd -dc 'spec/data/vmdirs/%s/dir.tar.zst' | tar -xf - -C '%s'"):format(name, path)) == 0)
  local inner = io.popen(("cd '%s' && find . -maxdepth 3 -type d -name indexdb"):format(path)):read("*l")
  return (path .. "/" .. inner:gsub("/indexdb$", "")):gsub("/%./", "/")
end

--- The values that series of the answer really have: with a filter, 1.79.5 also lists those of deleted series.
local function live_values(name, api, label)
  local have, list = {}, {}
  for _, series in ipairs(api.series) do
    if series[label] then have[series[label]] = true end
  end
  for _, value in ipairs(api.label_values[label]) do
    if have[value] and not twice(name, label, value) then list[#list + 1] = value end
  end
  return list
end

local function read_json(path)
  local file = assert(io.open(path))
  local value = json.decode(file:read("*a"))
  file:close()
  return value
end

local function exported_lines(name) return io.popen(("zstd -dc 'spec/data/vmdirs/%s/export.jsonl.zst'"):format(name)):lines() end

describe("a directory of victoria-metrics", function()
  after_each(module.cleanup)

  for _, fixture in ipairs(FIXTURES) do
    local name = fixture[1]

    it("opens and holds what its writer said: " .. name, function()
      local path = unpack_fixture(fixture.directory or name)
      local api = read_json("spec/data/vmdirs/" .. name .. "/api.json")
      for _, read_only in ipairs { true, false } do
        local db = assert(tsengine.open { path = path, threads = 0, read_only = read_only, tenant = fixture.tenant })
        assert.are.equal(fixture.layout, db:stats().layout or fixture.layout)
        assert.is_nil((rows.difference(rows.read(exported_lines(name)), db, NAMED)))
        assert.is_nil(rows.list_difference(rows.names(api.series), assert(db:series_names(NAMED))))
        assert.is_nil(rows.list_difference(api.labels, assert(db:labels(NAMED))))
        for label in pairs(api.label_values) do
          local ours = {}
          for _, value in ipairs(assert(db:label_values(label, { match = NAMED }))) do
            if not twice(name, label, value) then ours[#ours + 1] = value end
          end
          local difference = rows.list_difference(live_values(name, api, label), ours)
          assert(not difference, label .. ": " .. tostring(difference))
        end
        assert(db:close())
      end
    end)

    it("holds the same after a force merge and another open: " .. name, function()
      local path = unpack_fixture(fixture.directory or name)
      local db = assert(tsengine.open { path = path, threads = 0, tenant = fixture.tenant })
      assert(db:force_merge())
      assert.is_nil((rows.difference(rows.read(exported_lines(name)), db, NAMED)))
      assert(db:close())
      db = assert(tsengine.open { path = path, threads = 0, tenant = fixture.tenant })
      assert.is_nil((rows.difference(rows.read(exported_lines(name)), db, NAMED)))
      assert(db:close())
    end)
  end

  it("of the other layout is refused", function()
    local path = unpack_fixture("names-single-1.79.5")
    local db, message, code = tsengine.open { path = path, threads = 0, layout = "cluster" }
    assert.is_nil(db)
    assert.are.equal("LAYOUT", code)
    assert.matches("single", message)
  end)
end)
