--- Merges for the specs of spec/merge.
local ffi = require("ffi")
local native = require("spec.support.native")
require("spec.table.support")

native.cdef [[
struct tt_merge_block { struct tsid tsid; const int64_t *timestamps_ms; const double *values; size_t rows; uint8_t precision_bits; };
struct tt_merge_spec { int layout; bool in_memory; int64_t dedup_ms, deadline_ms; int keep; uint64_t budget_us, suffix; };
struct merge_counts {
  uint64_t rows_read, rows_written, rows_deleted, rows_deduplicated, blocks_copied, blocks_joined, bytes_in, bytes_out; uint64_t cpu_ns;
};
struct merge_candidate { uint64_t bytes; int64_t min_timestamp_ms; uint32_t id; bool busy; };
struct merge_plan { uint32_t ids[256]; size_t count; uint64_t bytes; double score; };
void merge_plan_pick(struct merge_candidate *candidates, size_t n, unsigned fan, uint64_t max_out_bytes, struct merge_plan *out);
int tt_merge_file_of_blocks(struct tt_table_env *env, int layout, const char *parent, uint64_t suffix, int64_t dedup_ms, int keep,
  const struct tt_merge_block *blocks, size_t n, struct part **out);
int tt_merge_memory_of_rows(struct tt_table_env *env, int layout, const struct row *rows, size_t n, struct part **out);
int tt_merge(struct tt_table_env *env, struct part **sources, size_t n, const struct tt_merge_spec *spec, const char *parent,
  struct part **out, struct merge_counts *counts, uint64_t *steps, size_t *damaged);
int tt_merge_blocks(struct tt_table_env *env, struct part *part, struct block_header *headers, char *hex, size_t hex_room, size_t room,
  size_t *count);
int tt_merge_rows(struct tt_table_env *env, struct part *part, bool strict, struct tt_part_rows *rows);
int tt_merge_file_of_part(struct tt_table_env *env, struct part *part, const struct tt_merge_spec *spec, const char *parent, struct part **out);
int tt_merge_open(struct tt_table_env *env, int layout, const char *path, struct part **out);
void tt_merge_two_runs(const int64_t *a_times, const uint64_t *a_values, size_t a, const int64_t *b_times, const uint64_t *b_values, size_t b,
  int64_t *times, uint64_t *values);
]]
local lib = native.lib

local M = { NO_DEADLINE = -0x7fffffffffffffffLL - 1, LAST = 0, FIRST = 1 }

local suffixes = 0

--- struct tt_merge_spec from a table.
function M.spec(opts)
  suffixes = suffixes + 1
  local spec = ffi.new("struct tt_merge_spec")
  spec.layout, spec.in_memory, spec.dedup_ms, spec.keep = opts.layout or 0, opts.in_memory or false, opts.dedup or 0, opts.keep or M.LAST
  spec.deadline_ms, spec.budget_us, spec.suffix = opts.deadline or M.NO_DEADLINE, opts.budget or 0, suffixes
  return spec
end

--- Merges parts (a Lua array); returns the part (a cdata pointer, NULL if nothing is left), counts, steps; or nil, code, damaged.
function M.merge(env, sources, directory, opts)
  local list = ffi.new("struct part *[?]", #sources, sources)
  local out, counts = ffi.new("struct part *[1]"), ffi.new("struct merge_counts")
  local steps, damaged = ffi.new("uint64_t[1]"), ffi.new("size_t[1]")
  local rc = lib.tt_merge(env, list, #sources, M.spec(opts), directory, out, counts, steps, damaged)
  if rc ~= 0 then return nil, rc, tonumber(damaged[0]) + 1 end
  return out[0], counts, tonumber(steps[0])
end

--- Opens a part's directory.
function M.open(env, layout, path)
  local out = ffi.new("struct part *[1]")
  native.check(lib.tt_merge_open(env, layout, path, out))
  return out[0]
end

return M
