--- The include checker finds what is planted, and finds nothing in the engine itself.
local process = require("spec.support.process")
local floors = dofile("scripts/check_floors.lua")

describe("the include checker", function()
  local root
  before_each(function()
    root = process.scratch("floors")
    for _, folder in ipairs { "low", "left", "right", "high" } do process.output("mkdir " .. root .. "/" .. folder) end
  end)
  after_each(function() process.remove_tree(root) end)

  local function write(name, text)
    local file = assert(io.open(root .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end

  local function comment(name)
    return ("/*\n * %s -- a file of the spec.\n * floor: %s     uses: nothing     used by: nobody\n */\n")
      :format(name:match("[^/]+$"), name:match("^[^/]+"))
  end

  local function file(name, text) write(name, comment(name) .. (text or "")) end

  local function faults()
    write("floors.txt", "# lowest first\nlow\nleft right\nhigh\n")
    local found = floors.check(root)
    for i, fault in ipairs(found) do found[i] = fault:sub(#root + 2) end
    return found
  end

  it("is content with a clean tree", function()
    file("low/a.h")
    file("low/a.c", '#include "low/a.h"\n#include <stdio.h>\n')
    file("left/b.h", '#include "low/a.h"\n')
    file("high/c.c", '#include "left/b.h"\n#include "low/a.h"\n')
    assert.are.same({}, faults())
  end)

  it("finds an include from above and one from beside", function()
    file("low/a.h", '#include "high/c.h"\n')
    file("high/c.h")
    file("left/b.h", '#include "right/d.h"\n')
    file("right/d.h")
    local found = faults()
    assert.are.equal(2, #found)
    assert.matches("left/b.h:5: floor 'left' includes right/d.h from beside it", table.concat(found, "\n"), 1, true)
    assert.matches("low/a.h:5: floor 'low' includes high/c.h from above", table.concat(found, "\n"), 1, true)
  end)

  it("finds a cycle between files of one floor", function()
    file("low/a.h", '#include "low/b.h"\n')
    file("low/b.h", '#include "c.h"\n')
    file("low/c.h", '#include "low/a.h"\n')
    local found = faults()
    assert.are.equal(1, #found)
    assert.matches("closes a cycle: low/a.h -> low/b.h -> low/c.h -> low/a.h", found[1], 1, true)
  end)

  it("finds a missing or untrue first comment", function()
    write("low/a.h", "int a;\n")
    write("low/b.h", comment("high/b.h"))
    write("low/c.h", comment("low/other.h"))
    file("unknown.h")
    local text = table.concat(faults(), "\n")
    assert.matches("low/a.h:1: does not begin with a comment", text, 1, true)
    assert.matches("low/b.h:1: first comment names floor 'high', the file stands in 'low'", text, 1, true)
    assert.matches("low/c.h:1: first comment lacks 'c.h -- what it is for'", text, 1, true)
    assert.matches("unknown.h:1: stands on no floor", text, 1, true)
  end)

  it("finds long functions and long files", function()
    local body = ("\twork();\n"):rep(70)
    file("low/a.c", "void\na(void)\n{\n" .. body .. "}\n\nvoid\nb(void)\n{\n" .. body .. "\twork();\n}\n")
    file("low/b.c", ("int x;\n"):rep(700))
    local found = faults()
    assert.are.equal(2, #found)
    assert.matches("function has 71 lines", found[1], 1, true)
    assert.matches("low/b.c:701: file has 704 lines", found[2], 1, true)
  end)

  it("finds <fcntl.h> outside of the disks", function()
    process.output("mkdir " .. root .. "/base")
    write("base/io_posix.c", comment("base/io_posix.c") .. "#include <fcntl.h>\n")
    write("base/other.c", comment("base/other.c") .. "#include <fcntl.h>\n")
    write("floors.txt", "base\n")
    local found = floors.check(root)
    assert.are.equal(1, #found)
    assert.matches("base/other.c:5: includes <fcntl.h>", found[1], 1, true)
  end)

  it("finds an include of a file that does not exist", function()
    file("low/a.h", '#include "low/gone.h"\n')
    assert.matches("low/gone.h, which does not exist", faults()[1], 1, true)
  end)

  it("finds nothing in the engine", function()
    local found, files = floors.check("csrc")
    assert.are.same({}, found)
    assert.is_true(files > 50)
  end)
end)
