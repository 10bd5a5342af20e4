local ingest = require("spec.support.ingest")

local function rows(text, options)
  options = options or {}
  options.format = "influx"
  return ingest.rows(options, text)
end

local function reason(line)
  local parsed = ingest.parse({ format = "influx" }, line)
  assert.equal(0, #parsed.rows, line)
  assert.equal(1, parsed.rejected, line)
  return parsed.errors[1].message
end

describe("An InfluxDB line", function()
  it("is a series measurement_field for each field, with the tags as labels", function()
    assert.same({
      'cpu_idle{host="a",region="b"} 1704067200000 98.5',
      'cpu_user{host="a",region="b"} 1704067200000 1',
    }, rows("cpu,region=b,host=a idle=98.5,user=1i 1704067200000000000\n"))
  end)

  it("may have no tags, no timestamp or no measurement", function()
    assert.same({ "cpu_idle 1700000000123 1" }, rows("cpu idle=1"))
    assert.same({ "idle 1700000000123 1" }, rows(" idle=1\n"))
    assert.same({ 'idle{a="b"} 1700000000123 1' }, rows(",a=b idle=1\n"))
  end)

  it("has values of five kinds", function()
    assert.same({
      "m_a 1700000000123 -5", "m_b 1700000000123 6", "m_c 1700000000123 7.5", "m_d 1700000000123 1", "m_e 1700000000123 0",
      "m_f 1700000000123 0", "m_g 1700000000123 12.5",
    }, rows('m a=-5i,b=6u,c=7.5,d=T,e=false,f="text, with = all",g="12.5"\n'))
  end)

  it("has integers converted to the nearest double", function()
    assert.same({ "m_a 1700000000123 9.2233720368547758e+18", "m_b 1700000000123 1.8446744073709552e+19" },
      rows("m a=9223372036854775807i,b=18446744073709551615u\n"))
  end)

  it("has its escapes resolved in measurement, tags and field names", function()
    assert.same({ [[{__name__="a b,c=d\\_f g",t="x y",u="\\z"} 1700000000123 1]] }, rows([[a\ b\,c\=d\\,t=x\ y,u=\z f\ g=1]]))
  end)

  it("loses tags without name or value", function()
    assert.same({ 'm_f{a="b"} 1700000000123 1' }, rows("m,x=,=y,a=b f=1\n"))
  end)

  it("tells the unit of its timestamp by its size", function()
    assert.same({
      "m_f 1704067200000 1", "m_f 1704067200000 2", "m_f 1704067200000 3", "m_f 1704067200000 4", "m_f 99999999999000 5",
      "m_f 100000000000 6", "m_f 1700000000123 7", "m_f -5000 8",
    }, rows("m f=1 1704067200\nm f=2 1704067200000\nm f=3 1704067200000000\nm f=4 1704067200000000000\n" ..
      "m f=5 99999999999\nm f=6 100000000000\nm f=7 0\nm f=8 -5\n"))
  end)

  it("has its timestamp in the unit of the precision", function()
    for precision, expected in pairs { [1] = 1, [1000] = 1500, [1000000] = 1500999, [1e9] = 1500999000, [60e9] = 1500999 * 60000,
      [3600e9] = 1500999 * 3600000 } do
      assert.same({ ("m_f %.0f 1"):format(expected) }, rows("m f=1 1500999\n", { precision_ns = precision }))
    end
    assert.same({ "m_f 1699999200000 1" }, rows("m f=1\n", { precision_ns = 3600e9 }))
    -- the ends of int64, as a Lua number shows them
    assert.same({ "m_f 9223372036854775808 1", "m_f -9223372036854775808 1" },
      rows("m f=1 9223372036854775807\nm f=1 -9223372036854775808\n", { precision_ns = 3600e9 }))
  end)

  it("has the name that the options make of it", function()
    local text = "m,a=b f=1\nm g=1,h=2\n"
    assert.same({ 'm.f{a="b"} 1700000000123 1' }, { (rows(text, { separator = "." })[1]:gsub("^{__name__=\"m%.f\",", "m.f{")) })
    assert.same({ 'mf{a="b"} 1700000000123 1', "mg 1700000000123 1", "mh 1700000000123 2" }, rows(text, { separator = "" }))
    assert.same({ 'f{a="b"} 1700000000123 1', "g 1700000000123 1", "h 1700000000123 2" }, rows(text, { skip_measurement = true }))
    assert.same({ 'm{a="b"} 1700000000123 1', "m_g 1700000000123 1", "m_h 1700000000123 2" },
      rows(text, { skip_single_field = true }))
  end)

  it("keeps series apart that skip_single_field names differently, line after line", function()
    assert.same({ "m 1700000000123 1", "m_a 1700000000123 2", "m_b 1700000000123 3", "m 1700000000123 4", "m_a 1700000000123 5",
      "m_b 1700000000123 6" }, rows("m a=1\nm a=2,b=3\nm a=4\nm a=5,b=6\n", { skip_single_field = true }))
  end)

  it("gets the label db unless it has such a tag, and the extra labels", function()
    assert.same({ 'm_f{db="base",x="y"} 1700000000123 1', 'm_f{db="own",x="y"} 1700000000123 1' },
      rows("m f=1\nm,db=own f=1\n", { db = "base", extra = "x=y" }))
  end)

  it("with a NaN loses that row only", function()
    local parsed = ingest.parse({ format = "influx" }, "m a=1,b=NaN,c=3\nm a=1,b=2,c=3\nm a=1,b=NaN,c=3\n")
    assert.same({ 7, 2, 0 }, { #parsed.rows, parsed.nan, parsed.rejected })
  end)

  it("that is wrong in one field gives no row at all", function()
    assert.equal('not a field value: "x"', reason("m a=1,b=2,c=x"))
    assert.equal('not a field value: ""', reason("m a=1,b="))
    assert.equal("a field without '=': \"b\"", reason("m a=1,b"))
    assert.equal("a field without '=': \"\"", reason("m a=1,"))
    assert.equal('a field without name: "=2"', reason("m a=1,=2"))
    assert.equal('not a field value: "1.5i"', reason("m a=1.5i"))
    assert.equal('not a field value: "9223372036854775808i"', reason("m a=9223372036854775808i"))
    assert.equal('not a field value: ""x"', reason('m a="x'))
    assert.equal('no fields: "m"', reason("m"))
    assert.equal("a tag without '=': \"m,t\"", reason("m,t a=1"))
    assert.equal('not a timestamp: "x"', reason("m a=1 x"))
    assert.equal('not a timestamp: ""', reason("m a=1 "))
    assert.equal('not a timestamp: "5 6"', reason("m a=1 5 6"))
    assert.equal('not a timestamp: "9223372036854775808"', reason("m a=1 9223372036854775808"))
  end)

  it("is read the same after lines that ended inside quotes", function()
    -- a quote in a field name changes what the bytes behind it mean: such names must not be remembered
    local parsed = ingest.parse({ format = "influx" }, 'm "a=1\nm "a=1 123\nm "a=1\n')
    assert.same({ 2, 1 }, { #parsed.rows, parsed.rejected })
  end)

  it("may have 65536 fields, not more", function()
    local fields = {}
    for i = 1, 65536 do fields[i] = ("f%d=1"):format(i) end
    assert.equal(65536 * 2, #ingest.parse({ format = "influx" }, ("m " .. table.concat(fields, ",") .. "\n"):rep(2)).rows)
    fields[65537] = "x=1"
    assert.equal("more than 65536 fields", reason("m " .. table.concat(fields, ",")))
  end)
end)
