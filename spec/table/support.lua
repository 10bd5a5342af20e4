--- Tables for the specs of spec/table: an environment with a manual clock, rows, steps, and what a view shows.
local ffi = require("ffi")
local native = require("spec.support.native")
local parts = require("spec.support.parts")

local M = {}

native.cdef [[
struct table; struct u64set;
struct table_options {
  int layout; unsigned shards; uint32_t shard_rows; int64_t visible_ms, durable_ms, retention_ms, future_limit_ms, dedup_interval_ms;
  int dedup_keep; unsigned merge_fan, merge_workers; uint64_t max_small_part_bytes, min_free_disk_bytes, mem_parts_bytes_max; bool read_only;
};
struct add_counts { uint64_t accepted, past, future; };
struct table_view { struct part **parts; size_t count; void *mem; uint64_t partial; };
struct table_part_info {
  uint32_t id; char name[128]; char partition[8]; int tier; uint64_t rows, blocks, bytes; int64_t min_ms, max_ms, created_ms;
  uint32_t generation, fan_in; bool busy, verified, damaged; char policy[32];
};
struct table_partition_info { char name[8]; int64_t min_ms, max_ms; uint64_t parts, rows, bytes, raw_rows; bool read_only; };
struct table_stats {
  uint64_t rows_added, rows_past, rows_future, raw_rows;
  uint64_t parts_mem, parts_small, parts_big, rows_mem, rows_small, rows_big, blocks_mem, blocks_small, blocks_big;
  uint64_t bytes_mem, bytes_small, bytes_big;
  uint64_t merges_mem, merges_small, merges_big, rows_merged_small, rows_merged_big, rows_deleted, rows_deduplicated;
  uint64_t assisted_merges, active_merges, bytes_written, flushes, parts_damaged, partitions, partitions_read_only, partitions_dropped, parts_dropped;
  bool no_space;
};
struct tt_table_index { uint64_t last, durable, requests, wakes; };
struct tt_table_env;
struct tt_table_env *tt_table_env_open(const char *root, bool crashing, uint32_t series, int64_t now_ms);
uint64_t tt_table_env_close(struct tt_table_env *env);
void tt_table_index(struct tt_table_env *env, struct tt_table_index *out);
void tt_table_index_set(struct tt_table_env *env, uint64_t last, uint64_t durable);
void tt_table_time(struct tt_table_env *env, int64_t now_ms);
int tt_table_delete_series(struct tt_table_env *env, uint64_t metric_id);
void tt_table_fault(struct tt_table_env *env, uint64_t n, int errno_value, bool for_ever, uint32_t calls, const char *path_part);
uint64_t tt_table_fault_calls(struct tt_table_env *env);
void tt_table_full(struct tt_table_env *env, bool full);
void tt_table_fail_memory(struct tt_table_env *env, uint64_t n);
void tt_table_limit_memory(struct tt_table_env *env, uint64_t bytes);
bool tt_table_log(struct tt_table_env *env, char *text, size_t text_bytes);
int tt_table_open(struct tt_table_env *env, const struct table_options *options);
void tt_table_close(struct tt_table_env *env);
int tt_table_add(struct tt_table_env *env, struct row *rows, size_t n, struct add_counts *counts);
int tt_table_step(struct tt_table_env *env, uint64_t budget_us, bool *did);
int tt_table_run(struct tt_table_env *env, uint64_t budget_us, uint64_t most, uint64_t *steps);
int tt_table_rows(struct tt_table_env *env, int64_t min_ms, int64_t max_ms, const uint64_t *ids, size_t n, struct tt_part_rows *rows, uint64_t *partial);
int tt_table_view_open(struct tt_table_env *env, struct table_view *view);
int tt_table_view_rows(struct tt_table_env *env, struct table_view *view, struct tt_part_rows *rows);
int tt_table_parts(struct tt_table_env *env, struct table_part_info *out, size_t room, size_t *count);
int tt_table_damaged(struct tt_table_env *env, char *text, size_t text_bytes);
void table_view_close(struct table_view *view);
int64_t table_next_tick_ms(struct table *table);
void table_flush_request(struct table *table, uint64_t *ticket);
int table_flush_check(struct table *table, uint64_t ticket, bool *done);
int table_force_merge_request(struct table *table, const char *partition, uint64_t *ticket);
int table_force_merge_check(struct table *table, uint64_t ticket, bool *done, uint64_t *merges);
int table_snapshot(struct table *table, const char *small_path, const char *big_path);
void table_stats(struct table *table, struct table_stats *out);
int table_add_one(struct table *table, const struct row *row, bool *in_range);
struct table *tt_table_of(struct tt_table_env *env);
]]
local lib = native.lib

M.MIN, M.MAX = -0x7fffffffffffffffLL - 1, 0x7fffffffffffffffLL
--- 2020-12-19 00:00:00 UTC, the middle of a month.
M.NOON = 1608336000000
--- The first ms of 2021_01.
M.JANUARY = 1609459200000
M.SECOND, M.DAY = 1000, 86400000
M.CODE = { LAYOUT = 2, CORRUPTED = 3, NOSPACE = 4, IO = 5, MEMORY = 6, READONLY = 7, NOTFOUND = 16 }
M.TIER = { [0] = "mem", "small", "big" }
M.FAR = 1000000000000000

local Table = {}
Table.__index = Table

--- An environment; opts: root (made if nil), crashing, series, now, and those of table_options.
function M.open(opts)
  opts = opts or {}
  local self = setmetatable({ opts = opts, own_root = opts.root == nil and not opts.crashing, now = opts.now or M.NOON, failing = {} }, Table)
  self.root = opts.root or (opts.crashing and "/db" or parts.directory())
  self.series = opts.series or 50
  self.env = lib.tt_table_env_open(self.root, opts.crashing or false, self.series, self.now)
  local rc, message = self:reopen(opts)
  if rc ~= 0 and not opts.may_fail then
    lib.tt_table_env_close(self.env)
    error("open: " .. message, 2)
  end
  self.rc, self.message = rc, message
  return self
end

function Table:options(opts)
  local o = ffi.new("struct table_options")
  o.layout, o.shards, o.shard_rows = opts.layout or 0, opts.shards or 1, opts.shard_rows or 10000
  o.visible_ms, o.durable_ms = opts.visible or 1000, opts.durable or 5000
  o.retention_ms, o.future_limit_ms = opts.retention or 0, opts.future_limit or 2 * M.DAY
  o.dedup_interval_ms, o.dedup_keep = opts.dedup or 0, opts.keep or 0
  o.merge_fan, o.merge_workers = opts.fan or 15, opts.workers or 1
  o.max_small_part_bytes, o.min_free_disk_bytes = opts.max_small or 0, opts.min_free or 0
  o.mem_parts_bytes_max, o.read_only = opts.mem_max or 0, opts.read_only or false
  return o
end

--- Opens the table (again); returns code and message.
function Table:reopen(opts)
  lib.tt_table_close(self.env)
  local rc = lib.tt_table_open(self.env, self:options(opts or self.opts))
  self.table = rc == 0 and lib.tt_table_of(self.env) or nil
  return rc, rc ~= 0 and ffi.string(lib.err_message()) or nil
end

--- Closes all; the figure is what leaked.
function Table:close()
  local left = tonumber(lib.tt_table_env_close(self.env))
  if self.own_root then parts.remove(self.root) end
  return left
end

function Table:at(ms)
  self.now = ms
  lib.tt_table_time(self.env, ms)
end

function Table:pass(ms) self:at(self.now + ms) end

--- Adds rows {series, ms, value}; returns accepted, past, future or nil, code, message.
function Table:add(rows)
  local c = ffi.new("struct row[?]", #rows)
  for i, r in ipairs(rows) do c[i - 1].series, c[i - 1].timestamp_ms, c[i - 1].value = r[1], r[2], r[3] end
  return self:add_rows(c, #rows)
end

function Table:add_rows(rows, n)
  local counts = ffi.new("struct add_counts")
  local rc = lib.tt_table_add(self.env, rows, n, counts)
  if rc ~= 0 then return nil, rc, ffi.string(lib.err_message()) end
  return tonumber(counts.accepted), tonumber(counts.past), tonumber(counts.future)
end

function Table:step(us)
  local did = ffi.new("bool[1]")
  native.check(lib.tt_table_step(self.env, us or 1000, did))
  return did[0]
end

--- Steps until nothing is due; returns how many.
function Table:run(us)
  local steps = ffi.new("uint64_t[1]")
  native.check(lib.tt_table_run(self.env, us or 1000, 1000000, steps))
  return tonumber(steps[0])
end

--- What a view shows, as {"id ms value" = times}; count; partial.
function Table:rows(min, max, ids)
  local cap = 2000000
  self.place = self.place or parts.place(cap)
  local partial, list = ffi.new("uint64_t[1]"), nil
  if ids then
    list = ffi.new("uint64_t[?]", #ids)
    for i, id in ipairs(ids) do list[i - 1] = id end
  end
  native.check(lib.tt_table_rows(self.env, min or M.MIN, max or M.MAX, list, ids and #ids or 0, self.place.struct, partial))
  return M.bag(self.place), tonumber(self.place.struct.count), tonumber(partial[0])
end

--- Rows as a bag of texts.
function M.bag(place)
  local bag, double = {}, ffi.new("union { double d; uint64_t u; }")
  for i = 0, tonumber(place.struct.count) - 1 do
    double.u = place.bits[i]
    local key = ("%d %d %.17g"):format(tonumber(place.metric_id[i]), tonumber(place.timestamp_ms[i]), double.d)
    bag[key] = (bag[key] or 0) + 1
  end
  return bag
end

function M.bag_of(rows)
  local bag = {}
  for _, r in ipairs(rows) do
    local key = ("%d %d %.17g"):format(r[1] + 1000, r[2], r[3])
    bag[key] = (bag[key] or 0) + 1
  end
  return bag
end

function Table:parts()
  local infos, count = ffi.new("struct table_part_info[4096]"), ffi.new("size_t[1]")
  native.check(lib.tt_table_parts(self.env, infos, 4096, count))
  local list = {}
  for i = 0, tonumber(count[0]) - 1 do
    local p = infos[i]
    list[i + 1] = { name = ffi.string(p.name), partition = ffi.string(p.partition), tier = M.TIER[p.tier], rows = tonumber(p.rows),
      blocks = tonumber(p.blocks), bytes = tonumber(p.bytes), min = tonumber(p.min_ms), max = tonumber(p.max_ms), verified = p.verified,
      generation = p.generation, fan_in = p.fan_in, damaged = p.damaged, busy = p.busy }
  end
  return list
end

--- "mem small small": the tiers of all parts.
function Table:tiers()
  local t = {}
  for i, p in ipairs(self:parts()) do t[i] = p.tier end
  return table.concat(t, " ")
end

function Table:stats()
  local s = ffi.new("struct table_stats")
  lib.table_stats(self.table, s)
  return s
end

function Table:next_tick() return tonumber(lib.table_next_tick_ms(self.table)) end

--- Everything to disk; returns code, message.
function Table:flush()
  local ticket, done = ffi.new("uint64_t[1]"), ffi.new("bool[1]")
  lib.table_flush_request(self.table, ticket)
  for _ = 1, 100000 do
    local rc = lib.table_flush_check(self.table, ticket[0], done)
    if done[0] then return rc, rc ~= 0 and ffi.string(lib.err_message()) or nil end
    if not self:step() then self:pass(10) end
  end
  error("the flush does not end", 2)
end

--- Force merge; returns code, merges, message.
function Table:force_merge(partition)
  local ticket, done, merges = ffi.new("uint64_t[1]"), ffi.new("bool[1]"), ffi.new("uint64_t[1]")
  local rc = lib.table_force_merge_request(self.table, partition, ticket)
  if rc ~= 0 then return rc, 0, ffi.string(lib.err_message()) end
  for _ = 1, 100000 do
    rc = lib.table_force_merge_check(self.table, ticket[0], done, merges)
    if done[0] then return rc, tonumber(merges[0]), rc ~= 0 and ffi.string(lib.err_message()) or nil end
    if not self:step() then self:pass(10) end
  end
  error("the force merge does not end", 2)
end

function Table:messages()
  local text, list = ffi.new("char[1024]"), {}
  while lib.tt_table_log(self.env, text, 1024) do list[#list + 1] = ffi.string(text) end
  return table.concat(list, "\n")
end

function Table:damaged()
  local text = ffi.new("char[4096]")
  native.check(lib.tt_table_damaged(self.env, text, 4096))
  return ffi.string(text)
end

--- n rows {series, ms, value} from a generator state.
function M.random_rows(n, series, from, to)
  local rows = {}
  for i = 1, n do rows[i] = { math.random(0, series - 1), math.random(from, to), math.random(-1000, 1000) } end
  return rows
end

function M.append(list, more)
  for _, r in ipairs(more) do list[#list + 1] = r end
  return list
end

return M
