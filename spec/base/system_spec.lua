local ffi = require("ffi")
local native = require("spec.support.native")
local base = require("spec.base.support")
local lib, code = base.lib, base.code

native.cdef [[
const char *err_place(void);
const char *err_word(int code);
uint64_t err_corrupt_total(void);
uint64_t err_bug_total(void);
int tt_err_long_message(void);
int tt_err_nested(void);
int tt_err_of_errno(int errno_value);
int tt_thread_facts(size_t *stack_bytes, int *blocked_signals, char *name);
int tt_cond_handshake(void);
int tt_cond_times_out(int64_t ms);
int tt_log_ring(struct mem *mem, int messages, uint64_t *lost, int *taken, char *first);
int64_t tt_clock_manual(int64_t start, int64_t later, uint64_t *ns, int64_t *tick);
int tt_clock_wall(void);
int tt_budget(void);
unsigned thread_cpus(void);
unsigned machine_cpus(void);
uint64_t machine_memory_bytes(void);
uint64_t machine_parse_cpu_max(const char *text);
bool machine_parse_cgroup_path(const char *text, const char *controller, char *path, size_t path_bytes);
]]

describe("the last error", function()
  it("is cut, not overrun, when it is long", function()
    assert.equal(code.IO, lib.tt_err_long_message())
    assert.equal(1023, #base.message())
  end)

  it("may quote the error before it, take a prefix and survive tidying up", function()
    assert.equal(code.IO, lib.tt_err_nested())
    assert.equal("while testing: outer of inner", base.message())
    assert.equal(code.IO, lib.err_code())
    assert.truthy(ffi.string(lib.err_place()):find("^base_misc%.c:%d+$"))
  end)

  it("turns system errors into the words of the API", function()
    assert.equal(code.NOSPACE, lib.tt_err_of_errno(28))
    assert.equal("cannot write /some/file: No space left on device", base.message())
    assert.equal(code.NOSPACE, lib.tt_err_of_errno(122))
    assert.equal(code.MEMORY, lib.tt_err_of_errno(12))
    assert.equal(code.IO, lib.tt_err_of_errno(5))
    assert.equal("NOSPACE", ffi.string(lib.err_word(4)))
    assert.equal("CORRUPT", ffi.string(lib.err_word(3)))
    assert.equal("BUG", ffi.string(lib.err_word(17)))
    assert.equal("BUG", ffi.string(lib.err_word(99)))
    assert.equal("BUG", ffi.string(lib.err_word(-1)))
  end)

  it("counts damaged bytes", function()
    local before = lib.err_corrupt_total()
    local disk = base.crash()
    disk:put("/f", "x")
    local file, piece = ffi.new("struct io_file *[1]"), ffi.new("char[2]")
    base.check(lib.io_open_read(disk.io, "/f", file))
    lib.io_pread(file[0], piece, 2, 0)
    lib.io_close(file[0])
    disk:destroy()
    assert.equal(1, tonumber(lib.err_corrupt_total() - before))
  end)
end)

describe("threads", function()
  it("have a small stack, no signals and a name", function()
    local stack, blocked, name = ffi.new("size_t[1]"), ffi.new("int[1]"), ffi.new("char[16]")
    native.check(lib.tt_thread_facts(stack, blocked, name))
    assert.is_true(stack[0] >= 2 ^ 20 and stack[0] <= 2 ^ 20 + 65536)
    assert.equal(29, blocked[0])
    assert.equal("a name longer t", ffi.string(name))
  end)

  it("wait for each other, but not longer than they said", function()
    native.check(lib.tt_cond_handshake())
    assert.equal(0, lib.tt_cond_times_out(20))
    assert.equal(0, lib.tt_cond_times_out(0))
    assert.equal(0, lib.tt_cond_times_out(-5))
  end)

  it("know how many CPUs and how much memory they may use", function()
    assert.is_true(lib.thread_cpus() >= 1 and lib.thread_cpus() <= 65536)
    assert.equal(lib.machine_cpus(), lib.thread_cpus())
    assert.is_true(lib.machine_memory_bytes() >= 2 ^ 20)
    assert.equal(150, tonumber(lib.machine_parse_cpu_max("150000 100000\n")))
    assert.equal(0xFFFFFFFFFFFFFFFFULL, lib.machine_parse_cpu_max("max 100000\n"))
    assert.equal(0xFFFFFFFFFFFFFFFFULL, lib.machine_parse_cpu_max("1 0"))
    assert.equal(0xFFFFFFFFFFFFFFFFULL, lib.machine_parse_cpu_max(""))
    local path = ffi.new("char[64]")
    local text = "12:cpu,cpuacct:/docker/abc\n5:cpuset:/other\n0::/unified/x\n"
    assert.is_true(lib.machine_parse_cgroup_path(text, "cpu", path, 64))
    assert.equal("/docker/abc", ffi.string(path))
    assert.is_true(lib.machine_parse_cgroup_path(text, "", path, 64))
    assert.equal("/unified/x", ffi.string(path))
    assert.is_false(lib.machine_parse_cgroup_path(text, "memory", path, 64))
    assert.is_false(lib.machine_parse_cgroup_path(text, "cpu", path, 5))
    assert.is_false(lib.machine_parse_cgroup_path("garbage", "cpu", path, 64))
  end)
end)

describe("the clock", function()
  it("is the machine's, or stands where it was put", function()
    assert.equal(1, lib.tt_clock_wall())
    local ns, tick = ffi.new("uint64_t[1]"), ffi.new("int64_t[1]")
    assert.equal(5000, tonumber(lib.tt_clock_manual(1, 5000, ns, tick)))
    assert.equal(5000000000, tonumber(ns[0]))
    assert.equal(5000, tonumber(tick[0]))
  end)

  it("gives work a real budget under any clock", function() native.check(lib.tt_budget()) end)
end)

describe("the log", function()
  it("keeps the newest messages and counts the lost", function()
    local mem = base.mem()
    local lost, taken, first = ffi.new("uint64_t[1]"), ffi.new("int[1]"), ffi.new("char[1024]")
    native.check(lib.tt_log_ring(mem, 300, lost, taken, first))
    assert.equal(44, tonumber(lost[0]))
    assert.equal(256, taken[0])
    assert.equal("message 44", ffi.string(first))
    native.check(lib.tt_log_ring(mem, 3, lost, taken, first))
    assert.equal(3, taken[0])
    mem.fail_at, mem.fail_for_ever = mem.calls + 1, true
    native.check(lib.tt_log_ring(mem, 3, lost, taken, first))
    assert.equal(0, taken[0])
    assert.equal(3, tonumber(lost[0]))
    assert.equal(0, tonumber(mem.live_blocks))
  end)
end)
