--- The real victoria-metrics on a directory: started on loopback, spoken to over HTTP, ended by pid.
local process = require("spec.support.process")

-- A sanitizer that the specs run under is not for other people's programs: they hang with it.
local CURL = "env -u LD_PRELOAD curl"

local M = {}
local Peer = {}
Peer.__index = Peer

--- Is the program installed? Its absence is a failure of the suite, not a reason to skip: scripts/test.sh installs it.
function M.available()
  return os.execute("command -v victoria-metrics >/dev/null 2>&1") == 0
end

local next_port = 20000 + (process.pid() * 37) % 20000

--- Start it on `directory`; returns once it answers, or nil and its log.
---@param directory string storage directory
---@param options table? { flags = { "-dedup.minScrapeInterval=1s" }, timeout_s = 30 }
function M.start(directory, options)
  options = options or {}
  for _ = 1, 5 do
    next_port = 20000 + (next_port + 7 - 20000) % 20000
    local log = directory .. ".peer.log"
    os.remove(log)
    local argv = { "env", "-u", "LD_PRELOAD", "victoria-metrics", "-storageDataPath=" .. directory, "-retentionPeriod=100y",
      ("-httpListenAddr=127.0.0.1:%d"):format(next_port), "-memory.allowedBytes=200MB", "-loggerLevel=INFO",
      "-search.maxUniqueTimeseries=10000000", "-search.maxSeries=10000000", "-search.maxExportSeries=10000000" }
    for _, flag in ipairs(options.flags or {}) do argv[#argv + 1] = flag end
    local child = assert(process.start(argv, log))
    local self = setmetatable({ child = child, url = ("http://127.0.0.1:%d"):format(next_port), log = log,
      directory = directory }, Peer)
    for _ = 1, (options.timeout_s or 30) * 50 do
      if child:poll() then break end
      local pipe = io.popen(CURL .. " -s -m 2 " .. self.url .. "/health 2>/dev/null")
      local answer = pipe:read("*a")
      pipe:close()
      if answer == "OK" then return self end
      process.sleep_ms(20)
    end
    local text = self:log_text()
    child:stop()
    if not text:find("address already in use", 1, true) then return nil, text end
  end
  return nil, "no free port"
end

function Peer:log_text()
  local file = io.open(self.log, "r")
  if not file then return "" end
  local text = file:read("*a")
  file:close()
  return text
end

--- Clean stop (SIGINT, as its service does); the exit code.
function Peer:stop()
  local code = self.child:stop(process.SIGINT, 60)
  os.remove(self.log)
  return code
end

--- End it at once, as a crash would.
function Peer:kill()
  self.child:stop(process.SIGKILL, 10)
end

local function encode(text)
  return (text:gsub("[^%w%-%._~]", function(c) return ("%%%02X"):format(c:byte()) end))
end
M.encode = encode

--- GET path with arguments {name = value or array}; the body.
function Peer:get(path, arguments)
  local words = {}
  for name, value in pairs(arguments or {}) do
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      words[#words + 1] = encode(name) .. "=" .. encode(tostring(one))
    end
  end
  local target = self.url .. path
  -- arguments travel in the body: selectors may be long
  return process.output((CURL .. " -s -m 300 --data %s %s"):format(process.quote(table.concat(words, "&")), process.quote(target)))
end

--- POST the bytes of a file (or a string) to a path.
function Peer:post(path, body, is_file)
  local file = body
  if not is_file then
    file = os.tmpname()
    local handle = assert(io.open(file, "wb"))
    handle:write(body)
    handle:close()
  end
  local answer = process.output((CURL .. " -s -m 300 -H 'Expect:' --data-binary @%s %s"):format(
    process.quote(file), process.quote(self.url .. path)))
  if not is_file then os.remove(file) end
  return answer
end

--- Everything that matches, as JSON lines (one series each), into a file; default: all series, all time.
function Peer:export_to(file, match, arguments)
  local words = { "match[]=" .. encode(match or '{__name__!=""}'), "start=1", "max_rows_per_line=1000000000" }
  for name, value in pairs(arguments or {}) do words[#words + 1] = name .. "=" .. encode(tostring(value)) end
  process.output((CURL .. " -s -m 600 -o %s --data %s %s"):format(process.quote(file),
    process.quote(table.concat(words, "&")), process.quote(self.url .. "/api/v1/export")))
end

--- Make what was ingested visible to searches.
function Peer:flush() self:get("/internal/force_flush") end

--- Merge every partition into as few parts as it does, and wait until the merges have ended.
function Peer:force_merge(partition)
  self:get("/internal/force_merge", { partition_prefix = partition or "" })
  process.sleep_ms(500)
  for _ = 1, 600 do
    local active = 0
    for n in self:get("/metrics"):gmatch('vm_active_merges{type="storage/[^"]+"} (%d+)') do active = active + tonumber(n) end
    if active == 0 then return end
    process.sleep_ms(100)
  end
  error("victoria-metrics is still merging after a minute", 2)
end

--- One number of /metrics by its exact name with labels.
function Peer:metric(name)
  local plain = name:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")
  return tonumber(self:get("/metrics"):match("\n" .. plain .. " ([%d%.e%+%-]+)"))
end

return M
