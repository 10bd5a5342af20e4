local ingest = require("spec.support.ingest")

local NOW = ingest.NOW_MS

local function rows(text, options)
  options = options or {}
  options.format = "prometheus"
  return ingest.rows(options, text)
end

local function reason(line)
  local parsed = ingest.parse({ format = "prometheus" }, line)
  assert.equal(0, #parsed.rows, line)
  assert.equal(1, parsed.rejected, line)
  return parsed.errors[1].message
end

describe("A Prometheus line", function()
  it("is a series, a value and perhaps a timestamp in milliseconds", function()
    assert.same({ "up 1700000000123 1" }, rows("up 1\n"))
    assert.same({ 'up{job="a"} 1704067200000 2.5' }, rows('up{job="a"} 2.5 1704067200000\n'))
  end)

  it("needs no newline at the end of the stream", function()
    assert.same({ "a 1700000000123 1", "b 1700000000123 2" }, rows("a 1\nb 2"))
  end)

  it("may be empty or a comment", function()
    assert.same({}, rows("\n\r\n# HELP a b\n  # c\n\t\n"))
    assert.equal(5, ingest.parse({ format = "prometheus" }, "\n\r\n# HELP a b\n  # c\n\t\n").lines)
  end)

  it("below 2^31 has its timestamp in seconds, as OpenMetrics writes it", function()
    assert.same({ "a 1704067200500 1" }, rows("a 1 1704067200.5\n"))
    assert.same({ "a 2147483647000 1", "a 2147483648 1" }, rows("a 1 2147483647\na 1 2147483648\n"))
  end)

  it("with timestamp 0 or without gets the default timestamp, else now", function()
    assert.same({ "a 77000 1", "b 77000 1" }, rows("a 1\nb 1 0\n", { default_timestamp_ms = 77000 }))
    assert.same({ ("a %.0f 1"):format(NOW) }, rows("a 1 0\n", { default_timestamp_ms = -5 }))
  end)

  it("has the escapes of its label values resolved, and unknown ones kept", function()
    assert.same({ [[a{l="q\"b\\n\nx\\t"} 1700000000123 1]] }, rows([[a{l="q\"b\\n\nx\t"} 1]]))
  end)

  it("loses labels without value and labels without name", function()
    assert.same({ 'a{c="d"} 1700000000123 1' }, rows('a{b="",="x",c="d"} 1\n'))
  end)

  it("ends at a '#' behind the series, be it an exemplar", function()
    assert.same({ 'a{b="#"} 1700000000123 1' }, rows('a{b="#"} 1 # {trace="x"} 0.5 1704067200\n'))
    assert.same({ "a 1700000000123 1" }, rows('a 1 # {trace="x"} 0.5\n'))
    assert.same({ "a 1704067200000 1" }, rows("a 1 1704067200000#\n"))
  end)

  it("takes any name up to white space or '{', and quoted names", function()
    assert.same({ '{__name__="a.b-c/d"} 1700000000123 1' }, rows("a.b-c/d 1\n"))
    assert.same({ '{__name__="a b",c="d"} 1700000000123 1' }, rows('a b{c="d"} 1\n'))
    assert.same({ '{__name__="a b",c="d"} 1700000000123 1' }, rows('{"a b",c="d"} 1\n'))
    assert.same({ 'a{"b c"="d"} 1700000000123 1' }, rows('a{"b c"="d"} 1\n'))
  end)

  it("with NaN gives no row but is counted", function()
    local parsed = ingest.parse({ format = "prometheus" }, "a NaN\nb 1\nc -nan 5\n")
    assert.same({ 1, 2, 0 }, { #parsed.rows, parsed.nan, parsed.rejected })
  end)

  it("gets the extra labels behind its own, which they replace", function()
    assert.same({ 'a{x="2",y="3"} 1700000000123 1' }, rows('a{x="1"} 1\n', { extra = "x=2\ny=3" }))
    assert.same({ "b 1700000000123 1" }, rows("a 1\n", { extra = "__name__=b" }))
  end)

  it("that is wrong is told with the reason", function()
    assert.equal('no value: "a"', reason("a"))
    assert.equal('no value: "a{b="c"}"', reason('a{b="c"}'))
    assert.equal('not a value: "x"', reason("a x"))
    assert.equal('not a value: "1x 5"', reason("a 1x 5"))
    assert.equal('not a timestamp: "y"', reason("a 1 y"))
    assert.equal('not a timestamp: "2 3"', reason("a 1 2 3"))
    assert.equal('not a timestamp: "NaN"', reason("a 1 NaN"))
    assert.equal('not a timestamp: "1e30"', reason("a 1 1e30"))
    assert.equal('no metric name: "{a="b"} 1"', reason('{a="b"} 1'))
    assert.equal("a label without '=': \"a{b} 1\"", reason("a{b} 1"))
    assert.equal("'\"' expected: \"a{b=c} 1\"", reason("a{b=c} 1"))
    assert.equal("a string without closing quote: \"a{b=\"c} 1\"", reason('a{b="c} 1'))
    assert.equal("',' or '}' expected: \"a{b=\"c\" 1\"", reason('a{b="c" 1'))
    assert.equal("'}' expected: \"a{\"", reason("a{"))
  end)

  it("with more than 1024 labels is a bad line", function()
    local labels = {}
    for i = 1, 1022 do labels[i] = ('l%d="v"'):format(i) end
    assert.equal(1, #rows("a{" .. table.concat(labels, ",") .. "} 1\n"))
    labels[1023] = 'x="y"'
    assert.matches("too many labels", reason("a{" .. table.concat(labels, ",") .. "} 1"))
  end)
end)
