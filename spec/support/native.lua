--- The engine's test library, seen from the specs: every C function is visible, asserts are on.
-- `lib` is the loaded library; `cdef` declares C once, however many specs repeat it.
local ffi = require("ffi")

local M = {}

local path = os.getenv("TSENGINE_LIB")
if not path then
  error("set TSENGINE_LIB to the test library (cmake -DTSE_TESTING=ON; <build>/tsengine/core.so)", 0)
end

--- The loaded test library.
M.lib = ffi.load(path)

local declared = {}

--- Declare C text unless the same text was declared before.
---@param text string C declarations
function M.cdef(text)
  if not declared[text] then
    local ok, message = pcall(ffi.cdef, text)
    if not ok and not tostring(message):find("redefine", 1, true) then error(message, 2) end
    declared[text] = true
  end
end

M.cdef [[
const char *err_message(void);
int err_code(void);
]]

--- Raise the library's last error unless rc is 0.
function M.check(rc)
  if rc ~= 0 then error(("code %d: %s"):format(rc, ffi.string(M.lib.err_message())), 2) end
end

--- The seed of a property test: TSE_SEED, or from the time; printed so that a failure can be repeated.
function M.seed(name)
  local seed = tonumber(os.getenv("TSE_SEED") or "") or (os.time() % 2147483647)
  io.stderr:write(("seed of %s: %d (TSE_SEED repeats it)\n"):format(name, seed))
  return seed
end

return M
