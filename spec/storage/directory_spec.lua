--- The directory: what is refused, what is kept, what is tidied up.
local module = require("spec.support.module")
local process = require("spec.support.process")
local support = require("spec.storage.support")

local NOON = support.NOON
local tsengine = support.tsengine

local function shell(command) return process.output(command) end

local function exists(path) return os.execute("test -e " .. process.quote(path)) == 0 end

local function made()
  local db, clock, path = module.open()
  assert(db:add('cpu{a="b"}', NOON, 1))
  assert(db:close())
  return path, clock
end

describe("a directory", function()
  after_each(module.cleanup)

  it("gets the peer's files: locks, eight zero bytes, two generations", function()
    local path = made()
    assert.are.equal("0000000000000000", shell(("od -An -tx1 '%s/metadata/minTimestampForCompositeIndex'"):format(path)):gsub("%s", ""))
    for _, name in ipairs { "flock.lock", "data/flock.lock", "data/small/2026_11/txn", "data/big/2026_11/tmp" } do
      assert.is_true(exists(path .. "/" .. name), name)
    end
    assert.are.equal("2", shell(("ls '%s/indexdb' | grep -cE '^[0-9A-F]{16}$'"):format(path)):gsub("%s", ""))
  end)

  it("keeps the time from which composite rows are there", function()
    local path = made()
    shell(("printf '\\000\\000\\001\\002\\003\\004\\005\\006' > '%s/metadata/minTimestampForCompositeIndex'"):format(path))
    local db = assert(tsengine.open { path = path, threads = 0 })
    assert(db:add("x", nil, 1))
    assert(db:close())
    assert.are.equal("0000010203040506", shell(("od -An -tx1 '%s/metadata/minTimestampForCompositeIndex'"):format(path)):gsub("%s", ""))
  end)

  it("loses the peer's caches with the first row, not before", function()
    local path = made()
    shell(("mkdir -p '%s/cache/metricName_tsid' && echo x > '%s/cache/metricName_tsid/y'"):format(path, path))
    local db = assert(tsengine.open { path = path, threads = 0 })
    assert.are.equal(1, #db:series_names())
    assert.is_true(exists(path .. "/cache"))
    assert(db:add("new", nil, 1))
    assert.is_false(exists(path .. "/cache"))
    assert(db:close())
  end)

  it("of a newer victoria-metrics or with a restore going on is refused and not touched", function()
    for _, name in ipairs { "data/small/2026_11/parts.json", "data/big/2026_11/parts.json", "restore-in-progress" } do
      local path = made()
      shell(("echo '[]' > '%s/%s'"):format(path, name))
      local before = shell(("cd '%s' && find . -printf '%%p %%s %%T@\\n' | sort"):format(path))
      local db, message, code = tsengine.open { path = path, threads = 0 }
      assert.is_nil(db)
      assert.are.equal("LAYOUT", code)
      assert.matches(name:match("[^/]+$"), message, 1, true)
      assert.are.equal(before, shell(("cd '%s' && find . -printf '%%p %%s %%T@\\n' | sort"):format(path)))
    end
  end)

  it("that is a file is refused", function()
    local path = module.directory() .. "/file"
    shell(("echo x > '%s'"):format(path))
    local db, _, code = tsengine.open { path = path }
    assert.is_nil(db)
    assert.are.equal("LAYOUT", code)
  end)

  it("may be moved, and reached by a symbolic link", function()
    local path = made()
    shell(("mv '%s' '%s.moved' && ln -s '%s.moved' '%s'"):format(path, path, path, path))
    local db = assert(tsengine.open { path = path, threads = 0 })
    assert.are.same({ 'cpu{a="b"}' }, db:series_names())
    assert(db:close())
  end)
end)

describe("a snapshot", function()
  after_each(module.cleanup)

  it("has the shape that the peer expects", function()
    local db, _, path = module.open()
    assert(db:add('cpu{a="b"}', NOON, 1))
    local name, place = db:snapshot()
    assert.matches("^20261105120000%-%x+$", name)
    assert.are.equal(path .. "/snapshots/" .. name, place)
    for link, target in pairs { ["data/small"] = "../../../data/small/snapshots/", ["data/big"] = "../../../data/big/snapshots/",
      indexdb = "../../indexdb/snapshots/" } do
      assert.are.equal(target .. name, (shell(("readlink '%s/%s'"):format(place, link)):gsub("\n", "")))
    end
    assert.is_true(exists(place .. "/metadata/minTimestampForCompositeIndex"))
    for _, tree in ipairs { "small", "big" } do assert.is_true(exists(("%s/data/%s/snapshots/%s/2026_11"):format(path, tree, name))) end
    -- nothing but parts, generations and their files: no locks, no tmp, no txn
    assert.are.equal("", shell(("find -L '%s' -name flock.lock -o -name tmp -o -name txn"):format(place)))
  end)

  it("refuses names that the peer would not see, names that exist, and unknown ones to delete", function()
    local db = module.open()
    for _, name in ipairs { "x", "20261105120000", "20261105120000-", "20261105120000-XYZ", "20261305120000-AB", "../20261105120000-AB" } do
      local ok, _, code = db:snapshot(name)
      assert.is_nil(ok)
      assert.are.equal("FORMAT", code)
    end
    assert(db:snapshot("20261105120000-AB"))
    local ok, message = db:snapshot("20261105120000-AB")
    assert.is_nil(ok)
    assert.matches("exists", message)
    assert.are.same({ "20261105120000-AB" }, db:snapshots())
    assert(db:delete_snapshot("20261105120000-AB"))
    local gone, _, code = db:delete_snapshot("20261105120000-AB")
    assert.is_nil(gone)
    assert.are.equal("NOTFOUND", code)
  end)

  it("that a crash left half made or half deleted goes away at the next open", function()
    local db, _, path = module.open()
    assert(db:add("cpu", NOON, 1))
    local name = assert(db:snapshot())
    local kept = assert(db:snapshot())
    assert(db:close())
    shell(("mv '%s/snapshots/%s' '%s/tsengine/snapshots/'"):format(path, name, path))
    db = assert(tsengine.open { path = path, threads = 0 })
    assert.are.same({ kept }, db:snapshots())
    assert.are.equal("", shell(("find '%s' -name %s"):format(path, name)))
    assert(db:close())
  end)
end)
