--- Child processes for the specs: started with posix_spawn, ended by pid, never through a shell.
local ffi = require("ffi")

pcall(ffi.cdef, [[
typedef int tsespec_pid;
int posix_spawnp(tsespec_pid *pid, const char *file, const void *actions, const void *attributes,
                 char *const argv[], char *const environment[]);
int posix_spawn_file_actions_init(void *actions);
int posix_spawn_file_actions_destroy(void *actions);
int posix_spawn_file_actions_addopen(void *actions, int fd, const char *path, int flags, unsigned mode);
extern char **environ;
tsespec_pid waitpid(tsespec_pid pid, int *status, int options);
int kill(tsespec_pid pid, int signal);
int usleep(unsigned us);
tsespec_pid getpid(void);
]])

local C = ffi.C
local WNOHANG = 1
local O_WRONLY_CREATE_APPEND = 0x1 + 0x40 + 0x400

local M = { SIGKILL = 9, SIGTERM = 15, SIGINT = 2 }

local Process = {}
Process.__index = Process

--- Start a program; output and errors go to the file `log`.
---@param argv string[] program and arguments; the program is looked up in PATH
---@param log string? path, default /dev/null
function M.start(argv, log)
  local count = #argv
  local pointers = ffi.new("char *[?]", count + 1)
  for i = 1, count do pointers[i - 1] = ffi.cast("char *", argv[i]) end
  -- posix_spawn_file_actions_t: 80 bytes with glibc on x86-64 and arm64; 256 leaves room
  local actions = ffi.new("uint8_t[256]")
  assert(C.posix_spawn_file_actions_init(actions) == 0)
  for fd = 1, 2 do
    assert(C.posix_spawn_file_actions_addopen(actions, fd, log or "/dev/null", O_WRONLY_CREATE_APPEND, 420) == 0)
  end
  local pid = ffi.new("tsespec_pid[1]")
  local rc = C.posix_spawnp(pid, argv[1], actions, nil, pointers, C.environ)
  C.posix_spawn_file_actions_destroy(actions)
  if rc ~= 0 then return nil, ("cannot start %s: errno %d"):format(argv[1], rc) end
  return setmetatable({ pid = pid[0], log = log }, Process)
end

--- Has it ended? Then its exit code (or 128 + signal).
function Process:poll()
  if self.code then return self.code end
  local status = ffi.new("int[1]")
  if C.waitpid(self.pid, status, WNOHANG) == self.pid then
    local s = status[0]
    local signal = bit.band(s, 0x7f)
    self.code = signal == 0 and bit.band(bit.rshift(s, 8), 0xff) or 128 + signal
  end
  return self.code
end

--- Wait at most `seconds` (default 30); the exit code, or nil.
function Process:wait(seconds)
  local rounds = (seconds or 30) * 200
  for _ = 1, rounds do
    if self:poll() then return self.code end
    C.usleep(5000)
  end
  return nil
end

--- End it: TERM (or the given signal), and KILL when that does not help within `seconds`.
function Process:stop(signal, seconds)
  if self:poll() then return self.code end
  C.kill(self.pid, signal or M.SIGTERM)
  if self:wait(seconds or 30) then return self.code end
  C.kill(self.pid, M.SIGKILL)
  return self:wait(10)
end

function M.sleep_ms(ms) C.usleep(ms * 1000) end
function M.pid() return C.getpid() end

--- A path as one word of a shell command.
function M.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- The standard output of a shell command; raises when it fails.
function M.output(command)
  local pipe = assert(io.popen(command .. " && echo :ok", "r"))
  local text = pipe:read("*a")
  pipe:close()
  local body = text:match("^(.*):ok\n$")
  if not body then error("failed: " .. command .. "\n" .. text, 2) end
  return body
end

--- A fresh directory under TSE_SCRATCH, /dev/shm or /tmp; removed by `remove_tree`.
local made = 0
function M.scratch(name)
  made = made + 1
  local base = os.getenv("TSE_SCRATCH") or (io.open("/dev/shm/.", "r") and "/dev/shm") or "/tmp"
  local path = ("%s/tsespec-%s-%d-%d"):format(base, name, M.pid(), made)
  M.output("mkdir -p " .. M.quote(path))
  return path
end

function M.remove_tree(path)
  assert(path:find("/tsespec-", 1, true), "only scratch directories are removed")
  M.output("rm -rf " .. M.quote(path))
end

return M
