--- C declarations of the lowest floor for its specs, and small helpers around them.
local ffi = require("ffi")
local native = require("spec.support.native")

local M = { lib = native.lib, check = native.check }

-- atomics are plain integers to LuaJIT
native.cdef [[
struct mem {
  uint64_t used_bytes, peak_bytes, live_blocks, calls, limit_bytes, fail_at;
  bool fail_for_ever;
};
void mem_init(struct mem *mem, uint64_t limit_bytes);
void *mem_alloc(struct mem *mem, size_t n);
void *mem_zalloc(struct mem *mem, size_t n);
void *mem_array(struct mem *mem, size_t n, size_t size);
void *mem_realloc(struct mem *mem, void *p, size_t n);
void mem_free(struct mem *mem, void *p);
char *mem_strdup(struct mem *mem, const char *text);
char *mem_printf(struct mem *mem, const char *fmt, ...);

struct bytes { const uint8_t *data; size_t len; };
struct buf { uint8_t *data; size_t len, cap; struct mem *mem; };
void buf_free(struct buf *buf);
int buf_reserve(struct buf *buf, size_t extra);
int buf_append(struct buf *buf, const void *data, size_t n);
int buf_append_text(struct buf *buf, const char *text);
int buf_printf(struct buf *buf, const char *fmt, ...);
int buf_append_u8(struct buf *buf, uint8_t value);

struct io;
struct io_file;
struct io_lock_handle;
struct io_stat { int type; uint64_t bytes; int64_t modified_ms; };
struct io_entry { char *name; int type; };
struct io_list { struct io_entry *entries; size_t count; struct mem *mem; };
struct io_counters { const void *ops; struct mem *mem; uint64_t open_files, bytes_written, bytes_read, fsyncs, temporary_files; };
int io_posix_create(struct mem *mem, struct io **out);
void io_destroy(struct io *io);
int io_open_read(struct io *io, const char *path, struct io_file **out);
int io_create(struct io *io, const char *path, struct io_file **out);
int io_pread(struct io_file *file, void *data, size_t n, uint64_t offset);
int io_write(struct io_file *file, const void *data, size_t n);
int io_fsync(struct io_file *file);
int io_size(struct io_file *file, uint64_t *out);
int io_close(struct io_file *file);
const char *io_path(const struct io_file *file);
int io_rename(struct io *io, const char *from, const char *to);
int io_unlink(struct io *io, const char *path);
int io_mkdir(struct io *io, const char *path);
int io_rmdir(struct io *io, const char *path);
int io_link(struct io *io, const char *from, const char *to);
int io_symlink(struct io *io, const char *target, const char *path);
int io_readlink(struct io *io, const char *path, struct buf *out);
int io_stat(struct io *io, const char *path, struct io_stat *out);
int io_list(struct io *io, const char *path, struct mem *mem, struct io_list *out);
void io_list_free(struct io_list *list);
int io_fsync_dir(struct io *io, const char *path);
int io_lock(struct io *io, const char *path, bool shared, bool create, struct io_lock_handle **out);
void io_unlock(struct io_lock_handle *lock);
int io_free_space(struct io *io, const char *path, uint64_t *bytes);
int io_real_path(struct io *io, const char *path, struct buf *out);
int io_exists(struct io *io, const char *path, bool *out);
int io_mkdir_all(struct io *io, const char *path);
int io_mkdir_synced(struct io *io, const char *path);
int io_read_file(struct io *io, const char *path, uint64_t limit, struct buf *out);
int io_write_file_synced(struct io *io, const char *path, const void *data, size_t n);
int io_write_file_atomic(struct io *io, const char *path, const void *data, size_t n, bool replace);
int io_absolute_path(struct io *io, const char *path, struct buf *out);
int io_copy_tree(struct io *from, const char *from_path, struct io *to, const char *to_path);
int io_remove_tree(struct io *io, const char *path);

struct crash_choice { int model, data; uint64_t seed; };
int io_crash_create(struct mem *mem, struct io **out);
size_t io_crash_ops_count(struct io *io);
int io_crash_describe(struct io *io, size_t index, struct buf *out);
int io_crash_checkpoint(struct io *io);
int io_crash_state(struct io *io, size_t k, const struct crash_choice *choice, struct io **out);
size_t io_crash_uncertain(struct io *io, size_t k);
uint64_t io_crash_fingerprint(struct io *io);
int io_crash_mark(struct io *io, uint64_t number, const char *text);
void io_crash_last_mark(struct io *io, size_t k, const char *text, uint64_t *number, bool *found);
void io_crash_set_free_space(struct io *io, uint64_t bytes);
int io_crash_lose_unsynced(struct io *io, const char *path);
int io_crash_set_content(struct io *io, const char *path, const void *data, size_t n);

struct io_fault_plan {
  uint64_t fail_at;
  bool for_ever;
  int errno_value;
  uint32_t calls;
  const char *path_part;
  bool leave_out;
  int (*fsync_failed)(struct io *inner, const char *path);
};
int io_fault_create(struct mem *mem, struct io *inner, struct io **out);
void io_fault_plan(struct io *io, const struct io_fault_plan *plan);
uint64_t io_fault_calls(struct io *io);
uint64_t io_fault_injected(struct io *io);
void io_fault_set_full(struct io *io, bool full);
const char *io_fault_last(struct io *io);

int getpid(void);
]]

--- Codes of err.h.
M.code = { LOCKED = 1, CORRUPTED = 3, NOSPACE = 4, IO = 5, MEMORY = 6, READONLY = 7, LIMIT = 9, MATCH = 13, NOTFOUND = 16, BUG = 17 }
M.type = { FILE = 0, DIRECTORY = 1, SYMLINK = 2 }
M.model = { ORDERED = 0, WEAK = 1 }
M.data = { FULL = 0, LOST = 1, ZEROED = 2, HALF = 3 }
--- Numbers of enum io_call, for masks.
M.call = {}
for i, name in ipairs { "OPEN_READ", "CREATE", "PREAD", "WRITE", "FSYNC", "SIZE", "CLOSE", "RENAME", "UNLINK", "MKDIR", "RMDIR",
  "LINK", "SYMLINK", "READLINK", "STAT", "LIST", "FSYNC_DIR", "LOCK", "FREE_SPACE", "REAL_PATH" } do
  M.call[name] = 2 ^ (i - 1)
end

local lib = native.lib

--- The last error of this thread.
function M.message() return ffi.string(lib.err_message()) end

--- A fresh account.
function M.mem(limit)
  local mem = ffi.new("struct mem")
  lib.mem_init(mem, limit or 0)
  return mem
end

--- A disk over an account of its own: methods are the functions of io.h with Lua values, raising on errors.
local Disk = {}
Disk.__index = Disk

local function wrap(io, mem) return setmetatable({ io = io, mem = mem, counters = ffi.cast("struct io_counters *", io) }, Disk) end

local function make(create, mem, ...)
  local out = ffi.new("struct io *[1]")
  local args = { ... }
  args[#args + 1] = out
  native.check(create(mem, unpack(args)))
  return wrap(out[0], mem)
end

function M.posix() return make(lib.io_posix_create, M.mem()) end
function M.crash() return make(lib.io_crash_create, M.mem()) end
function M.fault(inner)
  local disk = make(lib.io_fault_create, M.mem(), inner.io)
  disk.inner = inner
  return disk
end

function Disk:destroy() lib.io_destroy(self.io) end

--- The state after a crash before operation k.
function Disk:state(k, choice)
  local out = ffi.new("struct io *[1]")
  native.check(lib.io_crash_state(self.io, k, ffi.new("struct crash_choice", choice or {}), out))
  return wrap(out[0], self.mem)
end

function Disk:describe(index)
  local buf = ffi.new("struct buf", { mem = self.mem })
  native.check(lib.io_crash_describe(self.io, index, buf))
  local text = ffi.string(buf.data)
  lib.buf_free(buf)
  return text
end

function Disk:ops() return tonumber(lib.io_crash_ops_count(self.io)) end

--- Creates the file with this content, fsynced unless told otherwise.
function Disk:put(path, content, unsynced)
  local file = ffi.new("struct io_file *[1]")
  native.check(lib.io_create(self.io, path, file))
  if #content > 0 then native.check(lib.io_write(file[0], content, #content)) end
  if not unsynced then native.check(lib.io_fsync(file[0])) end
  native.check(lib.io_close(file[0]))
end

--- The content of a file, or nil and the code.
function Disk:get(path)
  local buf = ffi.new("struct buf", { mem = self.mem })
  local rc = lib.io_read_file(self.io, path, 2 ^ 40, buf)
  local text = rc == 0 and ffi.string(buf.data, buf.len) or nil
  lib.buf_free(buf)
  return text, rc
end

--- Names of a directory, or nil and the code.
function Disk:list(path)
  local list = ffi.new("struct io_list")
  local rc = lib.io_list(self.io, path, self.mem, list)
  if rc ~= 0 then return nil, rc end
  local names = {}
  for i = 0, tonumber(list.count) - 1 do names[#names + 1] = ffi.string(list.entries[i].name) end
  lib.io_list_free(list)
  return names
end

function Disk:exists(path)
  local out = ffi.new("bool[1]")
  native.check(lib.io_exists(self.io, path, out))
  return out[0]
end

local function method(name)
  Disk[name] = function(self, ...) native.check(lib["io_" .. name](self.io, ...)) end
end
for _, name in ipairs { "mkdir", "rmdir", "rename", "unlink", "link", "symlink", "fsync_dir", "mkdir_all", "mkdir_synced", "remove_tree" } do
  method(name)
end

local function text_of(fn)
  return function(self, path)
    local buf = ffi.new("struct buf", { mem = self.mem })
    local rc = fn(self.io, path, buf)
    local text = rc == 0 and ffi.string(buf.data) or nil
    lib.buf_free(buf)
    return text, rc
  end
end
Disk.readlink = text_of(lib.io_readlink)
Disk.real_path = text_of(lib.io_real_path)
Disk.absolute_path = text_of(lib.io_absolute_path)

--- Everything under path as { ["a/b"] = content | true for directories | "-> target" }.
function Disk:tree(path, prefix, out)
  out, prefix = out or {}, prefix or ""
  for _, name in ipairs(self:list(path)) do
    local child, key = path .. "/" .. name, prefix .. name
    local target = self:readlink(child)
    if target then
      out[key] = "-> " .. target
    elseif self:list(child) then
      out[key] = true
      self:tree(child, key .. "/", out)
    else
      out[key] = self:get(child)
    end
  end
  return out
end

--- A real directory that is removed by the returned function.
function M.scratch()
  local base = os.getenv("TMPDIR") or "/tmp"
  local handle = assert(io.popen(("mktemp -d %s/tsengine-spec-XXXXXX"):format(base)))
  local path = handle:read("*l")
  handle:close()
  return path, function() os.execute("rm -rf '" .. path .. "'") end
end

return M
