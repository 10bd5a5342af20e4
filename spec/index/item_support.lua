--- Item tables for the specs: tables on any disk, lists of items as Lua strings.
local ffi = require("ffi")
local bit = require("bit")
local base = require("spec.base.support")
local native = require("spec.support.native")

local M = { base = base, lib = native.lib, check = native.check }

native.cdef [[
struct clock { bool manual; int64_t manual_ms; };
void clock_init_manual(struct clock *clock, int64_t now_ms);
void clock_set_manual(struct clock *clock, int64_t now_ms);
]]
native.cdef [[
struct budget { uint64_t until_ns; };
]]
native.cdef [[
struct log;
struct item_table;
struct item_view;
struct item_cursor;
struct item_table_env {
  struct io *io; struct mem *mem; const struct clock *clock; struct log *log;
  uint8_t tag_row_prefix_bytes; int64_t durable_ms; uint64_t mem_bytes_max; bool read_only;
};
struct item_table_stats {
  uint64_t mem_parts, file_parts, mem_items, file_items, blocks, mem_bytes, file_bytes;
  uint64_t items_added, merges, items_merged, bytes_written, flushes;
  uint64_t damaged_parts;
  bool read_only, no_space;
};
struct item_part_name { uint64_t items, blocks, suffix; };
int item_table_open(const struct item_table_env *env, const char *path, struct item_table **out);
void item_table_close(struct item_table *table);
uint64_t item_table_durable_seq(struct item_table *table);
uint64_t item_table_last_seq(struct item_table *table);
void item_table_flush_request(struct item_table *table);
int64_t item_table_next_tick_ms(struct item_table *table);
int item_table_step(struct item_table *table, const struct budget *budget, bool *did);
void item_table_retry(struct item_table *table);
void item_table_force_merge(struct item_table *table);
bool item_table_force_merging(struct item_table *table);
int item_table_view(struct item_table *table, struct item_view **out);
void item_view_release(struct item_view *view);
int item_cursor_create(struct mem *mem, struct item_view *const *views, size_t n, struct item_cursor **out);
void item_cursor_delete(struct item_cursor *cursor);
int item_cursor_seek(struct item_cursor *cursor, struct bytes key);
int item_cursor_next(struct item_cursor *cursor, struct bytes *item, bool *found);
int item_cursor_first_with_prefix(struct item_cursor *cursor, struct bytes prefix, struct bytes *item, bool *found);
int item_table_snapshot(struct item_table *table, const char *directory);
void item_table_stats(struct item_table *table, struct item_table_stats *out);
void item_part_name_format(const struct item_part_name *name, char *text);
int item_part_name_parse(const char *text, struct item_part_name *name);

int tt_item_dump_views(struct mem *mem, struct item_view *const *views, size_t n, struct buf *out);
int tt_item_dump_table(struct item_table *table, struct mem *mem, struct buf *out);
int tt_item_dump_part(struct io *io, struct mem *mem, const char *path, const char *name, struct buf *out);
int tt_item_step_all(struct item_table *table, size_t most, size_t *units);
struct log *tt_item_log_create(struct mem *mem, const struct clock *clock);
void tt_item_log_delete(struct log *log);
int tt_item_block_round(struct mem *mem, struct bytes framed, int level, struct buf *header, struct buf *items, struct buf *lens,
  struct buf *out);
int tt_item_block_decode(struct mem *mem, struct bytes header, struct bytes items, struct bytes lens, struct buf *out);
int tt_item_join(struct mem *mem, struct bytes framed, uint8_t tenant_bytes, struct buf *out);
int tt_item_write_part(struct io *io, struct mem *mem, const char *directory, struct bytes framed, int level,
  struct item_part_name *name);
int tt_item_unzstd(struct mem *mem, struct bytes frame, struct buf *out);
int tt_item_zstd(struct mem *mem, struct bytes content, struct buf *out);
int tt_item_index_content(struct io *io, struct mem *mem, const char *part, struct buf *metaindex, struct buf *index);
int tt_item_add_framed(struct item_table *table, struct mem *mem, struct bytes framed, uint64_t *seq);
size_t tt_item_plan(const uint64_t *sizes, size_t n, size_t parts_max, double gain_min, size_t *start);
int tt_item_storm(struct item_table *table, struct mem *mem, unsigned rounds, uint64_t *looked_up);
uint64_t hash_xxh64(const void *data, size_t len);
]]

local lib = native.lib

--- The names that every test uses.
M.START_MS = 1700000000000

--- One string of all items: u32 big-endian length, bytes.
function M.frame(items)
  local out = {}
  for i, item in ipairs(items) do
    local n = #item
    out[i] = string.char(bit.rshift(n, 24), bit.band(bit.rshift(n, 16), 255), bit.band(bit.rshift(n, 8), 255), bit.band(n, 255)) .. item
  end
  return table.concat(out)
end

function M.unframe(text)
  local out, at = {}, 1
  while at <= #text do
    local a, b, c, d = text:byte(at, at + 3)
    local n = ((a * 256 + b) * 256 + c) * 256 + d
    out[#out + 1] = text:sub(at + 4, at + 3 + n)
    at = at + 4 + n
  end
  return out
end

--- Bytes of hex digits; white space is ignored.
function M.unhex(text)
  return (text:gsub("%s", ""):gsub("%x%x", function(h) return string.char(tonumber(h, 16)) end))
end
function M.hex(text) return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end

--- struct bytes of a Lua string, which must stay alive.
function M.bytes(text) return ffi.new("struct bytes", ffi.cast("const uint8_t *", text), #text) end

--- Call fn(..., buf) and return what it put there, or nil and the code.
function M.with_bufs(mem, n, fn)
  local bufs, texts = {}, {}
  for i = 1, n do bufs[i] = ffi.new("struct buf", { mem = mem }) end
  local rc = fn(unpack(bufs, 1, n))
  for i = 1, n do
    texts[i] = ffi.string(bufs[i].data, bufs[i].len)
    lib.buf_free(bufs[i])
  end
  if rc ~= 0 then return nil, rc end
  return unpack(texts, 1, n)
end

--- The xxHash64 of a string as 16 hex digits.
function M.hash(text) return (bit.tohex(lib.hash_xxh64(text, #text), 16)) end

--- A random generator of our own, so that a seed repeats a run on every machine.
function M.random(seed)
  local state = seed % 2147483647
  if state == 0 then state = 1 end
  return function(n)
    state = (state * 16807) % 2147483647
    return state % n
  end
end

--- Big-endian bytes of a number.
function M.u64(v)
  local out = {}
  for i = 8, 1, -1 do
    out[i] = string.char(v % 256)
    v = math.floor(v / 256)
  end
  return table.concat(out)
end

--- The set behind items: tag rows become one entry per id, all others stay.
function M.meaning(items, tenant_bytes)
  local set = {}
  for _, item in ipairs(items) do
    local kind = item:byte(1)
    local head = 1 + (tenant_bytes or 0) + (kind == 6 and 8 or 0)
    local first = (kind == 1 or kind == 6) and #item >= head and item:find("\1", head + 1, true)
    local second = first and item:find("\1", first + 1, true)
    if second and #item > second and (#item - second) % 8 == 0 then
      for at = second + 1, #item, 8 do set[item:sub(1, second) .. item:sub(at, at + 7)] = true end
    else
      set[item] = true
    end
  end
  return set
end

--- nil when found has all of expected, else a text about one that is missing.
function M.missing(expected, found)
  for key in pairs(expected) do
    if not found[key] then return "missing: " .. M.hex(key) end
  end
end

--- nil when two sets are equal, else a text about one difference.
function M.difference(expected, found)
  local text = M.missing(expected, found)
  if text then return text end
  for key in pairs(found) do
    if not expected[key] then return "too much: " .. M.hex(key) end
  end
end

function M.is_sorted(items)
  for i = 2, #items do
    if items[i - 1] > items[i] then return false, i end
  end
  return true
end

-- -- Tables ---------------------------------------------------------------------------------------------------------

local Table = {}
Table.__index = Table

--- Opens a table on a disk of spec.base.support. options: prefix_bytes, durable_ms, mem_bytes_max, read_only, now_ms.
--- Returns nil and the code when it does not open.
function M.open(disk, path, options)
  options = options or {}
  local self = setmetatable({ disk = disk, path = path, mem = disk.mem }, Table)
  self.clock = ffi.new("struct clock")
  self.now_ms = options.now_ms or M.START_MS
  lib.clock_init_manual(self.clock, self.now_ms)
  self.log = lib.tt_item_log_create(self.mem, self.clock)
  if self.log == nil then error("no memory for the log", 2) end
  local env = ffi.new("struct item_table_env")
  env.io, env.mem, env.clock, env.log = disk.io, self.mem, self.clock, self.log
  env.tag_row_prefix_bytes = options.prefix_bytes or 0
  env.durable_ms = options.durable_ms or 5000
  env.mem_bytes_max = options.mem_bytes_max or 64 * 1024 * 1024
  env.read_only = options.read_only or false
  local out = ffi.new("struct item_table *[1]")
  local rc = lib.item_table_open(env, path, out)
  if rc ~= 0 then
    lib.tt_item_log_delete(self.log)
    return nil, rc
  end
  self.table = out[0]
  return self
end

function Table:close()
  lib.item_table_close(self.table)
  lib.tt_item_log_delete(self.log)
  self.table = nil
end

function Table:at(ms)
  self.now_ms = ms
  lib.clock_set_manual(self.clock, ms)
end
function Table:pass(ms) self:at(self.now_ms + ms) end

--- Adds a sorted list of items: the sequence number, or nil and the code.
function Table:add(items)
  local framed, seq = M.frame(items), ffi.new("uint64_t[1]")
  local rc = lib.tt_item_add_framed(self.table, self.mem, M.bytes(framed), seq)
  if rc ~= 0 then return nil, rc end
  return tonumber(seq[0])
end

--- One unit of work: true when something was done, or nil and the code.
function Table:step()
  local did = ffi.new("bool[1]")
  local rc = lib.item_table_step(self.table, ffi.new("struct budget", { until_ns = -1ULL }), did)
  if rc ~= 0 then return nil, rc end
  return did[0]
end

--- Steps until nothing is due: 0, or the first error.
function Table:run(most)
  local units = ffi.new("size_t[1]")
  local rc = lib.tt_item_step_all(self.table, most or 1000000, units)
  return rc, tonumber(units[0])
end

function Table:flush()
  lib.item_table_flush_request(self.table)
  return self:run()
end

function Table:items()
  local text, rc = M.with_bufs(self.mem, 1, function(out) return lib.tt_item_dump_table(self.table, self.mem, out) end)
  if not text then return nil, rc end
  return M.unframe(text)
end

--- The first item with this prefix, nil without one, or nil and the code.
function Table:find(prefix)
  local view, cursor = ffi.new("struct item_view *[1]"), ffi.new("struct item_cursor *[1]")
  local item, found = ffi.new("struct bytes"), ffi.new("bool[1]")
  native.check(lib.item_table_view(self.table, view))
  native.check(lib.item_cursor_create(self.mem, view, 1, cursor))
  local rc = lib.item_cursor_first_with_prefix(cursor[0], M.bytes(prefix), item, found)
  local text = rc == 0 and found[0] and ffi.string(item.data, item.len) or nil
  lib.item_cursor_delete(cursor[0])
  lib.item_view_release(view[0])
  return text, rc
end

function Table:stats()
  local stats = ffi.new("struct item_table_stats")
  lib.item_table_stats(self.table, stats)
  return stats
end

function Table:durable() return tonumber(lib.item_table_durable_seq(self.table)) end
function Table:last() return tonumber(lib.item_table_last_seq(self.table)) end
function Table:next_tick()
  local tick = lib.item_table_next_tick_ms(self.table)
  if tick == 0x7fffffffffffffffLL then return math.huge end
  return tonumber(tick)
end

--- Names of the part directories on the disk, sorted.
function Table:parts()
  local out = {}
  for _, name in ipairs(self.disk:list(self.path)) do
    if name:find("^%d+_%d+_%x+$") then out[#out + 1] = name end
  end
  return out
end

return M
