--- This machine's own counters, read from /proc: name of a metric -> integer.
local M = {}

local function numbers_of(text)
  local numbers = {}
  for number in text:gmatch("%S+") do numbers[#numbers + 1] = tonumber(number) end
  return numbers
end

local CPU_MODES = { "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal" }

local readers = {
  ["/proc/stat"] = function(line, put)
    local cpu, rest = line:match("^cpu(%d+)%s+(.*)$")
    if cpu then
      for i, ticks in ipairs(numbers_of(rest)) do
        if CPU_MODES[i] then put(('proc_cpu_ticks_total{cpu="%s",mode="%s"}'):format(cpu, CPU_MODES[i]), ticks) end
      end
      return
    end
    local name, value = line:match("^(%l+) (%d+)$")
    if name == "ctxt" or name == "processes" or name == "procs_running" then put("proc_" .. name, tonumber(value)) end
  end,
  ["/proc/meminfo"] = function(line, put)
    local name, kilobytes = line:match("^(%w+):%s+(%d+) kB")
    if name then put(('proc_memory_bytes{kind="%s"}'):format(name), tonumber(kilobytes) * 1024) end
  end,
  ["/proc/net/dev"] = function(line, put)
    local device, rest = line:match("^%s*([%w%.%-]+):(.*)$")
    if not device then return end
    local numbers = numbers_of(rest)
    put(('proc_network_bytes_total{device="%s",direction="in"}'):format(device), numbers[1])
    put(('proc_network_bytes_total{device="%s",direction="out"}'):format(device), numbers[9])
  end,
}

--- Read everything once. A file that this machine does not have is left out.
---@param put fun(metric: string, value: number)
function M.read(put)
  for path, read in pairs(readers) do
    local file = io.open(path, "r")
    if file then
      for line in file:lines() do read(line, put) end
      file:close()
    end
  end
end

return M
