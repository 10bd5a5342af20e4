--- Finds and loads the core (tsengine/core.so) and declares its interface, once per process.
---
--- The core is looked for in this order:
---   1. the file that the environment variable TSENGINE_LIB names
---   2. package.searchpath("tsengine.core", package.cpath): what luarocks installs
---   3. beside this file: <prefix>/share/lua/5.1/tsengine/ffi.lua -> <prefix>/lib/lua/5.1/tsengine/core.so (a tree of its
---      own, with nothing but package.path set), and <source>/lua/tsengine/ffi.lua -> <source>/build/tsengine/core.so
--- The C declarations come from cdef.lua, which the build makes of csrc/ffi/tsengine.h and puts beside core.so and into
--- the installed module.
local ffi = require("ffi")

-- The interface this Lua code was written for: tse_abi_version() of the core must agree.
local ABI_VERSION = 1

local function readable(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

--- Directory of this file, with a slash at the end.
local function own_directory()
  return debug.getinfo(1, "S").source:match("^@(.*/)") or "./"
end

--- Path of the core, or an error that lists every place looked at.
local function find_core()
  local tried = {}
  local function try(path)
    if readable(path) then return path end
    tried[#tried + 1] = "\n\t" .. path
  end

  local named = os.getenv("TSENGINE_LIB")
  if named and named ~= "" then
    local path = try(named)
    if path then return path end
    error("tsengine: TSENGINE_LIB names a file that cannot be read: " .. named, 0)
  end
  local path, message = package.searchpath("tsengine.core", package.cpath)
  if path then return path end
  tried[#tried + 1] = message
  local directory = own_directory()
  local prefix = directory:match("^(.*/)share/lua/5%.1/tsengine/$")
  if prefix then path = try(prefix .. "lib/lua/5.1/tsengine/core.so") end
  if not path then
    local source = directory:match("^(.*/)lua/tsengine/$") or (directory == "lua/tsengine/" and "./")
    if source then path = try(source .. "build/tsengine/core.so") end
  end
  if path then return path end
  error("tsengine: the core library was not found:" .. table.concat(tried), 0)
end

--- The C declarations that belong to a core: those beside it, else the installed ones.
local function find_declarations(core_path)
  local beside = (core_path:match("^(.*/)") or "./") .. "cdef.lua"
  if readable(beside) then return assert(loadfile(beside))() end
  return require("tsengine.cdef")
end

local core_path = find_core()
-- A named struct may be declared once in a process: a second require after package.loaded was cleared must not repeat it.
if not pcall(ffi.typeof, "struct tse_options") then ffi.cdef(find_declarations(core_path)) end

local ok, C = pcall(ffi.load, core_path)
if not ok then error("tsengine: cannot load " .. core_path .. ": " .. tostring(C), 0) end

local has_version, version = pcall(function() return C.tse_abi_version() end)
if not has_version then error("tsengine: " .. core_path .. " is not the core of tsengine", 0) end
if version ~= ABI_VERSION then
  error(("tsengine: %s has interface version %d, this module needs %d: install both from the same release")
    :format(core_path, version, ABI_VERSION), 0)
end

return { C = C, path = core_path }
