--- Indexes for the specs: series as Lua label lists, answers as Lua tables.
local ffi = require("ffi")
local native = require("spec.support.native")
local process = require("spec.support.process")

native.cdef [[
struct tt_index;
struct tt_index *tt_index_open(const char *root, int layout, bool read_only, double now_ms, double retention_ms, uint32_t staging_max);
int tt_index_close(struct tt_index *test, double *live_blocks, double *open_files);
int tt_index_register(struct tt_index *test, uint32_t account, uint32_t project, const char *labels, size_t n, double date, uint64_t *id, bool *created);
int tt_index_find(struct tt_index *test, uint32_t account, uint32_t project, const char *labels, size_t n, uint64_t *id, bool *found);
int tt_index_register_date(struct tt_index *test, uint32_t account, uint32_t project, uint64_t id, double date);
int tt_index_search(struct tt_index *test, uint32_t account, uint32_t project, const char *const *selectors, size_t n, double min_ms, double max_ms, double limit);
int tt_index_label_names(struct tt_index *test, uint32_t account, uint32_t project, const char *const *selectors, size_t n, double min_ms, double max_ms, double limit);
int tt_index_label_values(struct tt_index *test, uint32_t account, uint32_t project, const char *label, size_t label_bytes, const char *const *selectors, size_t n, double min_ms, double max_ms, double limit);
int tt_index_delete(struct tt_index *test, const uint64_t *ids, size_t n);
int tt_index_work(struct tt_index *test);
int tt_index_flush(struct tt_index *test);
int tt_index_force_merge(struct tt_index *test);
int tt_index_items(struct tt_index *test, int which);
double tt_index_stat(struct tt_index *test, const char *name);
void tt_index_set_clock(struct tt_index *test, double now_ms);
int tt_index_canonical(const char *labels, size_t n, int layout, uint32_t account, uint32_t project, struct tt_index *test, uint32_t *cuts);
int tt_index_decode(struct tt_index *test, const char *name, size_t n);
int tt_match_check(const char *selector, size_t n);
int tt_pattern(struct tt_index *test, const char *text, size_t n, const char *value, size_t value_bytes, bool *matches, int *kind);
const char *tt_index_out(struct tt_index *test, size_t *n);
int tt_index_snapshot(struct tt_index *test, const char *directory);
int tt_index_detect(const char *root, int *layout, bool *known);
int tt_index_add_raw(struct tt_index *test, const char *item, size_t n);
void tt_index_fail_memory(struct tt_index *test, double after_calls);
double tt_index_bench(struct tt_index *test, uint32_t from, uint32_t n, double date, int shape);
]]

local lib = native.lib
local M = { lib = lib, check = native.check, DAY = 86400000 }

--- 2026-11-18 12:00 UTC, day 20775.
M.NOW = 1795003200000
M.TODAY = 20775

local Index = {}
Index.__index = Index

local scratches = {}

--- A fresh directory, removed by `cleanup`.
function M.scratch()
  local path = process.scratch("index")
  scratches[#scratches + 1] = path
  return path
end

function M.cleanup()
  for _, path in ipairs(scratches) do process.remove_tree(path) end
  scratches = {}
end

--- Open <root> (default: fresh); opts: layout, read_only, now, retention, staging.
function M.open(root, opts)
  opts = opts or {}
  root = root or M.scratch() .. "/indexdb"
  local layout = opts.layout == "cluster" and 1 or 0
  local handle = lib.tt_index_open(root, layout, opts.read_only or false, opts.now or M.NOW, opts.retention or 0, opts.staging or 0)
  if handle == nil then return nil, ffi.string(lib.err_message()), lib.err_code() end
  return setmetatable({ handle = handle, root = root, opts = opts, layout = layout }, Index)
end

--- Close, and check that nothing is left: memory or open files.
function Index:close()
  local live, files = ffi.new("double[1]"), ffi.new("double[1]")
  lib.tt_index_close(self.handle, live, files)
  self.handle = nil
  assert(files[0] == 0, files[0] .. " files are still open")
  assert(live[0] == 0, live[0] .. " blocks are still allocated")
end

--- Close and open again, without a flush first unless asked.
function Index:reopen(opts)
  for name, value in pairs(opts or {}) do self.opts[name] = value end
  self:close()
  local again = assert(M.open(self.root, self.opts))
  self.handle = again.handle
end

local function length_prefixed(text)
  return ffi.string(ffi.new("uint32_t[1]", #text), 4) .. text
end

--- Labels {{name, value}, ...} as bytes for C.
function M.pack(labels)
  local pieces = {}
  for i, label in ipairs(labels) do pieces[i] = length_prefixed(label[1]) .. length_prefixed(label[2]) end
  return table.concat(pieces)
end

local Reader = {}
Reader.__index = Reader

function Index:reader()
  local n = ffi.new("size_t[1]")
  local data = lib.tt_index_out(self.handle, n)
  return setmetatable({ data = data, at = 0, n = tonumber(n[0]) }, Reader)
end

function Reader:more() return self.at < self.n end

function Reader:u32()
  local value = ffi.new("uint32_t[1]")
  ffi.copy(value, self.data + self.at, 4)
  self.at = self.at + 4
  return value[0]
end

function Reader:u64()
  local value = ffi.new("uint64_t[1]")
  ffi.copy(value, self.data + self.at, 8)
  self.at = self.at + 8
  return value[0]
end

function Reader:text()
  local n = self:u32()
  local text = ffi.string(self.data + self.at, n)
  self.at = self.at + n
  return text
end

function Reader:texts()
  local list = {}
  while self:more() do list[#list + 1] = self:text() end
  return list
end

function Reader:labels()
  local labels = {}
  for i = 1, self:u32() do
    local name = self:text()
    labels[i] = { name, self:text() }
  end
  return labels
end

--- One text for a label list, whatever its order: for comparing.
function M.key(labels)
  local pieces = {}
  for i, label in ipairs(labels) do pieces[i] = ("%q=%q"):format(label[1], label[2]) end
  table.sort(pieces)
  return table.concat(pieces, ",")
end

local function tenant_of(tenant) return tenant and tenant[1] or 0, tenant and tenant[2] or 0 end

--- Register a series on a day: id (uint64_t), created.
function Index:register(labels, date, tenant)
  local id, created = ffi.new("uint64_t[1]"), ffi.new("bool[1]")
  local packed = M.pack(labels)
  local account, project = tenant_of(tenant)
  M.check(lib.tt_index_register(self.handle, account, project, packed, #packed, date or M.TODAY, id, created))
  return id[0], created[0]
end

function Index:find(labels, tenant)
  local id, found = ffi.new("uint64_t[1]"), ffi.new("bool[1]")
  local packed = M.pack(labels)
  local account, project = tenant_of(tenant)
  M.check(lib.tt_index_find(self.handle, account, project, packed, #packed, id, found))
  return found[0] and id[0] or nil
end

function Index:register_date(id, date, tenant)
  local account, project = tenant_of(tenant)
  M.check(lib.tt_index_register_date(self.handle, account, project, id, date))
end

local function selector_array(match)
  if match == nil then return nil, 0 end
  if type(match) == "string" then match = { match } end
  return ffi.new("const char *[?]", #match, match), #match, match
end

--- All time unless from and to are given.
local function range(from, to) return from or 0, to or 2 ^ 53 end

--- Series that match: a list of {id=, labels=}; or nil, message, code.
function Index:search(match, from, to, opts)
  local selectors, n, keep = selector_array(match)
  local account, project = tenant_of(opts and opts.tenant)
  local min_ms, max_ms = range(from, to)
  local rc = lib.tt_index_search(self.handle, account, project, selectors, n, min_ms, max_ms, opts and opts.limit or 0)
  if rc ~= 0 then return nil, ffi.string(lib.err_message()), rc, keep end
  local reader, list = self:reader(), {}
  while reader:more() do
    local id = reader:u64()
    list[#list + 1] = { id = id, labels = reader:labels() }
  end
  return list
end

--- The keys (see M.key) of the series that match, sorted.
function Index:keys(match, from, to, opts)
  local keys = {}
  for i, series in ipairs(assert(self:search(match, from, to, opts))) do keys[i] = M.key(series.labels) end
  table.sort(keys)
  return keys
end

function Index:labels(match, from, to, opts)
  local selectors, n, keep = selector_array(match)
  local account, project = tenant_of(opts and opts.tenant)
  local min_ms, max_ms = range(from, to)
  M.check(lib.tt_index_label_names(self.handle, account, project, selectors, n, min_ms, max_ms, opts and opts.limit or 0))
  return self:reader():texts(), keep
end

function Index:values(label, match, from, to, opts)
  local selectors, n, keep = selector_array(match)
  local account, project = tenant_of(opts and opts.tenant)
  local min_ms, max_ms = range(from, to)
  M.check(lib.tt_index_label_values(self.handle, account, project, label, #label, selectors, n, min_ms, max_ms, opts and opts.limit or 0))
  return self:reader():texts(), keep
end

function Index:delete(ids)
  local array = ffi.new("uint64_t[?]", math.max(#ids, 1))
  for i, id in ipairs(ids) do array[i - 1] = id end
  M.check(lib.tt_index_delete(self.handle, array, #ids))
end

function Index:flush() M.check(lib.tt_index_flush(self.handle)) end
function Index:work() M.check(lib.tt_index_work(self.handle)) end
function Index:force_merge() M.check(lib.tt_index_force_merge(self.handle)) end
function Index:stat(name) return lib.tt_index_stat(self.handle, name) end
function Index:set_clock(now) lib.tt_index_set_clock(self.handle, now) end
function Index:add_raw(item) M.check(lib.tt_index_add_raw(self.handle, item, #item)) end
function Index:fail_memory(after) lib.tt_index_fail_memory(self.handle, after) end
function Index:snapshot(path) M.check(lib.tt_index_snapshot(self.handle, path)) end

--- All items of the current (0) or previous (1) generation.
function Index:items(which)
  M.check(lib.tt_index_items(self.handle, which or 0))
  return self:reader():texts()
end

--- The stored name of labels, and how many were dropped or cut; nil, message when it is refused.
function Index:canonical(labels, tenant)
  local packed, cuts = M.pack(labels), ffi.new("uint32_t[3]")
  local account, project = tenant_of(tenant)
  local rc = lib.tt_index_canonical(packed, #packed, self.layout, account, project, self.handle, cuts)
  if rc ~= 0 then return nil, ffi.string(lib.err_message()), rc end
  local reader = self:reader()
  return ffi.string(reader.data, reader.n), { dropped = cuts[0], names = cuts[1], values = cuts[2] }
end

function Index:decode(name)
  local rc = lib.tt_index_decode(self.handle, name, #name)
  if rc ~= 0 then return nil, ffi.string(lib.err_message()), rc end
  return self:reader():labels()
end

function M.hex(text)
  return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

function M.unhex(hex)
  return (hex:gsub("%s", ""):gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end))
end

return M
