--- Storage directories that real victoria-metrics processes wrote, unpacked for a spec, and what they said of them.
local parts = require("spec.support.parts")
local json = require("spec.support.json")

local M = {}

--- A shell command without a sanitizer that the test process may have been preloaded with: tools leak, and would fail.
local function clean(command) return "unset LD_PRELOAD; " .. command end

local function run(command)
  assert(os.execute(clean(command)) == 0, command)
end

--- Unpacks spec/data/vmdirs/<name> into a fresh directory: its path; parts.remove takes it away.
function M.unpack(name)
  local path = parts.directory()
  run(("zstd -dc 'spec/data/vmdirs/%s/dir.tar.zst' | tar -xf - -C '%s'"):format(name, path))
  return path
end

--- The series of the peer's export: {metric=, timestamps=, values=}.
function M.export(name)
  local series = {}
  local pipe = assert(io.popen(clean("zstd -dc 'spec/data/vmdirs/%s/export.jsonl.zst'"):format(name)))
  for line in pipe:lines() do series[#series + 1] = json.decode(line) end
  pipe:close()
  return series
end

--- Paths of all part directories below data/, snapshots left out.
function M.part_paths(path)
  local paths = {}
  local pipe = assert(io.popen(clean("find '%s/data' -path '*/snapshots' -prune -o -type d -name '*_*_*_*_*' -print"):format(path)))
  for line in pipe:lines() do paths[#paths + 1] = line end
  pipe:close()
  table.sort(paths)
  return paths
end

return M
