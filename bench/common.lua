--- What the benchmarks share: clocks, processor time of the whole process, medians, scratch directories, the workload.
local ffi = require("ffi")

local here = arg[0]:match("^(.*/)") or "./"
local root = here .. "../"
package.path = root .. "lua/?.lua;" .. root .. "lua/?/init.lua;" .. root .. "examples/?.lua;" .. package.path

ffi.cdef [[
struct tsbench_time { long seconds; long fraction; };
struct tsbench_usage { struct tsbench_time user, system; long rest[14]; };
int clock_gettime(int id, struct tsbench_time *out);
int getrusage(int who, struct tsbench_usage *out);
]]

local M = { here = here, root = root }

M.terminal = require("terminal")

--- Seconds by a clock that only goes forward.
function M.now()
  local t = ffi.new("struct tsbench_time")
  ffi.C.clock_gettime(1, t)
  return tonumber(t.seconds) + tonumber(t.fraction) / 1e9
end

--- Processor seconds of all threads of this process, user and system.
function M.cpu()
  local usage = ffi.new("struct tsbench_usage")
  assert(ffi.C.getrusage(0, usage) == 0)
  return tonumber(usage.user.seconds + usage.system.seconds) + tonumber(usage.user.fraction + usage.system.fraction) / 1e6
end

--- Run a function; wall and processor seconds.
function M.measure(work)
  local wall, cpu = M.now(), M.cpu()
  work()
  return M.now() - wall, M.cpu() - cpu
end

--- The middle of some numbers.
function M.median(numbers)
  table.sort(numbers)
  return numbers[math.floor((#numbers + 1) / 2)]
end

--- Options of the command line: --name value, over defaults whose types they take.
function M.options(defaults)
  local i = 1
  while arg[i] do
    local name = arg[i]:match("^%-%-([%w_]+)$")
    local value = arg[i + 1]
    if defaults[name] == nil or value == nil then
      local names = {}
      for known, default in pairs(defaults) do names[#names + 1] = ("[--%s %s]"):format(known, tostring(default)) end
      table.sort(names)
      io.stderr:write("usage: luajit ", arg[0], " ", table.concat(names, " "), "\n")
      os.exit(2)
    end
    if type(defaults[name]) == "number" then value = assert(tonumber(value), name .. " must be a number") end
    defaults[name] = value
    i = i + 2
  end
  return defaults
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end
M.quote = quote

--- Run a shell command; its output.
function M.shell(command)
  local pipe = assert(io.popen(command .. "; echo \":$?\"", "r"))
  local text = pipe:read("*a")
  pipe:close()
  local output, code = text:match("^(.*):(%d+)\n$")
  if code ~= "0" then error("failed: " .. command .. "\n" .. text, 2) end
  return output
end

--- A fresh directory below TSE_BENCH, /dev/shm or /tmp. In memory, so that the processor is measured and not the disk.
function M.scratch(name)
  local base = os.getenv("TSE_BENCH") or (os.rename("/dev/shm", "/dev/shm") and "/dev/shm" or "/tmp")
  local path = ("%s/tsbench-%s"):format(base, name)
  M.shell("rm -rf " .. quote(path) .. " && mkdir -p " .. quote(path))
  return path
end

function M.remove(path)
  assert(path:find("/tsbench-", 1, true))
  M.shell("rm -rf " .. quote(path))
end

--- The devops workload as a file, made once.
---@return string path, number rows
function M.devops(hosts, hours, kind)
  local base = os.getenv("TSE_BENCH") or "/dev/shm"
  local path = ("%s/tsbench-devops-%d-%d-%s.influx"):format(base, hosts, hours, kind)
  local file = io.open(path, "rb")
  if file then
    file:close()
  else
    M.shell(("luajit %s --hosts %d --hours %d %s --out %s"):format(quote(here .. "gen_devops.lua"), hosts, hours,
      kind == "float" and "--float" or "", quote(path .. ".new")))
    assert(os.rename(path .. ".new", path))
  end
  return path, hosts * hours * 360 * 10
end

--- A file as texts of about `size` bytes that end with a line.
function M.chunks(path, size)
  local whole, rest = {}, ""
  local file = assert(io.open(path, "rb"))
  for block in function() return file:read(size) end do
    local cut = block:match("^.*()\n")
    if cut then
      whole[#whole + 1] = rest .. block:sub(1, cut)
      rest = block:sub(cut + 1)
    else
      rest = rest .. block
    end
  end
  file:close()
  if rest ~= "" then whole[#whole + 1] = rest end
  return whole
end

--- Machine and version, as the first line of every table.
function M.describe()
  local cpu = io.open("/proc/cpuinfo", "r")
  local model = cpu and cpu:read("*a"):match("model name%s*:%s*([^\n]+)") or "unknown processor"
  if cpu then cpu:close() end
  return ("tsengine %s, %s, %s cores"):format(require("tsengine").version, model, (M.shell("nproc"):gsub("%s", "")))
end

function M.millions(rows, seconds) return ("%.2f"):format(rows / seconds / 1e6) end

return M
