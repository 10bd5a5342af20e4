local support = require("spec.index.item_support")
local process = require("spec.support.process")
local victoria_metrics = require("spec.support.victoria_metrics")
local base, lib = support.base, support.lib

local here = debug.getinfo(1, "S").source:match("@?(.*)/spec/compat/") or "."

-- Exported lines as a sorted list.
local function lines_of(command)
  local pipe = assert(io.popen(command))
  local lines = {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  table.sort(lines)
  return lines
end

for _, store in ipairs { "names-single-1.79.5" } do
  describe("index parts merged by us, under the data of " .. store .. ",", function()
    local disk, root, remove, generation, t, peer, expected

    setup(function()
      disk = base.posix()
      root, remove = base.scratch()
      disk:mkdir(root .. "/store")
      assert(os.execute(("tar --zstd -xf '%s/spec/data/vmdirs/%s/dir.tar.zst' -C '%s/store'"):format(here, store, root)) == 0)
      for _, name in ipairs(disk:list(root .. "/store/indexdb")) do
        if name:find("^%x+$") then generation = root .. "/store/indexdb/" .. name end
      end
      -- What the peer tells before we touch anything.
      peer = assert(victoria_metrics.start(root .. "/store"))
      peer:export_to(root .. "/export")
      expected = lines_of(("cat '%s/export'"):format(root))
      assert.is_true(#expected > 800)
      assert.equal(0, peer:stop())
      peer = nil
    end)
    teardown(function()
      if peer then peer:kill() end
      if t then t:close() end
      assert.equal(0, tonumber(disk.counters.open_files))
      disk:destroy()
      remove()
    end)

    it("give the peer every series and sample it had", function()
      t = assert(support.open(disk, generation))
      lib.item_table_force_merge(t.table)
      assert.equal(0, (t:run()))
      assert.equal(1, #t:parts())
      assert.truthy(disk:exists(generation .. "/" .. t:parts()[1] .. "/tsengine.sums"))
      t:close()
      t = nil
      -- What a crash may leave beside it: an unfinished part and a retired one.
      disk:mkdir_all(generation .. "/tmp/00000000000000AB")
      disk:put(generation .. "/tmp/00000000000000AB/items.bin", "half")
      disk:mkdir_all(generation .. "/tmp/3_1_00000000000000AC")
      disk:put(generation .. "/tmp/3_1_00000000000000AC/metadata.json", "")
      local log
      peer, log = victoria_metrics.start(root .. "/store")
      assert(peer, log)
      peer:export_to(root .. "/export")
      local found = lines_of(("cat '%s/export'"):format(root))
      assert.equal(#expected, #found)
      for i = 1, #expected do assert.equal(expected[i], found[i]) end
    end)

    it("and what the peer adds to them is found by us, which merges both again", function()
      peer:post("/api/v1/import/prometheus", 'items_peer_spec{job="x"} 1 1795168362000\n')
      process.sleep_ms(1500)
      assert.equal(0, peer:stop())
      peer = nil
      t = assert(support.open(disk, generation))
      assert.equal(0, tonumber(t:stats().damaged_parts))
      assert.truthy((t:find("\0items_peer_spec\1job\1x\1\2")))
      local before = support.meaning(t:items())
      lib.item_table_force_merge(t.table)
      assert.equal(0, (t:run()))
      assert.is_nil(support.difference(before, support.meaning(t:items())))
      t:close()
      t = nil
      local log
      peer, log = victoria_metrics.start(root .. "/store")
      assert(peer, log)
      peer:export_to(root .. "/export", 'items_peer_spec')
      assert.equal(1, #lines_of(("cat '%s/export'"):format(root)))
      assert.equal(0, peer:stop())
      peer = nil
    end)
  end)
end
