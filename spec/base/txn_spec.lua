local ffi = require("ffi")
local native = require("spec.support.native")
local base = require("spec.base.support")
local lib, code = base.lib, base.code

native.cdef [[
struct txn_root { const char *path; const char *tail; };
struct txn_place { struct io *io; struct mem *mem; void *log; const struct txn_root *roots; size_t roots_count; };
struct txn_part { size_t root; const char *name; };
struct txn {
  struct mem *mem;
  char *path;
  struct txn_part *removes;
  size_t removes_count;
  struct txn_part from, to;
  char *text;
};
struct txn_list { struct txn *items; size_t count; struct mem *mem; };
int txn_write(const struct txn_place *place, size_t root, uint64_t id, const struct txn_part *removes, size_t removes_count,
  uint64_t from_id, size_t from_root, struct txn_part to, bool *pending);
int txn_run_file(const struct txn_place *place, size_t root, uint64_t id);
int txn_run_dir(const struct txn_place *place, size_t root);
int txn_read_dir(const struct txn_place *place, size_t root, struct txn_list *out);
int txn_read_file(const struct txn_place *place, const char *path, struct txn *out);
void txn_free(struct txn *txn);
void txn_list_free(struct txn_list *list);
bool txn_is_unfinished(const char *name);
int txn_remove_part(const struct txn_place *place, struct txn_part part, uint64_t id);
int txn_reset_root(const struct txn_place *place, size_t root);
]]

-- kept here so that the pointers inside C structs stay valid
local anchors = {}
local function text(s)
  local copy = ffi.new("char[?]", #s + 1, s)
  anchors[#anchors + 1] = copy
  return copy
end

local SMALL, BIG = 0, 1

--- The two trees of one month below `top`.
local function place_of(disk, top)
  local roots = ffi.new("struct txn_root[2]")
  roots[SMALL] = { text(top .. "/small/2026_11"), text("small/2026_11") }
  roots[BIG] = { text(top .. "/big/2026_11"), text("big/2026_11") }
  anchors[#anchors + 1] = roots
  return ffi.new("struct txn_place", { io = disk.io, mem = disk.mem, roots = roots, roots_count = 2 })
end

local function parts(list)
  local array = ffi.new("struct txn_part[?]", #list)
  for i, part in ipairs(list) do array[i - 1] = { part[1], text(part[2]) } end
  return array
end

local function part(root, name) return ffi.new("struct txn_part", { root = root, name = name and text(name) or nil }) end

local function put_part(disk, path, content)
  disk:mkdir_all(path)
  disk:put(path .. "/values.bin", content)
  disk:put(path .. "/index.bin", content .. content)
  disk:fsync_dir(path)
end

--- Two small sources and a finished result in big/tmp, all durable.
local function prepare(disk, top)
  for _, tree in ipairs { "small", "big" } do
    for _, sub in ipairs { "tmp", "txn" } do disk:mkdir_all(top .. "/" .. tree .. "/2026_11/" .. sub) end
  end
  put_part(disk, top .. "/small/2026_11/A", "aa")
  put_part(disk, top .. "/small/2026_11/B", "bb")
  disk:mkdir(top .. "/big/2026_11/tmp/00000000000000FF")
  put_part(disk, top .. "/big/2026_11/tmp/00000000000000FF", "aabb")
  disk:fsync_dir(top .. "/big/2026_11/tmp")
  disk:fsync_dir(top .. "/small/2026_11")
end

--- The swap as a merge does it; returns the code of the first failing step and whether the transaction is pending.
local function swap(disk, place)
  local pending = ffi.new("bool[1]")
  local rc = lib.txn_write(place, SMALL, 0xFF, parts { { SMALL, "A" }, { SMALL, "B" } }, 2, 0xFF, BIG, part(BIG, "C"), pending)
  if rc == 0 then
    lib.io_crash_mark(disk.io, 1, "committed")
    rc = lib.txn_run_file(place, SMALL, 0xFF)
  end
  return rc, pending[0]
end

--- What an open does with both trees.
local function recover(place)
  for root = 0, 1 do
    local rc = lib.txn_run_dir(place, root)
    if rc ~= 0 then return rc end
  end
  for root = 0, 1 do
    local rc = lib.txn_reset_root(place, root)
    if rc ~= 0 then return rc end
  end
  return 0
end

--- The complete parts that are seen, as one text; a part with wrong content is marked.
local function seen(disk, top)
  local want = { A = "aa", B = "bb", C = "aabb" }
  local out = {}
  for _, tree in ipairs { "small", "big" } do
    for _, name in ipairs(disk:list(top .. "/" .. tree .. "/2026_11")) do
      if name ~= "tmp" and name ~= "txn" then
        local path = top .. "/" .. tree .. "/2026_11/" .. name
        local good = disk:get(path .. "/values.bin") == want[name] and disk:get(path .. "/index.bin") == want[name]:rep(2)
        out[#out + 1] = name .. (good and "" or "!")
      else
        local left = #disk:list(top .. "/" .. tree .. "/2026_11/" .. name)
        if left > 0 then out[#out + 1] = name .. " is not empty" end
      end
    end
  end
  return table.concat(out, " ")
end

local function destroy(disk)
  local mem = disk.mem
  disk:destroy()
  assert.equal(0, tonumber(mem.live_blocks))
end

describe("a transaction file", function()
  local disk, place

  before_each(function()
    disk = base.crash()
    prepare(disk, "/data")
    place = place_of(disk, "/data")
  end)
  after_each(function() destroy(disk) end)

  it("has the peer's text: removed paths, then the rename", function()
    local pending = ffi.new("bool[1]")
    base.check(lib.txn_write(place, BIG, 0x18E9B964B22BE070ULL, parts { { SMALL, "A" }, { BIG, "B" } }, 2,
      0x18E9B964B22BE070ULL, BIG, part(BIG, "C"), pending))
    assert.equal("/data/small/2026_11/A\n/data/big/2026_11/B\n/data/big/2026_11/tmp/18E9B964B22BE070 -> /data/big/2026_11/C\n",
      disk:get("/data/big/2026_11/txn/18E9B964B22BE070"))
    base.check(lib.txn_write(place, SMALL, 1, parts {}, 0, 1, SMALL, part(0, nil), pending))
    assert.equal("/data/small/2026_11/tmp/0000000000000001 -> \n", disk:get("/data/small/2026_11/txn/0000000000000001"))
  end)

  it("replaces the sources by the result and leaves nothing behind", function()
    assert.equal(0, (swap(disk, place)))
    assert.equal("C", seen(disk, "/data"))
  end)

  it("never replaces a part by one of the same name, which it would remove when it runs again", function()
    local pending = ffi.new("bool[1]")
    assert.equal(code.BUG, lib.txn_write(place, SMALL, 0xFF, parts { { SMALL, "A" }, { SMALL, "B" } }, 2, 0xFF, BIG, part(SMALL, "B"), pending))
    assert.is_false(pending[0])
    assert.same({}, disk:list("/data/small/2026_11/txn"))
  end)

  it("may run again and again", function()
    local path = "/data/small/2026_11/txn/00000000000000FF"
    local content = "/data/small/2026_11/A\n/data/small/2026_11/B\n/data/big/2026_11/tmp/00000000000000FF -> /data/big/2026_11/C"
    for _ = 1, 3 do
      disk:put(path, content)
      base.check(recover(place))
      assert.equal("C", seen(disk, "/data"))
    end
  end)

  it("with an empty destination deletes the temporary part", function()
    disk:put("/data/small/2026_11/txn/00000000000000FF", "/data/small/2026_11/A\n/data/big/2026_11/tmp/00000000000000FF -> \n")
    base.check(recover(place))
    assert.equal("B", seen(disk, "/data"))
  end)

  it("still means the same after the directory was moved", function()
    disk:put("/data/small/2026_11/txn/00000000000000FF",
      "/data/small/2026_11/A\n/data/small/2026_11/B\n/data/big/2026_11/tmp/00000000000000FF -> /data/big/2026_11/C\n")
    disk:rename("/data", "/elsewhere")
    place = place_of(disk, "/elsewhere")
    base.check(recover(place))
    assert.equal("C", seen(disk, "/elsewhere"))
  end)

  it("runs in ascending order and skips unfinished files", function()
    local txn = "/data/small/2026_11/txn/"
    disk:put(txn .. "0000000000000002", "/data/big/2026_11/C\n/data/small/2026_11/tmp/0000000000000002 -> \n")
    disk:put(txn .. "0000000000000001", "/data/small/2026_11/A\n/data/big/2026_11/tmp/00000000000000FF -> /data/big/2026_11/C\n")
    disk:put(txn .. "0000000000000003.tmp.12", "half of a")
    base.check(recover(place))
    assert.equal("B", seen(disk, "/data"))
    assert.is_true(lib.txn_is_unfinished("x.tmp.0"))
    assert.is_true(lib.txn_is_unfinished("00FF.tmp.123"))
    for _, name in ipairs { "00FF", "00FF.tmp.", "00FF.tmp.12x", "00FFtmp.1", "1", ".tmp.", "" } do
      assert.is_false(lib.txn_is_unfinished(name), name)
    end
  end)

  it("is refused by name, and nothing is done, when it cannot be understood", function()
    local good_last = "/data/small/2026_11/tmp/0000000000000001 -> /data/small/2026_11/X\n"
    local bad = {
      "", "\n", "\0\0\0", "no arrow\n", "/data/small/2026_11/A\n",
      "/data/small/2026_11/A\n\n" .. good_last,
      "/data/small/2026_12/A\n" .. good_last,
      "/data/medium/2026_11/A\n" .. good_last,
      "/data/small/2026_11/../2026_11/A\n" .. good_last,
      "/data/small/2026_11/..\n" .. good_last,
      "/data/small/2026_11/\n" .. good_last,
      "/data/small//2026_11/A\n" .. good_last,
      "/data/small/2026_11/tmp\n" .. good_last,
      "/data/small/2026_11/txn\n" .. good_last,
      "/data/small/2026_11/snapshots\n" .. good_last,
      "/data/small/2026_11/A/values.bin\n" .. good_last,
      "small/2026_11/A\n" .. good_last,
      "/etc/passwd\n" .. good_last,
      "xsmall/2026_11/A\n" .. good_last,
      "/data/xsmall/2026_11/A\n" .. good_last,
      "/data/small/2026_11/X -> /data/small/2026_11/Y\n",
      "/data/small/2026_11/tmp/01 -> /data/small/2026_11/Y\n",
      "/data/small/2026_11/tmp/000000000000000G -> /data/small/2026_11/Y\n",
      "/data/small/2026_11/tmp/0000000000000001 -> /data/small/2026_11/tmp/0000000000000002\n",
      "/data/small/2026_11/tmp/0000000000000001 -> /data/small/2026_11/X -> /data/small/2026_11/Y\n",
      "/data/small/2026_11/tmp/0000000000000001 ->\n",
    }
    local before = disk:tree("/data")
    for i, content in ipairs(bad) do
      disk:put("/data/small/2026_11/txn/00000000000000AA", content)
      assert.equal(code.CORRUPTED, lib.txn_run_dir(place, SMALL), "bad text " .. i)
      assert.truthy(base.message():find("txn/00000000000000AA", 1, true), base.message())
      disk:unlink("/data/small/2026_11/txn/00000000000000AA")
      assert.same(before, disk:tree("/data"), "bad text " .. i)
    end
  end)

  it("can be read without changing anything", function()
    disk:put("/data/small/2026_11/txn/00000000000000FF",
      "/old/place/small/2026_11/A\n/old/place/small/2026_11/B\n/old/place/big/2026_11/tmp/00000000000000FF -> /old/place/big/2026_11/C\n")
    disk:put("/data/small/2026_11/txn/00000000000001FF", "/data/big/2026_11/tmp/0000000000000001 -> \n")
    local before, list = disk:tree("/data"), ffi.new("struct txn_list")
    base.check(lib.txn_read_dir(place, SMALL, list))
    assert.equal(2, tonumber(list.count))
    local txn = list.items[0]
    assert.equal(2, tonumber(txn.removes_count))
    assert.equal("B", ffi.string(txn.removes[1].name))
    assert.equal(BIG, tonumber(txn.from.root))
    assert.equal("00000000000000FF", ffi.string(txn.from.name))
    assert.equal("C", ffi.string(txn.to.name))
    assert.is_true(list.items[1].to.name == nil)
    lib.txn_list_free(list)
    disk:remove_tree("/data/big/2026_11/txn")
    base.check(lib.txn_read_dir(place, BIG, list))
    assert.equal(0, tonumber(list.count))
    lib.txn_list_free(list)
    disk:mkdir("/data/big/2026_11/txn")
    assert.same(before, disk:tree("/data"))
  end)

  it("of an index table is recognised by the generation's name", function()
    disk:mkdir_all("/x/indexdb/18ABC/tmp/00000000000000AB")
    disk:mkdir_all("/x/indexdb/18ABC/txn")
    disk:mkdir_all("/x/indexdb/18ABC/1_1_0000000000000001")
    disk:put("/x/indexdb/18ABC/txn/00000000000000AB",
      "/gone/indexdb/18ABC/1_1_0000000000000001\n/gone/indexdb/18ABC/tmp/00000000000000AB -> /gone/indexdb/18ABC/2_1_00000000000000AB")
    local roots = ffi.new("struct txn_root[1]")
    roots[0] = { text("/x/indexdb/18ABC"), text("18ABC") }
    local index = ffi.new("struct txn_place", { io = disk.io, mem = disk.mem, roots = roots, roots_count = 1 })
    base.check(lib.txn_run_dir(index, 0))
    assert.same({ "2_1_00000000000000AB", "tmp", "txn" }, disk:list("/x/indexdb/18ABC"))
  end)
end)

describe("a part that vanishes alone", function()
  it("is gone at once or not at all, whatever the crash", function()
    local disk = base.crash()
    prepare(disk, "/data")
    base.check(lib.io_crash_checkpoint(disk.io))
    base.check(lib.txn_remove_part(place_of(disk, "/data"), part(SMALL, "A"), 7))
    base.check(lib.txn_remove_part(place_of(disk, "/data"), part(SMALL, "never there"), 8))
    assert.is_false(disk:exists("/data/small/2026_11/A"))
    for k = 0, disk:ops() do
      for data = 0, 3 do
        local state = disk:state(k, { model = base.model.ORDERED, data = data })
        base.check(recover(place_of(state, "/data")))
        local what = seen(state, "/data")
        assert.is_true(what == "A B" or what == "B", what)
        state:destroy()
      end
    end
    destroy(disk)
  end)
end)

describe("crashing a swap", function()
  --- Every state of the journal of `disk`: calls check(state, k, committed).
  local function each_state(disk, check)
    local states, number, found = 0, ffi.new("uint64_t[1]"), ffi.new("bool[1]")
    for k = 0, disk:ops() do
      lib.io_crash_last_mark(disk.io, k, "committed", number, found)
      local choices = {}
      for data = 0, 3 do choices[#choices + 1] = { model = base.model.ORDERED, data = data } end
      local uncertain = tonumber(lib.io_crash_uncertain(disk.io, k))
      for seed = 0, math.min(2 ^ uncertain - 1, 255) do
        choices[#choices + 1] = { model = base.model.WEAK, seed = uncertain <= 8 and seed or seed * 2654435761 }
      end
      for _, choice in ipairs(choices) do
        local state = disk:state(k, choice)
        check(state, k, found[0])
        state:destroy()
        states = states + 1
      end
    end
    return states
  end

  --- Violations of: the sources before the commit, either at it, only the result after it; opening never fails.
  local function violations(disk)
    local bad = 0
    local states = each_state(disk, function(state, _, committed)
      local rc = recover(place_of(state, "/data"))
      local what = rc == 0 and seen(state, "/data") or "open failed"
      if not (what == "C" or (what == "A B" and not committed)) then bad = bad + 1 end
    end)
    return bad, states
  end

  local function record(plan)
    local disk = base.crash()
    prepare(disk, "/data")
    base.check(lib.io_crash_checkpoint(disk.io))
    local fault = base.fault(disk)
    if plan then lib.io_fault_plan(fault.io, plan) end
    local place = place_of(fault, "/data")
    local pending = ffi.new("bool[1]")
    base.check(lib.txn_write(place, SMALL, 0xFF, parts { { SMALL, "A" }, { SMALL, "B" } }, 2, 0xFF, BIG, part(BIG, "C"), pending))
    base.check(lib.io_crash_mark(disk.io, 1, "committed"))
    base.check(lib.txn_run_file(place, SMALL, 0xFF))
    fault:destroy()
    return disk
  end

  it("anywhere ends in the old parts or the new one, on every kind of file system", function()
    local disk = record()
    local bad, states = violations(disk)
    assert.equal(0, bad)
    assert.is_true(states > 200, "states: " .. states)
    destroy(disk)
  end)

  it("and crashing the recovery as well changes nothing", function()
    local disk, inner_states = record(), 0
    each_state(disk, function(state, _, committed)
      base.check(lib.io_crash_checkpoint(state.io))
      base.check(recover(place_of(state, "/data")))
      local goal = seen(state, "/data")
      for k = 0, state:ops(), 3 do
        for _, choice in ipairs { { data = base.data.LOST }, { model = base.model.WEAK, seed = k * 7919 + inner_states } } do
          local again = state:state(k, choice)
          base.check(recover(place_of(again, "/data")))
          assert.equal(goal, seen(again, "/data"))
          again:destroy()
          inner_states = inner_states + 1
        end
      end
      assert.is_true(goal == "C" or not committed)
    end)
    assert.is_true(inner_states > 1000)
    destroy(disk)
  end)

  it("is noticed by this enumeration when one step of the order is left out", function()
    local call = base.call
    local left_out = {
      ["the transaction file"] = { calls = call.RENAME, path_part = text("txn/"), fail_at = 1 },
      ["its fsync"] = { calls = call.FSYNC, path_part = text("txn/"), fail_at = 1 },
      ["fsync of txn/"] = { calls = call.FSYNC_DIR, path_part = text("/txn"), fail_at = 1 },
      ["fsync of the sources' tree"] = { calls = call.FSYNC_DIR, path_part = text("small/2026_11"), fail_at = 2 },
      ["fsync of the result's tree"] = { calls = call.FSYNC_DIR, path_part = text("big/2026_11"), fail_at = 1 },
      ["the rename of a source"] = { calls = call.RENAME, path_part = text("removed.0"), fail_at = 1 },
    }
    for what, plan in pairs(left_out) do
      plan.leave_out = true
      local ok, disk = pcall(record, ffi.new("struct io_fault_plan", plan))
      -- without the file txn_run_file already fails: noticed, too
      if ok then
        local bad = violations(disk)
        assert.is_true(bad > 0, what .. " can be left out unnoticed")
        destroy(disk)
      else
        assert.equal("the transaction file", what)
      end
    end
  end)
end)

describe("a swap on a disk that fails", function()
  it("never loses a row, whichever call fails, once or for ever", function()
    for _, errno in ipairs { 5, 28 } do
      for _, for_ever in ipairs { false, true } do
        local n, done = 1, false
        while not done do
          local disk = base.crash()
          prepare(disk, "/data")
          local fault = base.fault(disk)
          local plan = ffi.new("struct io_fault_plan", { fail_at = n, for_ever = for_ever, errno_value = errno })
          lib.io_fault_plan(fault.io, plan)
          local pending = ffi.new("bool[1]")
          local place = place_of(fault, "/data")
          local rc = lib.txn_write(place, SMALL, 0xFF, parts { { SMALL, "A" }, { SMALL, "B" } }, 2, 0xFF, BIG, part(BIG, "C"), pending)
          if rc ~= 0 and not pending[0] then
            -- nothing happened: the caller throws its output away
            lib.io_fault_plan(fault.io, nil)
            fault:remove_tree("/data/big/2026_11/tmp/00000000000000FF")
          end
          local committed = rc == 0
          if committed then rc = lib.txn_run_file(place, SMALL, 0xFF) end
          done = lib.io_fault_injected(fault.io) == 0 and rc == 0
          lib.io_fault_plan(fault.io, nil)
          base.check(recover(place_of(disk, "/data")))
          local what = seen(disk, "/data")
          assert.is_true(what == "C" or (what == "A B" and not committed), ("call %d: %s"):format(n, what))
          fault:destroy()
          destroy(disk)
          n = n + 1
        end
        assert.is_true(n > 20)
      end
    end
  end)
end)
