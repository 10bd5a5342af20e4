local ffi = require("ffi")
local native = require("spec.support.native")
local base = require("spec.base.support")
local lib, code = base.lib, base.code

native.cdef [[
struct regex;
int regex_compile(struct mem *mem, struct bytes pattern, struct regex **out);
void regex_destroy(struct regex *regex);
bool regex_match(const struct regex *regex, struct bytes text);
]]

local function bytes(s) return ffi.new("struct bytes", { ffi.cast("const uint8_t *", s), #s }) end

describe("a regular expression", function()
  local mem
  before_each(function() mem = base.mem() end)
  after_each(function() assert.equal(0, tonumber(mem.live_blocks)) end)

  local function matches(pattern, text)
    local out = ffi.new("struct regex *[1]")
    native.check(lib.regex_compile(mem, bytes(pattern), out))
    local answer = lib.regex_match(out[0], bytes(text))
    lib.regex_destroy(out[0])
    return answer
  end

  it("matches a whole text", function()
    for _, case in ipairs {
      { "web.+", "web1", true }, { "web.+", "web", false }, { "web.+", "xweb1", false },
      { "a|b", "a", true }, { "a|b", "ab", false }, { "a|ab", "ab", true }, { "", "", true }, { "", "x", false },
      { ".*", "", true }, { ".*", "a\nb", false }, { "(?s).*", "a\nb", true }, { "(?i)GET", "get", true },
      { "foo\\.bar", "foo.bar", true }, { "foo\\.bar", "fooxbar", false }, { "^foo$", "foo", true },
      { "[[:alpha:]]+", "abc", true }, { "\\d{3}", "123", true }, { "\\pL+", "äöü", true }, { "a\\z", "a", true },
      { "x\0y", "x\0y", true }, { "x.y", "x\0y", true },
    } do
      assert.equal(case[3], matches(case[1], case[2]), case[1] .. " on " .. case[2])
    end
  end)

  it("reads bytes that are not UTF-8 as Go does: each as one replacement character", function()
    for _, case in ipairs {
      { "a.b", "a\255b", true }, { "a..b", "a\255\254b", true }, { "a.b", "a\255\254b", false },
      { ".", "ä", true }, { ".", "\195", true }, { "..", "\195(", true }, { "[^a]", "\128", true },
      { "\\x{FFFD}", "\237\160\128", false }, { "\\x{FFFD}{3}", "\237\160\128", true },
      { ".{4}", "\244\144\128\128", true }, { ".", "\244\143\191\191", true }, { ".{2}", "\192\128", true },
      { ".*ä.*", ("\255"):rep(5000) .. "ä", true },
    } do
      assert.equal(case[3], matches(case[1], case[2]), case[1])
    end
  end)

  it("that is not valid is refused in RE2's words", function()
    local out = ffi.new("struct regex *[1]")
    for pattern, words in pairs { ["a("] = "missing )", ["a**"] = "bad repetition", ["["] = "missing ]", ["\255"] = "UTF%-8",
      ["(a{1000}){1000}"] = "" } do
      assert.equal(code.MATCH, lib.regex_compile(mem, bytes(pattern), out))
      assert.truthy(base.message():find(words), base.message())
    end
  end)

  it("takes linear time on patterns that others choke on", function()
    local started = os.clock()
    assert.is_false(matches("(a*)*b", ("a"):rep(50000)))
    assert.is_true(os.clock() - started < 1)
  end)
end)
