--- The Lua module as the specs use it: databases in scratch directories, and programs run by a luajit of their own.
local process = require("spec.support.process")

local M = {}

local here = io.popen("pwd"):read("*l")
M.root = here
package.path = here .. "/lua/?.lua;" .. here .. "/lua/?/init.lua;" .. package.path

M.tsengine = require("tsengine")

--- 2026-11-05 12:00:00 UTC: in the middle of a partition, so that an hour more or less changes no month.
M.NOON = 1793880000000

local directories, databases = {}, {}

--- A fresh directory; it goes with `cleanup`.
function M.directory()
  local path = process.scratch("lua")
  directories[#directories + 1] = path
  return path
end

--- Open a database without threads, its clock standing at NOON; options override.
---@return table db, table clock, string path
function M.open(options)
  local all = { path = M.directory() .. "/db", threads = 0, clock = M.tsengine.clock.manual(M.NOON) }
  for name, value in pairs(options or {}) do all[name] = value end
  if all.clock == "real" then all.clock = nil end
  local db = assert(M.tsengine.open(all))
  databases[#databases + 1] = db
  return db, all.clock, all.path
end

--- Close what is open, remove what was made.
function M.cleanup()
  for _, db in ipairs(databases) do db:close() end
  for _, path in ipairs(directories) do process.remove_tree(path) end
  databases, directories = {}, {}
end

--- All rows of a query: metric -> { {ms, value}, … }.
function M.rows(db, ...)
  local all = {}
  for series in assert(db:select(...)) do
    assert(all[series.metric] == nil, "a name came twice")
    local rows = {}
    for ms, value in series:points() do rows[#rows + 1] = { ms, value } end
    all[series.metric] = rows
  end
  return all
end

--- Run a program in a luajit of its own; the module is found, `...` are its arguments.
---@return integer code, string output
function M.run(source, ...)
  local directory = M.directory()
  local script = directory .. "/program.lua"
  local file = assert(io.open(script, "w"))
  file:write(source)
  file:close()
  local words = { "cd", process.quote(here), "&&", "LUA_PATH='" .. here .. "/lua/?.lua;" .. here .. "/lua/?/init.lua;;'", "luajit", script }
  for _, word in ipairs({ ... }) do words[#words + 1] = process.quote(tostring(word)) end
  local pipe = io.popen(table.concat(words, " ") .. " 2>&1; echo :$?", "r")
  local text = pipe:read("*a")
  pipe:close()
  local output, code = text:match("^(.*):(%d+)\n$")
  return tonumber(code), output
end

--- Start a program in the background.
---@return table process, string log
function M.start(source, ...)
  local directory = M.directory()
  local script, log = directory .. "/program.lua", directory .. "/log"
  local file = assert(io.open(script, "w"))
  file:write(("package.path = %q .. package.path\n"):format(here .. "/lua/?.lua;" .. here .. "/lua/?/init.lua;"), source)
  file:close()
  local child = assert(process.start({ "luajit", script, ... }, log))
  return child, log
end

--- Wait until a file holds a text; its content.
function M.wait_for(path, text, seconds)
  local content = "no such file"
  for _ = 1, (seconds or 60) * 200 do
    local file = io.open(path, "r")
    if file then
      content = file:read("*a")
      file:close()
      if content:find(text, 1, true) then return content end
    end
    process.sleep_ms(5)
  end
  error(("%s never said %q, but: %s"):format(path, text, content), 2)
end

--- Seconds by a clock that only goes forward.
function M.seconds()
  local ffi = require("ffi")
  pcall(ffi.cdef, "struct tsespec_time { long seconds; long nanoseconds; }; int clock_gettime(int id, struct tsespec_time *out);")
  local t = ffi.new("struct tsespec_time")
  ffi.C.clock_gettime(1, t)
  return tonumber(t.seconds) + tonumber(t.nanoseconds) / 1e9
end

return M
