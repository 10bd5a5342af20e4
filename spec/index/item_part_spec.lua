local ffi = require("ffi")
local support = require("spec.index.item_support")
local native = require("spec.support.native")
local base, lib = support.base, support.lib

local here = debug.getinfo(1, "S").source:match("@?(.*)/spec/index/") or "."

local function dump(disk, path, name)
  local text, rc = support.with_bufs(disk.mem, 1, function(out)
    return lib.tt_item_dump_part(disk.io, disk.mem, path, name or path:match("[^/]+$"), out)
  end)
  return text, rc
end

describe("parts written by the peer", function()
  local disk, root, remove

  setup(function()
    disk = base.posix()
    root, remove = base.scratch()
  end)
  teardown(function()
    assert.equal(0, tonumber(disk.counters.open_files))
    local mem = disk.mem
    disk:destroy()
    assert.equal(0, tonumber(mem.live_blocks))
    remove()
  end)

  local function unpacked(store)
    if not disk:exists(root .. "/" .. store) then
      disk:mkdir(root .. "/" .. store)
      assert(os.execute(("tar --zstd -xf '%s/spec/data/vmdirs/%s/dir.tar.zst' -C '%s/%s'"):format(here, store, root, store)) == 0)
    end
  end

  for line in io.lines(here .. "/spec/data/index/peer_items.txt") do
    local path, count, hash = line:match("^(%S+) (%d+) (%x+)$")
    local store, part = path:match("^[^/]+"), path:match("/(%d+_%d+_%x+)$")
    if part then
      it("hold the items that an independent reader finds: " .. path, function()
        unpacked(store)
        local text = assert(dump(disk, root .. "/" .. path))
        local items = support.unframe(text)
        assert.equal(tonumber(count), #items)
        assert.equal(hash, support.hash(text))
        assert.is_true(support.is_sorted(items))
      end)
    else
      it("make a table that gives all their items in order: " .. path, function()
        unpacked(store)
        local t = assert(support.open(disk, root .. "/" .. path, { read_only = true }))
        local items = t:items()
        assert.equal(tonumber(count), #items)
        assert.equal(hash, support.hash(support.frame(items)))
        for i = 1, #items, 97 do assert.equal(items[i], (t:find(items[i]))) end
        t:close()
      end)

      it("keep their meaning through a merge of ours: " .. path, function()
        unpacked(store)
        local cluster = store:find("cluster", 1, true) and 8 or 0
        local t = assert(support.open(disk, root .. "/" .. path, { prefix_bytes = cluster }))
        local before = t:items()
        lib.item_table_force_merge(t.table)
        assert.equal(0, (t:run()))
        assert.equal(1, #t:parts())
        local after = t:items()
        assert.is_true(#after <= #before)
        assert.is_true(support.is_sorted(after))
        assert.is_nil(support.difference(support.meaning(before, cluster), support.meaning(after, cluster)))
        t:close()
        t = assert(support.open(disk, root .. "/" .. path))
        assert.same(after, t:items())
        t:close()
        -- for the checks behind it: the next test of this directory unpacks it anew
        disk:remove_tree(root .. "/" .. store)
      end)
    end
  end
end)

describe("a part written by us", function()
  local disk

  before_each(function()
    disk = base.crash()
    disk:mkdir("/p")
  end)
  after_each(function()
    assert.equal(0, tonumber(disk.counters.open_files))
    local mem = disk.mem
    disk:destroy()
    assert.equal(0, tonumber(mem.live_blocks))
  end)

  local function write(items, level)
    local framed, name = support.frame(items), ffi.new("struct item_part_name")
    native.check(lib.tt_item_write_part(disk.io, disk.mem, "/p/new", support.bytes(framed), level or -5, name))
    name.suffix = 0x18E9B803629FC745ULL
    local text = ffi.new("char[64]")
    lib.item_part_name_format(name, text)
    local path = "/p/" .. ffi.string(text)
    disk:rename("/p/new", path)
    return path
  end

  local function many(n)
    local items = {}
    for i = 1, n do items[i] = ("\3%08d name of the series number %d with some label value %d"):format(i, i * 7919 % 1000, i) end
    return items
  end

  it("says in its name and metadata what it holds", function()
    local path = write { "aa", "ab", "ac" }
    assert.equal("/p/3_1_18E9B803629FC745", path)
    assert.equal('{\n\t"ItemsCount": 3,\n\t"BlocksCount": 1,\n\t"FirstItem": "6161",\n\t"LastItem": "6163"\n}', disk:get(path .. "/metadata.json"))
    local metaindex, index = support.with_bufs(disk.mem, 2, function(m, i)
      return lib.tt_item_index_content(disk.io, disk.mem, path, m, i)
    end)
    assert.equal("026161" .. "00000001" .. "0000000000000000" .. ("%08x"):format(#disk:get(path .. "/index.bin")), support.hex(metaindex))
    assert.equal("0161" .. "026161" .. "00" .. "00000003" .. ("0"):rep(32) .. "00000002" .. "00000010", support.hex(index))
    assert.equal("bc", disk:get(path .. "/items.bin"))
  end)

  it("gives back what was written, over many blocks and index blocks", function()
    local items = many(30000)
    for i = 1, 40 do items[#items + 1] = ("\4%02d"):format(i) .. ("z"):rep(40000) end
    local path = write(items)
    assert.same(items, support.unframe(assert(dump(disk, path))))
    assert.truthy(path:find("/30040_%d+_"))
  end)

  it("gives back single items of every length up to the limit", function()
    for _, n in ipairs { 0, 1, 63, 64, 65, 32768, 65535, 65536 } do
      local path = write { ("q"):rep(n) }
      assert.equal(n, #support.unframe(assert(dump(disk, path)))[1])
      disk:remove_tree(path)
    end
  end)

  local function sample()
    local items = many(1500)
    for i = 1, 5 do items[#items + 1] = "\4" .. support.u64(i) end
    items[#items + 1] = "\5" .. ("w"):rep(50000)
    items[#items + 1] = "\5" .. ("w"):rep(50001)
    return items
  end

  it("shows every flipped bit in every file", function()
    local path = write(sample())
    local good = assert(dump(disk, path))
    local random = support.random(native.seed("item_part flips"))
    local tried = 0
    for _, file in ipairs(disk:list(path)) do
      local content = disk:get(path .. "/" .. file)
      for at = 1, #content do
        -- every byte of the small files, a sample of the large ones
        local few = os.getenv("TSE_SANITIZED") and 100 or 500
        if #content < few * 4 or random(math.floor(#content / few)) == 0 then
          local flipped = content:sub(1, at - 1) .. string.char(bit.bxor(content:byte(at), 2 ^ random(8))) .. content:sub(at + 1)
          native.check(lib.io_crash_set_content(disk.io, path .. "/" .. file, flipped, #flipped))
          local text, rc = dump(disk, path)
          assert.is_nil(text, file .. " byte " .. at)
          assert.equal(base.code.CORRUPTED, rc, file .. " byte " .. at)
          assert.truthy(base.message():find("1507_", 1, true), base.message())
          tried = tried + 1
        end
      end
      native.check(lib.io_crash_set_content(disk.io, path .. "/" .. file, content, #content))
    end
    assert.is_true(tried > (os.getenv("TSE_SANITIZED") and 200 or 1000))
    assert.equal(good, assert(dump(disk, path)))
  end)

  it("shows every truncation, extension and missing file", function()
    local path = write(sample())
    for _, file in ipairs(disk:list(path)) do
      local content = disk:get(path .. "/" .. file)
      for n = 0, #content - 1, math.max(1, math.floor(#content / 100)) do
        native.check(lib.io_crash_set_content(disk.io, path .. "/" .. file, content:sub(1, n), n))
        local text, rc = dump(disk, path)
        assert.is_nil(text, file .. " cut to " .. n)
        assert.equal(base.code.CORRUPTED, rc, file .. " cut to " .. n)
      end
      native.check(lib.io_crash_set_content(disk.io, path .. "/" .. file, content .. "\0", #content + 1))
      local longer, longer_rc = dump(disk, path)
      assert.is_nil(longer, file)
      assert.equal(base.code.CORRUPTED, longer_rc, file)
      native.check(lib.io_crash_set_content(disk.io, path .. "/" .. file, content, #content))
      disk:rename(path .. "/" .. file, "/p/aside")
      local text, rc = dump(disk, path)
      if file == "tsengine.sums" then
        assert.truthy(text) -- then it is read like a part of somebody else
      else
        assert.is_nil(text, file)
        assert.equal(base.code.CORRUPTED, rc, file)
      end
      disk:rename("/p/aside", path .. "/" .. file)
    end
    assert.truthy(dump(disk, path))
  end)

  it("damaged without sums is an error or the same items, never a crash", function()
    local path = write(sample())
    disk:unlink(path .. "/tsengine.sums")
    local good = assert(dump(disk, path))
    local random = support.random(native.seed("item_part foreign flips"))
    for _, file in ipairs(disk:list(path)) do
      local content = disk:get(path .. "/" .. file)
      for _ = 1, 400 do
        local at = 1 + random(#content)
        local flipped = content:sub(1, at - 1) .. string.char(random(256)) .. content:sub(at + 1)
        if random(4) == 0 then flipped = flipped:sub(1, random(#flipped)) end
        native.check(lib.io_crash_set_content(disk.io, path .. "/" .. file, flipped, #flipped))
        local text, rc = dump(disk, path)
        if not text then assert.equal(base.code.CORRUPTED, rc) end
      end
      native.check(lib.io_crash_set_content(disk.io, path .. "/" .. file, content, #content))
    end
    assert.equal(good, assert(dump(disk, path)))
  end)

  it("is refused when its name, counts or bounds do not tell the truth", function()
    local path = write { "aa", "ab", "ac" }
    for _, name in ipairs { "3_1", "3_2_18E9B803629FC745", "4_1_18E9B803629FC745", "0_1_18E9B803629FC745", "1_3_18E9B803629FC745",
      "3_1_1_2", "x_1_18E9B803629FC745", "3__18E9B803629FC745", "99999999999999999999_1_18E9B803629FC745" } do
      local text, rc = dump(disk, path, name)
      assert.is_nil(text, name)
      assert.equal(base.code.CORRUPTED, rc, name)
    end
    disk:unlink(path .. "/tsengine.sums")
    local head = '{"ItemsCount":3,"BlocksCount":1,'
    local refused = { "", "{", "[]", "{}", head .. '"FirstItem":"6161"}', head .. '"FirstItem":"6161","LastItem":"6162"}',
      head .. '"FirstItem":"6162","LastItem":"6163"}', head .. '"FirstItem":"61611","LastItem":"6163"}',
      head .. '"FirstItem":"6161","LastItem":"6163"}x', head .. '"FirstItem":"61zz","LastItem":"6163"}',
      head .. '"FirstItem":"6161","LastItem":"6163","LastItem":"6163"}', head .. '"FirstItem":"6161","LastItem":"6163","x":' .. ("["):rep(100),
      '{"ItemsCount":4,"BlocksCount":1,"FirstItem":"6161","LastItem":"6163"}', '{"ItemsCount":-3,"BlocksCount":1,"FirstItem":"6161","LastItem":"6163"}' }
    for _, text in ipairs(refused) do
      native.check(lib.io_crash_set_content(disk.io, path .. "/metadata.json", text, #text))
      local items, rc = dump(disk, path)
      assert.is_nil(items, text)
      assert.equal(base.code.CORRUPTED, rc, text)
    end
    for _, text in ipairs { head .. '"FirstItem":"6161","LastItem":"6163"}', head .. ' "LastItem" : "6163" ,\n"FirstItem":"6161", "New":{"a":[1,-2.5e3,null,"x\\"y"]}}' } do
      native.check(lib.io_crash_set_content(disk.io, path .. "/metadata.json", text, #text))
      assert.truthy(dump(disk, path), text)
    end
  end)
end)
