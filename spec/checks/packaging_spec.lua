--- What a user does with luarocks and cmake, on a copy of the sources, without network.
local process = require("spec.support.process")
local quote = process.quote

describe("packaging", function()
  local root, sources, tree

  -- Building once serves all cases; the copy keeps luarocks' build folder out of the sources.
  setup(function()
    root = process.scratch("rock")
    sources, tree = root .. "/sources", root .. "/tree"
    process.output(("mkdir %s && tar --exclude='./build*' --exclude=./.git --exclude=./.local -cf - . | tar -xf - -C %s")
      :format(quote(sources), quote(sources)))
    process.output(("cd %s && luarocks --lua-version=5.1 --tree %s make >%s/make.log 2>&1 || { cat %s/make.log >&2; false; }")
      :format(quote(sources), quote(tree), quote(root), quote(root)))
  end)
  teardown(function() process.remove_tree(root) end)

  --- Run Lua from a directory of its own, with nothing in the environment but the given paths.
  local function run(environment, interpreter, code)
    local pipe = io.popen(("cd / && env -u TSENGINE_LIB -u LUA_PATH -u LUA_CPATH %s %s -e %s 2>&1; echo :$?")
      :format(environment, interpreter, quote(code)))
    local text = pipe:read("*a")
    pipe:close()
    local output, rc = text:match("^(.*):(%d+)\n$")
    return tonumber(rc), output
  end

  local WORK = [[
    local tsengine = require("tsengine")
    local path = os.tmpname()
    os.remove(path)
    local db = assert(tsengine.open(path))
    assert(db:add("m", nil, 42))
    for series in db:select("m") do print(series.metric, series.values[0]) end
    assert(db:close())
    os.execute("rm -rf '" .. path .. "'")
  ]]

  it("installs by luarocks make into a tree that works with LUA_PATH alone", function()
    local rc, output = run(("LUA_PATH='%s/share/lua/5.1/?.lua;%s/share/lua/5.1/?/init.lua'"):format(tree, tree), "luajit", WORK)
    assert.are.equal("m\t42\n", output)
    assert.are.equal(0, rc)
  end)

  it("installs module, core and declarations, and nothing of the tests", function()
    local files = process.output(("cd %s && find share lib/lua -type f | sort"):format(quote(tree)))
    assert.matches("lib/lua/5.1/tsengine/core.so\n", files, 1, true)
    assert.matches("share/lua/5.1/tsengine/init.lua\n", files, 1, true)
    assert.matches("share/lua/5.1/tsengine/cdef.lua\n", files, 1, true)
    for line in files:gmatch("[^\n]+") do
      assert.is_truthy(line:find("^share/lua/5.1/tsengine/[%w_]+%.lua$") or line == "lib/lua/5.1/tsengine/core.so", line)
    end
  end)

  it("shows only tse_ names in the core, and keeps it loaded", function()
    local core = quote(tree .. "/lib/lua/5.1/tsengine/core.so")
    local names = process.output("nm -D --defined-only " .. core .. " | awk '{print $3}'")
    local count = 0
    for name in names:gmatch("[^\n]+") do
      assert.are.equal("tse_", name:sub(1, 4), name)
      count = count + 1
    end
    assert.is_true(count > 40)
    assert.matches("NODELETE", process.output("readelf -d " .. core), 1, true)
  end)

  it("packs into a rock that installs into a fresh tree", function()
    process.output(("cd %s && luarocks --lua-version=5.1 --tree %s pack tsengine >pack.log 2>&1"):format(quote(root), quote(tree)))
    local rock = process.output(("ls %s/tsengine-scm-1.*.rock"):format(quote(root))):match("[^\n]+")
    local fresh = root .. "/fresh"
    process.output(("luarocks --lua-version=5.1 --tree %s install %s >%s/install.log 2>&1"):format(quote(fresh), quote(rock), quote(root)))
    local rc, output = run(("LUA_PATH='%s/share/lua/5.1/?.lua;%s/share/lua/5.1/?/init.lua'"):format(fresh, fresh), "luajit", WORK)
    assert.are.equal("m\t42\n", output)
    assert.are.equal(0, rc)
  end)

  it("installs by cmake where luajit looks", function()
    local prefix = root .. "/prefix"
    process.output(("cmake --install build --prefix %s >%s/cmake.log"):format(quote(prefix), quote(root)))
    local rc, output = run(("LUA_PATH='%s/share/lua/5.1/?.lua;%s/share/lua/5.1/?/init.lua' LUA_CPATH='%s/lib/lua/5.1/?.so'")
      :format(prefix, prefix, prefix), "luajit", WORK)
    assert.are.equal("m\t42\n", output)
    assert.are.equal(0, rc)
  end)

  it("tells plain Lua 5.1 what it needs", function()
    local rc, output = run(("LUA_PATH='%s/share/lua/5.1/?.lua;%s/share/lua/5.1/?/init.lua'"):format(tree, tree), "lua5.1",
      "require('tsengine')")
    assert.are.equal(1, rc)
    assert.matches("tsengine needs LuaJIT 2.1 (module 'ffi' not found in Lua 5.1)", output, 1, true)
  end)
end)
