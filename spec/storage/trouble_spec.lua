--- What breaks while a database is open is told by events, once.
local module = require("spec.support.module")

local NOON = module.NOON

local function kinds(db)
  local list = {}
  for event in db:events() do list[#list + 1] = event end
  return list
end

--- Steps an idle database a few times and returns what it had to tell.
local function step_and_take(db)
  for _ = 1, 5 do db:step(1000) end
  return kinds(db)
end

local function fill(db, from)
  local series = assert(db:series("trouble"))
  local state = 42
  for i = 1, 2000 do
    state = (state * 1103515245 + 12345) % 2147483648
    assert(series:add(from + i * 1000, state))
  end
end

local function part_path(db, path, file)
  local part = db:parts()[1]
  local pipe = io.popen(("find %s -path '*%s/%s'"):format(path, part.name, file))
  local found = pipe:read("*l")
  pipe:close()
  return assert(found)
end

describe("trouble while a database is open", function()
  after_each(module.cleanup)

  it("a month that becomes read-only is told with its name and the reason", function()
    local db, _, path = module.open()
    fill(db, NOON)
    local month = db:partitions()[1].name
    assert.are.equal(0, os.execute(("find %s/data -type d -name tmp -exec rmdir {} +"):format(path)))
    local done, _, code = db:flush()
    assert.is_nil(done)
    assert.are.equal("READONLY", code)
    local events = step_and_take(db)
    assert.are.equal(1, #events)
    assert.are.same({ "read_only", month, "READONLY" }, { events[1].kind, events[1].partition, events[1].code })
    assert.is_truthy(events[1].reason:find("tmp", 1, true))
    assert.are.same({}, step_and_take(db))
  end)

  it("a part that a query finds damaged is told with its name", function()
    local db, _, path = module.open()
    fill(db, NOON)
    assert(db:flush())
    local name = db:parts()[1].name
    local file = assert(io.open(part_path(db, path, "values.bin"), "r+"))
    local size = file:seek("end")
    file:seek("set", 0)
    file:write(("\255"):rep(size))
    file:close()
    for _ = 1, 2 do
      for series in db:select("trouble") do assert(series.count) end
    end
    local events = step_and_take(db)
    assert.are.equal(1, #events)
    assert.are.equal("damaged", events[1].kind)
    assert.is_truthy(events[1].reason:find(name, 1, true))
  end)
end)
