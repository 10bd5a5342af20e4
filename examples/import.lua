--- Files of metrics into a directory, with what was wrong in them.
---
---   luajit examples/import.lua DIRECTORY prometheus|influx FILE...      plain, .gz or .zst
local here = arg[0]:match("^(.*/)") or "./"
package.path = here .. "?.lua;" .. package.path

local tsengine = require("tsengine")
local terminal = require("terminal")

local directory, format = arg[1], arg[2]
if not arg[3] then
  io.stderr:write("usage: luajit examples/import.lua DIRECTORY prometheus|influx FILE...\n")
  os.exit(2)
end

local db = assert(tsengine.open(directory))
local failed = false
for i = 3, #arg do
  local path = arg[i]
  local rows, message, _, before = db:import(format, path)
  local report = rows and message or before
  if not rows then
    failed = true
    io.stderr:write(path, ": ", message, "\n")
  end
  if report then
    local ignored = report.ignored
    print(("%s: %s rows from %s lines (%s); %d bad lines, %d values NaN, %d rows too old, %d too new"):format(path,
      terminal.thousands(rows or report.accepted or 0), terminal.thousands(report.lines), terminal.bytes(report.bytes),
      report.rejected, ignored.nan, ignored.past, ignored.future))
    for _, bad in ipairs(report.errors) do print(("  line %d: %s"):format(bad.line, bad.message)) end
  end
end
assert(db:close())
os.exit(failed and 1 or 0)
