--- What the documents say is so: examples run, every function and code and option is described, links lead somewhere.
local module = require("spec.support.module")
local process = require("spec.support.process")

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function blocks_of(text)
  local blocks = {}
  for block in text:gmatch("```lua\n(.-)```") do blocks[#blocks + 1] = block end
  return blocks
end

describe("README.md", function()
  after_each(module.cleanup)
  local readme = read("README.md")
  local blocks = blocks_of(readme)

  it("begins with a program that runs as it stands", function()
    local directory = module.directory()
    local code, output = module.run(("require('ffi').cdef('int chdir(const char *)'); require('ffi').C.chdir(%q)\n"):format(directory)
      .. blocks[1])
    assert.are.equal(0, code, output)
    assert.matches("kitchen\t%d+\t21.5\n", output)
    assert.matches("cellar\t%d+\t9\n", output)
  end)

  it("has a first program of at most 10 lines", function()
    assert.is_true(select(2, blocks[1]:gsub("\n", "")) <= 10)
  end)

  it("has examples that run one after another", function()
    assert.is_true(#blocks >= 9)
    local directory = module.directory()
    local program = { ([[
      local root = %q
      local tsengine = require("tsengine")
      local open = tsengine.open
      -- Examples that open a directory of their own get it below the scratch directory.
      tsengine.open = function(options)
        options.path = %q .. "/" .. options.path
        return open(options)
      end
      local db = assert(open { path = %q .. "/db", future_limit = "100y" })
    ]]):format(module.root, directory, directory) }
    for i = 2, #blocks do program[#program + 1] = ("do\n%s\nend\nio.write('block %d done\\n')\n"):format(blocks[i], i) end
    program[#program + 1] = "assert(db:close())"
    local code, output = module.run(table.concat(program))
    assert.are.equal(0, code, output)
    for i = 2, #blocks do assert.matches(("block %d done\n"):format(i), output, 1, true) end
    assert.matches("2\t0\t0\n", output, 1, true)
    assert.matches("done\ttrue\n", output, 1, true)
  end)

  it("warns of what victoria-metrics does without a retention", function()
    assert.matches("-retentionPeriod=100y", readme, 1, true)
    assert.matches("deletes everything older than one month", readme, 1, true)
  end)
end)

describe("the documents", function()
  local api = read("docs/api.md")

  it("have an example in the README and a section in docs/api.md for each call of a database", function()
    local readme = read("README.md")
    local db = module.open()
    local methods = getmetatable(db)
    module.cleanup()
    -- For other modules, not for users.
    local internal = { tenant_of = true, __index = true, __tostring = true }
    local count = 0
    for name in pairs(methods) do
      if not internal[name] then
        count = count + 1
        assert.matches("### [^\n]*db:" .. name .. "[%(%{]", api, 1)
        if name ~= "event_fd" then assert.matches("[%w]+:" .. name .. "%f[^%w_]", readme, 1) end
      end
    end
    assert.is_true(count >= 20)
    for name in api:gmatch("db:([%l_]+)[%(%{]") do assert.is_truthy(methods[name], name) end
  end)

  it("describe everything the module exports", function()
    for name in pairs(module.tsengine) do
      if name ~= "_VERSION" then assert.matches("tsengine." .. name, api, 1, true) end
    end
  end)

  it("describe every option of open", function()
    local source = read("lua/tsengine/config.lua")
    for name in source:match("local OPEN = {(.-)\n}"):gmatch("\n  ([%l_]+) =") do assert.matches("| `" .. name .. "` |", api, 1, true) end
    for name in source:match("local FLUSH = {(.-)\n}"):gmatch("\n  ([%l_]+) =") do
      assert.matches("`flush." .. name .. "`", api, 1, true)
    end
  end)

  it("describe every option of write", function()
    local source = read("lua/tsengine/write.lua")
    for name in source:match("local OPTION_NAMES = {(.-)\n}"):gmatch("([%l_]+) = true") do
      assert.matches("| `" .. name .. "` |", api, 1, true)
    end
  end)

  it("say for every code what to do", function()
    local header, operations = read("csrc/ffi/tsengine.h"), read("docs/operations.md")
    local count = 0
    for word in header:gmatch("\tTSE_(%u+) = [1-9]") do
      count = count + 1
      assert.matches("| `" .. word .. "` |", operations, 1, true)
    end
    assert.are.equal(17, count)
  end)

  it("describe every field of a part, a partition and a report", function()
    local inspect = read("lua/tsengine/inspect.lua")
    for class in inspect:gmatch("%-%-%-@class tsengine%.Part.-\n\n") do
      for name in class:gmatch("@field ([%l_]+)") do assert.matches("%f[%w_]" .. name .. "%f[^%w_]", api, 1) end
    end
    local write = read("lua/tsengine/write.lua")
    for name in write:match("@class tsengine.WriteReport\n(.-)\n\n"):gmatch("@field ([%l_]+)") do
      assert.matches("`" .. name .. "`", api, 1, true)
    end
  end)

  it("link to files that exist", function()
    for _, path in ipairs { "README.md", "docs/api.md", "docs/operations.md", "bench/README.md", "CHANGELOG.md" } do
      local directory = path:match("^(.*/)") or ""
      for target in read(path):gmatch("%]%(([^)#]+)[^)]*%)") do
        if not target:find("^https?:") then
          assert.are.equal(0, os.execute("test -e " .. process.quote(directory .. target)), path .. ": " .. target)
        end
      end
    end
  end)

  it("name no program of bench/ that does not exist, and all that do", function()
    local text = read("bench/README.md")
    for name in process.output("ls bench/*.lua"):gmatch("[^\n]+") do
      if name ~= "bench/common.lua" then assert.matches("`luajit " .. name, text, 1, true) end
    end
    for name in text:gmatch("luajit (bench/[%w_]+%.lua)") do assert.are.equal(0, os.execute("test -e " .. name)) end
  end)
end)
