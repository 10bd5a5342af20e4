--- Checks the walls of csrc/: luajit scripts/check_floors.lua [csrc]
---
---   floor      no file includes a header of a floor above it, or of another folder on its own line of floors.txt
---   cycle      no file is reached by its own includes, however many files lie between (guards would hide it)
---   comment    the first comment of a file says "name -- what it is for" and "floor: <its folder>"
---   function   no function body has more than 70 lines
---   file       no file has more than 700 lines
---   kernel     only the real and the crashing disk include <fcntl.h>
---
--- Prints one line for each fault and ends with 1 when there is any.
local M = {}

local FUNCTION_LINES_MAX = 70
local FILE_LINES_MAX = 700
local KERNEL_FILES = { ["base/io_posix.c"] = true, ["base/io_crash.c"] = true }

--- Files below a directory, as paths relative to it.
local function list_files(root)
  local files = {}
  local pipe = assert(io.popen(("cd '%s' && find . -name '*.[ch]' -o -name '*.cc'"):format(root:gsub("'", "'\\''"))))
  for line in pipe:lines() do files[#files + 1] = line:gsub("^%./", "") end
  pipe:close()
  table.sort(files)
  return files
end

local function read_lines(path)
  local lines = {}
  for line in assert(io.open(path, "rb")):lines() do lines[#lines + 1] = line end
  return lines
end

--- floors.txt as folder -> height.
local function read_floors(root)
  local floors, height = {}, 0
  for _, line in ipairs(read_lines(root .. "/floors.txt")) do
    local text = line:gsub("#.*", "")
    if text:find("%S") then
      height = height + 1
      for folder in text:gmatch("%S+") do floors[folder] = height end
    end
  end
  return floors
end

local function read_tree(root)
  local tree = { names = list_files(root), floors = read_floors(root), files = {} }
  for _, name in ipairs(tree.names) do
    local file = { lines = read_lines(root .. "/" .. name), includes = {}, folder = name:match("^(.-)/") or "" }
    for number, line in ipairs(file.lines) do
      local quoted = line:match('^%s*#%s*include%s+"([^"]+)"')
      local system = line:match("^%s*#%s*include%s+<([^>]+)>")
      if quoted then
        if not quoted:find("/", 1, true) then quoted = file.folder .. "/" .. quoted end
        file.includes[#file.includes + 1] = { name = quoted, line = number }
      elseif system == "fcntl.h" then
        file.kernel_line = number
      end
    end
    tree.files[name] = file
  end
  return tree
end

-- -- The checks -------------------------------------------------------------

local function check_includes(tree, fault)
  for _, name in ipairs(tree.names) do
    local file = tree.files[name]
    local height = tree.floors[file.folder]
    if not height then fault(name, 1, "stands on no floor of floors.txt") end
    for _, include in ipairs(file.includes) do
      local folder = include.name:match("^(.-)/")
      local other = tree.floors[folder]
      if not tree.files[include.name] then
        fault(name, include.line, "includes " .. include.name .. ", which does not exist")
      elseif height and other and folder ~= file.folder and other >= height then
        fault(name, include.line, ("floor '%s' includes %s from %s"):format(file.folder, include.name,
          other > height and "above" or "beside it"))
      end
    end
    if file.kernel_line and not KERNEL_FILES[name] then
      fault(name, file.kernel_line, "includes <fcntl.h>: files are reached through base/io.h alone")
    end
  end
end

local function check_cycles(tree, fault)
  local edges = {}
  for _, name in ipairs(tree.names) do
    edges[name] = {}
    for _, include in ipairs(tree.files[name].includes) do edges[name][include.name] = include.line end
  end
  local state, path = {}, {}
  local function visit(node)
    state[node] = "open"
    path[#path + 1] = node
    local targets = {}
    for target in pairs(edges[node] or {}) do targets[#targets + 1] = target end
    table.sort(targets)
    for _, target in ipairs(targets) do
      if state[target] == "open" then
        local first = #path
        while path[first] ~= target do first = first - 1 end
        fault(node, edges[node][target], "closes a cycle: " .. table.concat(path, " -> ", first) .. " -> " .. target)
      elseif not state[target] then
        visit(target)
      end
    end
    path[#path] = nil
    state[node] = "done"
  end
  for _, node in ipairs(tree.names) do
    if not state[node] then visit(node) end
  end
end

local function check_comment(name, file, fault)
  local comment = {}
  for i = 1, math.min(#file.lines, 60) do
    comment[#comment + 1] = file.lines[i]
    if file.lines[i]:find("*/", 1, true) then break end
  end
  local text = table.concat(comment, "\n")
  if not text:find("^/%*") then
    fault(name, 1, "does not begin with a comment")
    return
  end
  local base = name:match("([^/]+)$")
  if not text:find(base .. " -- ", 1, true) then fault(name, 1, ("first comment lacks '%s -- what it is for'"):format(base)) end
  local floor = text:match("floor:%s*([%w_]+)")
  if floor ~= file.folder then
    fault(name, 1, ("first comment names floor '%s', the file stands in '%s'"):format(floor or "none", file.folder))
  end
end

--- A function's body starts at a line that is "{" alone in the first column and ends at "}" there.
local function check_lengths(name, file, fault)
  if #file.lines > FILE_LINES_MAX then
    fault(name, FILE_LINES_MAX + 1, ("file has %d lines, at most %d are allowed"):format(#file.lines, FILE_LINES_MAX))
  end
  local start
  for number, line in ipairs(file.lines) do
    if line:find("^{") then
      start = number
    elseif start and line:find("^}") then
      local length = number - start - 1
      if length > FUNCTION_LINES_MAX then
        fault(name, start, ("function has %d lines, at most %d are allowed"):format(length, FUNCTION_LINES_MAX))
      end
      start = nil
    end
  end
end

--- Check a tree.
---@param root string  directory with floors.txt
---@return string[] faults  "file:line: what", sorted as found
---@return integer files  how many were looked at
function M.check(root)
  local faults = {}
  local function fault(name, line, text) faults[#faults + 1] = ("%s/%s:%d: %s"):format(root, name, line, text) end
  local tree = read_tree(root)
  check_includes(tree, fault)
  check_cycles(tree, fault)
  for _, name in ipairs(tree.names) do
    check_comment(name, tree.files[name], fault)
    check_lengths(name, tree.files[name], fault)
  end
  return faults, #tree.names
end

if arg and arg[0] and arg[0]:find("check_floors%.lua$") then
  local root = arg[1] or "csrc"
  local faults, files = M.check(root)
  for _, text in ipairs(faults) do print(text) end
  print(("%d files, %d faults"):format(files, #faults))
  os.exit(#faults == 0 and files > 0 and 0 or 1)
end

return M
