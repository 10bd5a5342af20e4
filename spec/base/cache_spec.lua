local ffi = require("ffi")
local native = require("spec.support.native")
local base = require("spec.base.support")
local lib = base.lib

native.cdef [[
struct cache;
struct cache_entry { const uint8_t *data; size_t len; };
struct cache_stats { uint64_t hits, misses, evictions, entries, bytes, budget_bytes; };
int cache_create(struct mem *mem, uint64_t budget_bytes, unsigned shards, struct cache **out);
void cache_destroy(struct cache *cache);
struct cache_entry *cache_get(struct cache *cache, uint64_t owner, uint64_t offset);
void cache_release(struct cache *cache, struct cache_entry *entry);
void cache_drop(struct cache *cache, uint64_t owner);
void cache_set_budget(struct cache *cache, uint64_t budget_bytes);
void cache_stats(struct cache *cache, struct cache_stats *out);
int tt_cache_hammer(struct mem *mem, uint64_t seed, unsigned threads, uint32_t rounds, uint64_t budget, struct cache_stats *stats);
int tt_cache_put(struct cache *cache, uint64_t owner, uint64_t offset, size_t len, struct cache_entry **out);
]]

describe("a cache of blobs", function()
  local mem, cache

  local function open(budget)
    local out = ffi.new("struct cache *[1]")
    native.check(lib.cache_create(mem, budget, 1, out))
    cache = out[0]
  end
  local function put(owner, offset, len)
    local out = ffi.new("struct cache_entry *[1]")
    native.check(lib.tt_cache_put(cache, owner, offset, len, out))
    return out[0]
  end
  local function stats()
    local out = ffi.new("struct cache_stats")
    lib.cache_stats(cache, out)
    return out
  end
  local function has(owner, offset)
    local entry = lib.cache_get(cache, owner, offset)
    if entry == nil then return false end
    lib.cache_release(cache, entry)
    return true
  end

  before_each(function() mem = base.mem() end)
  after_each(function()
    if cache then lib.cache_destroy(cache) end
    cache = nil
    assert.equal(0, tonumber(mem.live_blocks))
  end)

  it("gives back what was inserted, by owner and offset", function()
    open(1e6)
    lib.cache_release(cache, put(1, 10, 100))
    assert.is_true(has(1, 10))
    assert.is_false(has(1, 11))
    assert.is_false(has(2, 10))
    assert.equal(1, tonumber(stats().hits))
    assert.equal(2, tonumber(stats().misses))
  end)

  it("keeps the first of two who race", function()
    open(1e6)
    local first = put(1, 1, 50)
    local second = put(1, 1, 50)
    assert.is_true(first == second)
    lib.cache_release(cache, first)
    lib.cache_release(cache, second)
    assert.equal(1, tonumber(stats().entries))
  end)

  it("stays within its budget and spares what is used", function()
    open(100 * 1100)
    for i = 1, 90 do lib.cache_release(cache, put(1, i, 1000)) end
    for round = 1, 20 do
      for i = 1, 20 do assert.is_true(has(1, i), "used entry " .. i .. " was evicted in round " .. round) end
      for i = 1, 20 do lib.cache_release(cache, put(2, round * 100 + i, 1000)) end
    end
    assert.is_true(stats().bytes <= 100 * 1100)
    assert.is_true(stats().evictions > 300)
    lib.cache_set_budget(cache, 5000)
    assert.is_true(stats().bytes <= 5000)
  end)

  it("keeps held bytes valid over eviction and drop", function()
    open(10000)
    local held = put(1, 7, 1000)
    local byte = held.data[999]
    for i = 1, 100 do lib.cache_release(cache, put(2, i, 1000)) end
    assert.is_true(has(1, 7))
    lib.cache_drop(cache, 1)
    assert.is_false(has(1, 7))
    assert.equal(byte, held.data[999])
    lib.cache_release(cache, held)
    assert.is_true(has(2, 100))
  end)

  it("does not keep what is larger than itself", function()
    open(1000)
    lib.cache_release(cache, put(1, 1, 100))
    lib.cache_release(cache, put(1, 2, 5000))
    assert.is_false(has(1, 2))
    assert.is_true(has(1, 1))
  end)

  it("gives right bytes to many threads at once", function()
    local out = ffi.new("struct cache_stats")
    local seed = native.seed("cache")
    for _, budget in ipairs { 0, 20000, 1e7 } do
      native.check(lib.tt_cache_hammer(mem, seed, 4, 50000, budget, out))
    end
  end)
end)
