--- Selectors and patterns.
local ffi = require("ffi")
local s = require("spec.index.index_support")

local MATCH = 13

describe("a selector", function()
  local function check(text) return s.lib.tt_match_check(text, #text), ffi.string(s.lib.err_message()) end

  it("is read in every form", function()
    for _, text in ipairs { "up", "{}", "up{}", ' up { job = "api" , } ', [[{a='x'}]], "{a=`\\d`}", [[{a="\\d\"\n\x41\u00e9\101"}]], '{"my name",a="b"}',
      '{"my name"}', '{"a b"="c"}', 'cpu.load{a!="x",b=~"y.*",c!~"z|"}', "a:b_c", '{__name__=~"a|b"}', "день", "{a=\"b\",\na=\"c\"}" } do
      local rc, message = check(text)
      assert.equal(0, rc, text .. ": " .. message)
    end
  end)

  it("that is wrong says where", function()
    for text, position in pairs { [""] = 1, ["1up"] = 1, ["up{"] = 4, ["up{a}"] = 5, ['up{a="b"'] = 9, ['up{a="b" c="d"}'] = 10, ["up{a=b}"] = 6,
      ['up{a=="b"}'] = 6, ['up{a!"b"}'] = 6, ['up{a="b}'] = 9, ['up} '] = 3, ['up{a="\\d"}'] = 8, ['{a="\\xzz"}'] = 7, ["{,}"] = 2, ['up{a="b"}x'] = 10,
      ["{=\"x\"}"] = 2, ['{a="\\400"}'] = 9, ['{a="\\ud800"}'] = 11 } do
      local rc, message = check(text)
      assert.equal(MATCH, rc, text)
      assert.matches("position " .. position .. " of", message, 1, true)
    end
  end)

  it("with a bad regexp is refused", function()
    for _, text in ipairs { '{a=~"("}', '{a=~"a**"}', '{a=~"[b"}', '{a=~"a)"}', '{a!~"*"}', '{a=~"a{2,1}"}', '{a=~"\\\\"}' } do
      assert.equal(MATCH, (check(text)), text)
    end
  end)
end)

describe("a pattern", function()
  local index
  setup(function() index = assert(s.open()) end)
  teardown(function()
    index:close()
    s.cleanup()
  end)

  local KINDS = { [0] = "literals", [1] = "shape", [2] = "regexp" }

  local function pattern(text, value)
    local matches, kind = ffi.new("bool[1]"), ffi.new("int[1]")
    s.check(s.lib.tt_pattern(index.handle, text, #text, value or "", #(value or ""), matches, kind))
    local texts = index:reader():texts()
    return matches[0], KINDS[kind[0]], table.remove(texts, 1), table.concat(texts, "|")
  end

  it("of literals needs no regexp", function()
    for text, literals in pairs {
      ["abc"] = "abc", [""] = "", ["a|b|a"] = "a|b", ["a|"] = "|a", ["(a|b)c[12]"] = "ac1|ac2|bc1|bc2", ["(?:x|y(z|))"] = "x|y|yz", ["a\\.b"] = "a.b",
      ["[a-c]"] = "a|b|c", ["^abc$"] = "abc", ["^a|b$"] = "a|b", ["ab?"] = "a|ab", ["é?"] = "|é", ["((a))"] = "a", ["a]"] = "a]", ["\\t"] = "\t", ["[.]"] = ".",
    } do
      local _, kind, _, found = pattern(text)
      assert.equal("literals", kind, text)
      assert.equal(literals, found, text)
    end
  end)

  it("of a literal, dots and a literal needs none either, and its dots match newlines", function()
    for _, case in ipairs {
      { "a.*", "a", "a\n", "", "b" }, { ".*", "", "\n" }, { ".+", "x", "\n", false, "" }, { "a.+", "ab", "a\n", false, "a" }, { ".*b", "b", "a\nb", false, "bc" },
      { ".+b", "ab", "bb", false, "b" }, { "a.*b", "ab", "a\nb", false, "a" }, { "a.+b", "axb", false, "ab" }, { ".*a.*", "xax", "\na\n", false, "x" },
      { ".+a.+", "xax", "aaa", false, "ax", "xa", "aa" }, { "a.*b.*", "ab", "a\nb\n", false, "a", "ba" }, { "(a)(?:.*)b", "ab", false, "a" },
      { "^a.*$", "a\n", false, "ba" }, { "a\\..*", "a.", "a.b", false, "ab" }, { "a.*?b", "ab", "aXb", false, "a" }, { "день.+", "день1", false, "день" },
    } do
      local good = true
      for i = 2, #case do
        if case[i] == false or (i == 4 and case[i] == "") then
          good = false
        end
        if case[i] ~= false then
          local matches, kind = pattern(case[1], case[i])
          assert.equal("shape", kind, case[1])
          assert.equal(good, matches, ("%s on %q"):format(case[1], case[i]))
        end
      end
    end
  end)

  it("of anything else is a regexp with a literal prefix where there is one", function()
    for text, prefix in pairs { ["ab.cd"] = "ab", ["[ab].*"] = "", ["a.*|b"] = "", ["abc|abd.*"] = "ab", ["(?i)abc"] = "", ["ab+c"] = "ab", ["ab*c"] = "a", ["foo\\d+"] = "foo",
      ["a.*b.*c"] = "a", [".*a.*b"] = "", [".*.*"] = "", ["(ab|ac)+x"] = "a", ["é+"] = "é", ["aé*"] = "a", ["a{2}"] = "", ["[^a]b"] = "", ["a\\bb"] = "", ["(?s)a.b"] = "" } do
      local _, kind, found = pattern(text)
      assert.equal("regexp", kind, text)
      assert.equal(prefix, found, text)
    end
    assert.is_false((pattern("ab.cd", "ab\ncd")))
    assert.is_true((pattern("(?s)ab.cd", "ab\ncd")))
    assert.is_false((pattern("a.*|b", "a\n")))
  end)

  it("of too many alternatives is a regexp, not a list", function()
    local _, kind = pattern("[a-z][a-z][a-z]")
    assert.equal("regexp", kind)
    assert.is_true((pattern("[a-z][a-z][a-z]", "xyz")))
    local list = {}
    for i = 1, 1500 do list[i] = "v" .. i end
    local matches, many = pattern(table.concat(list, "|"), "v1499")
    assert.equal("regexp", many)
    assert.is_true(matches)
  end)
end)
