local ffi = require("ffi")
local native = require("spec.support.native")
local support = require("spec.table.support")
local lib = native.lib

native.cdef [[
uint64_t tt_table_crash_ops(struct tt_table_env *env);
uint64_t tt_table_crash_uncertain(struct tt_table_env *env, uint64_t k);
int tt_table_crash_describe(struct tt_table_env *env, uint64_t index, char *text, size_t text_bytes);
struct tt_table_env *tt_table_crash_state(struct tt_table_env *env, uint64_t k, int model, int data, uint64_t seed, uint64_t *fingerprint);
]]

local NOON, DAY, SECOND = support.NOON, support.DAY, support.SECOND
local ORDERED, WEAK = 0, 1
local DATA_CHOICES = 4
local WEAK_PER_OPERATION = tonumber(os.getenv("TSE_WEAK_STATES") or "6")

local function rows_of(n, from)
  local rows = {}
  for i = 1, n do rows[i] = { i % 7, from - n + i, i } end
  return rows
end

--- A table on a crashing disk that remembers what was promised when.
local Workload = {}
Workload.__index = Workload

local function workload(opts)
  opts.crashing = true
  return setmetatable({ t = support.open(opts), submitted = {}, promises = {} }, Workload)
end

function Workload:ops() return tonumber(lib.tt_table_crash_ops(self.t.env)) end

--- From now on these rows must survive (a function of the rows says which).
function Workload:promise(rows)
  self.promises[#self.promises + 1] = { from = self:ops(), sure = support.bag_of(rows) }
end

function Workload:add(rows)
  assert.are.equal(#rows, (self.t:add(rows)))
  support.append(self.submitted, rows)
end

function Workload:sure_at(k)
  local sure = {}
  for _, p in ipairs(self.promises) do if p.from <= k then sure = p.sure end end
  return sure
end

--- Opens one state; what is wrong with it, or nil.
function Workload:judge(env, k)
  local state = setmetatable({ env = env, opts = self.t.opts, now = self.t.now }, { __index = getmetatable(self.t).__index })
  local rc, message = state:reopen()
  if rc ~= 0 then return "does not open: " .. message end
  if state:damaged() ~= "" then return "damaged " .. state:damaged() end
  state.place = self.t.place
  local seen, want = state:rows(), self.all
  for key, times in pairs(self:sure_at(k)) do
    if (seen[key] or 0) < times then return "lost " .. key end
  end
  for key, times in pairs(seen) do
    if times > (want[key] or 0) then return "twice or never added: " .. key end
  end
end

--- Every ordered state and some weak ones at every operation; returns how many states were looked at.
function Workload:check()
  local text, seen, states = ffi.new("char[1024]"), {}, 0
  self.all = support.bag_of(self.submitted)
  self.t:rows()
  local function look(k, model, data, seed)
    local fingerprint = ffi.new("uint64_t[1]")
    local env = lib.tt_table_crash_state(self.t.env, k, model, data, seed, fingerprint)
    local id = tostring(fingerprint[0]) .. tostring(self:sure_at(k))
    local wrong
    if not seen[id] then
      seen[id], states = true, states + 1
      wrong = self:judge(env, k)
    end
    assert.are.equal(0, tonumber(lib.tt_table_env_close(env)))
    if wrong then
      native.check(lib.tt_table_crash_describe(self.t.env, math.min(k, self:ops() - 1), text, 1024))
      error(("before operation %d (%s), %s, data %d, seed %s: %s"):format(k, ffi.string(text), model == WEAK and "weak" or "ordered", data,
        tostring(seed), wrong), 0)
    end
  end
  for k = 0, self:ops() do
    for data = 0, DATA_CHOICES - 1 do look(k, ORDERED, data, 0) end
    local uncertain = tonumber(lib.tt_table_crash_uncertain(self.t.env, k))
    for _ = 1, math.min(WEAK_PER_OPERATION, uncertain * 2) do
      look(k, WEAK, 0, math.random(0, uncertain <= 16 and 2 ^ uncertain - 1 or 2 ^ 40))
    end
  end
  return states
end

function Workload:flush_promised(rows)
  self:add(rows)
  assert.are.equal(0, (self.t:flush()))
  self:promise(self.submitted)
end

describe("after a crash at any moment", function()
  local w
  setup(function() math.randomseed(native.seed("crashes")) end)
  after_each(function() assert.are.equal(0, w.t:close()) end)

  it("of a new month and its flushes every promised row is there once", function()
    w = workload {}
    for round = 1, 3 do w:flush_promised(rows_of(40, NOON + round * 1000)) end
    w:flush_promised(rows_of(20, NOON - 40 * DAY))
    local states = w:check()
    assert.is_true(states > 100, states)
  end)

  for _, tree in ipairs { "small", "big" } do
    it("of merges into the " .. tree .. " tree every promised row is there once", function()
      w = workload { fan = 3, max_small = tree == "big" and 1 or nil }
      for round = 1, 4 do w:flush_promised(rows_of(30, NOON + round * 1000)) end
      assert.are.equal(0, (w.t:force_merge()))
      w.t:run()
      w:flush_promised(rows_of(30, NOON + 9000))
      assert.are.equal(0, (w.t:force_merge()))
      w.t:run()
      assert.are.equal(tree, w.t:tiers())
      local states = w:check()
      assert.is_true(states > 150, states)
    end)
  end

  it("of a merge that leaves nothing", function()
    w = workload {}
    w:flush_promised(rows_of(30, NOON))
    w:promise {} -- deleted rows may go from here on
    for i = 0, 6 do native.check(lib.tt_table_delete_series(w.t.env, 1000 + i)) end
    assert.are.equal(0, (w.t:force_merge()))
    w.t:run()
    assert.is_true(w:check() > 30)
  end)

  it("of stale parts and a month out of retention", function()
    w = workload { retention = 31 * DAY }
    local stale, old, new = rows_of(30, NOON - 31 * DAY + 60 * SECOND), rows_of(30, NOON - 25 * DAY), rows_of(30, NOON)
    w:flush_promised(stale)
    w:flush_promised(old)
    w:flush_promised(new)
    w.t:pass(2 * 60 * SECOND)
    w:promise(support.append(support.append({}, old), new))
    w.t:pass(7 * 60 * SECOND)
    w.t:run()
    assert.are.equal("small small", w.t:tiers())
    w:promise(new)
    w.t:at(NOON + 20 * DAY)
    w.t:run()
    assert.are.equal("small", w.t:tiers())
    assert.is_true(w:check() > 80)
  end)

  it("of a snapshot", function()
    w = workload { max_small = 600, fan = 2 }
    for round = 1, 3 do w:flush_promised(rows_of(60, NOON - round * 3 * DAY)) end
    native.check(lib.table_snapshot(w.t.table, "/db/data/small/snapshots/20201219000000-00000001", "/db/data/big/snapshots/20201219000000-00000001"))
    w:flush_promised(rows_of(10, NOON))
    assert.is_true(w:check() > 100)
  end)

  it("during the recovery from a crash", function()
    w = workload { fan = 3, max_small = 1 }
    for round = 1, 3 do w:flush_promised(rows_of(30, NOON + round * 1000)) end
    lib.tt_table_fault(w.t.env, 1, 5, false, 2 ^ 7, "removed")
    assert.are_not.equal(0, (w.t:force_merge()))
    lib.tt_table_fault(w.t.env, 0, 0, false, 0, nil)
    assert.are.equal(0, w.t:reopen())
    assert.are.equal(90, (select(2, w.t:rows())))
    assert.is_true(w:check() > 100)
  end)
end)
