--- The programs of examples/ do what they say.
local process = require("spec.support.process")

local environment = "LUA_PATH='lua/?.lua;lua/?/init.lua;;' NO_COLOR=1 "

describe("The example", function()
  local directory

  local function write(name, text)
    local path = directory .. "/" .. name
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    return path
  end

  --- Output and errors of a program; its exit code last.
  local function run(program, ...)
    local words = {}
    for i, word in ipairs { ... } do words[i] = process.quote(word) end
    local text = process.output(("(%sluajit examples/%s %s 2>&1; echo exit $?)"):format(environment, program,
      table.concat(words, " ")))
    local body, code = text:match("^(.*)exit (%d+)\n$")
    return body, tonumber(code)
  end

  before_each(function() directory = process.scratch("examples") end)
  after_each(function() process.remove_tree(directory) end)

  local TEXT = 'up{job="a"} 1 1793880000000\nup{job="a"} 0.5 1793880001000\nload{quoted="a\\"b"} -Inf 1793880000000\n' ..
    'broken\nup{job="a"} NaN 1793880002000\n'

  it("import.lua stores files, packed or not, and tells bad lines", function()
    local plain = write("a.prom", TEXT)
    process.output("gzip -k " .. process.quote(plain) .. " && zstd -q -k " .. process.quote(plain))
    local out, code = run("import.lua", directory .. "/db", "prometheus", plain, plain .. ".gz", plain .. ".zst")
    assert.equal(0, code, out)
    local count = 0
    for _ in out:gmatch("3 rows from 5 lines %([%d.]+ B%); 1 bad lines, 1 values NaN, 0 rows too old, 0 too new\n  line 4: no value") do
      count = count + 1
    end
    assert.equal(3, count, out)
  end)

  it("import.lua fails for what it cannot read", function()
    local out, code = run("import.lua", directory .. "/db", "prometheus", directory .. "/missing")
    assert.equal(1, code, out)
    assert.matches("missing", out)
    write("cut.gz", "\31\139\8\0\0\0\0\0\0\3\1")
    out, code = run("import.lua", directory .. "/db", "prometheus", directory .. "/cut.gz")
    assert.equal(1, code, out)
    assert.matches("FORMAT", out)
  end)

  it("dump.lua writes what import.lua read", function()
    run("import.lua", directory .. "/db", "prometheus", write("a.prom", TEXT))
    local out, code = run("dump.lua", directory .. "/db")
    assert.equal(0, code, out)
    local lines = {}
    for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
    table.sort(lines)
    assert.same({ 'load{quoted="a\\"b"} -Inf 1793880000000', 'up{job="a"} 0.5 1793880001000', 'up{job="a"} 1 1793880000000' }, lines)
    assert.equal('up{job="a"} 1 1793880000000\n', (run("dump.lua", directory .. "/db", "up", "0", "1793880000000")))
  end)

  it("chart.lua draws series and lists names", function()
    run("import.lua", directory .. "/db", "prometheus", write("a.prom", TEXT))
    assert.equal("load\nup\n", (run("chart.lua", directory .. "/db")))
    local out, code = run("chart.lua", directory .. "/db", "up")
    assert.equal(0, code, out)
    assert.matches('up{job="a"}   2 rows', out, 1, true)
    assert.matches("12:00:00", out, 1, true)
    assert.matches("no series matches", (run("chart.lua", directory .. "/db", "nothing")))
  end)

  it("chart.lua draws negative values and leaves infinities out", function()
    local text = ""
    for i = 0, 9 do text = text .. ("below %d %d\nzero 0 %d\n"):format(-i * 100000000, 1793880000000 + i, 1793880000000 + i) end
    run("import.lua", directory .. "/db", "prometheus", write("a.prom", text .. "below +Inf 1793880000010\n"))
    for _, name in ipairs { "below", "zero" } do
      local out, code = run("chart.lua", directory .. "/db", name)
      assert.equal(0, code, out)
      -- Braille patterns with at least one dot.
      local dotted = out:gsub("\226\160\128", "")
      assert.is_true(select(2, dotted:gsub("\226[\160-\163][\128-\191]", "")) >= 10, out)
      assert.matches(name == "below" and "%-1e%+09 ┤" or " 0 ┤", out)
    end
  end)

  it("own_loop.lua finds every row again", function()
    local out, code = run("own_loop.lua", directory .. "/db", "1")
    assert.equal(0, code, out)
    local added, read = out:match("(%d+) rows added and (%d+) read back")
    assert(tonumber(added) > 0 and added == read, out)
  end)

  it("of any name says how it is called when called wrongly", function()
    for _, program in ipairs { "import.lua", "dump.lua", "chart.lua", "own_loop.lua" } do
      local out, code = run(program)
      assert.equal(2, code, program)
      assert.matches("usage: luajit examples/" .. program, out, 1, true)
    end
  end)
end)
