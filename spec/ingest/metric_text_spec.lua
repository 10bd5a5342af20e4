local ffi = require("ffi")
local metric_text = require("spec.support.metric_text")
local native = require("spec.support.native")

native.cdef "int tt_metric_text(const char *text, size_t len, char *out, size_t cap, size_t *labels_count);"

local ROOM = 1048576
local room, count = ffi.new("char[?]", ROOM), ffi.new("size_t[1]")

--- The canonical text, or nil and the message.
local function canonical(text)
  local rc = native.lib.tt_metric_text(text, #text, room, ROOM, count)
  if rc ~= 0 then return nil, ffi.string(native.lib.err_message()), rc end
  return ffi.string(room)
end

local function fails_at(text, position, what)
  local result, message, rc = canonical(text)
  assert.is_nil(result, text)
  assert.equal(12, rc)
  assert(message:find("at byte " .. position, 1, true), text .. ": " .. message)
  if what then assert(message:find(what, 1, true), text .. ": " .. message) end
end

describe("A metric text", function()
  it("is a name, labels, or both", function()
    assert.equal("up", canonical("up"))
    assert.equal("up", canonical("up{}"))
    assert.equal("{}", canonical("{}"))
    assert.equal('{a="b"}', canonical('{a="b"}'))
    assert.equal('up{a="b"}', canonical('up{a="b"}'))
    assert.equal("job:rate:5m", canonical("job:rate:5m"))
  end)

  it("has its labels sorted by bytes", function()
    assert.equal('m{B="2",_c="4",a="1",aa="3"}', canonical('m{a="1",B="2",aa="3",_c="4"}'))
  end)

  it("may have white space between any two parts, and a trailing comma", function()
    assert.equal('m{a="1",b="2"}', canonical('\t m {\n a = "1" , b= "2" , } '))
  end)

  it("keeps the three escapes and every other byte as it is", function()
    assert.equal([[m{a="\\ \" \n"}]], canonical([[m{a="\\ \" \n"}]]))
    assert.equal('m{a="\t\1\\nü\255"}', canonical('m{a="\t\1\nü\255"}'))
  end)

  it("takes a quoted name and quoted label names, and writes them when it must", function()
    assert.equal('{__name__="my name",a="b"}', canonical('{"my name",a="b"}'))
    assert.equal('{__name__="my name"}', canonical('{"my name"}'))
    assert.equal('up{a="b"}', canonical('{"up",a="b"}'))
    assert.equal('up{a="b"}', canonical('{a="b",__name__="up"}'))
    assert.equal('m{"a b"="c",d="e"}', canonical('m{d="e","a b"="c"}'))
    assert.equal('m{a="c"}', canonical('m{"a"="c"}'))
    assert.equal('m{"1a"="c"}', canonical('m{"1a"="c"}'))
    assert.equal('m{"a:b"="c"}', canonical('m{"a:b"="c"}'))
    assert.equal([[{__name__="q\"q"}]], canonical([[{"q\"q"}]]))
  end)

  it("is refused with the position of the fault", function()
    fails_at("", 1, "name")
    fails_at("1a", 1)
    fails_at("a-b", 2, "more text")
    fails_at("m{", 3)
    fails_at("m{a", 4, "'='")
    fails_at("m{a=", 5, "'\"'")
    fails_at("m{a=b}", 5)
    fails_at('m{a="b', 5, "closing quote")
    fails_at('m{a="b\\"}', 5, "closing quote")
    fails_at('m{a="b"', 8)
    fails_at('m{a="b" c="d"}', 9, "','")
    fails_at('m{a="b",,c="d"}', 9)
    fails_at('m{,}', 3)
    fails_at('m{a="\\x"}', 6, "escape")
    fails_at('m{a="b"} x', 10, "more text")
    fails_at('m{"n"}', 6, "'='")
    fails_at('{a="b","n"}', 11, "'='")
    fails_at('m{a:b="c"}', 4)
  end)

  it("has at most 1024 labels", function()
    local items = {}
    for i = 1, 1023 do items[i] = ('l%04d="v"'):format(i) end
    assert.equal("m{" .. table.concat(items, ",") .. "}", canonical("m{" .. table.concat(items, ",") .. "}"))
    assert.equal(1024, tonumber(count[0]))
    items[1024] = 'x="y"'
    local _, message = canonical("m{" .. table.concat(items, ",") .. "}")
    assert.matches("too many labels", message)
  end)

  it("comes back the same from its canonical text, for any names and values", function()
    math.randomseed(native.seed("metric texts"))
    local bytes = { "a", "b", "Z", "_", ":", "0", "9", " ", '"', "\\", "\n", ",", "{", "}", "=", "\0", "\255", "ü", "n" }
    local function word(least)
      local n, word_bytes = math.random(least, 6), {}
      for i = 1, n do word_bytes[i] = bytes[math.random(#bytes)] end
      return table.concat(word_bytes)
    end
    for _ = 1, 4000 do
      local labels = {}
      if math.random(4) > 1 then labels.__name__ = word(1) end
      for _ = 1, math.random(0, 5) do labels[word(1)] = word(0) end
      local text = metric_text.format(labels)
      -- any order and quoting in, one text out
      local items = {}
      for name, value in pairs(labels) do items[#items + 1] = metric_text.quote(name) .. "=" .. metric_text.quote(value) end
      for i = #items, 2, -1 do
        local j = math.random(i)
        items[i], items[j] = items[j], items[i]
      end
      local expected = text:gsub("%z.*", "") -- the shim's result ends at a zero byte
      assert.equal(expected, canonical("{" .. table.concat(items, ",") .. "}"))
      assert.equal(expected, canonical(text))
    end
  end)
end)
