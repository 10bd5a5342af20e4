--- What holds for lines of every format: pieces, reports, limits, memory.
local ingest = require("spec.support.ingest")
local native = require("spec.support.native")

local FORMATS = { "prometheus", "influx" }

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]*\n") do lines[#lines + 1] = line end
  return lines
end

--- A devops-like load: the same series again and again, as the memo expects it, with something else between now and then.
local function repeating_load(format, random)
  local out = {}
  for round = 1, 40 do
    for host = 1, 30 do
      if format == "influx" then
        out[#out + 1] = ("cpu,host=h%d,dc=x user=%di,system=%d,idle=%d.%02d %d"):format(host, random(0, 100), random(0, 1e9),
          random(0, 99), random(0, 99), 1704067200 + round)
      else
        out[#out + 1] = ('cpu{host="h%d",dc="x"} %d.%03d %d'):format(host, random(0, 1e6), random(0, 999), 1704067200000 + round)
      end
      local odd = random(60)
      if odd == 1 then out[#out + 1] = "# comment" end
      if odd == 2 then out[#out + 1] = "broken" end
      if odd == 3 then out[#out] = out[#out] .. "\r" end
      if odd == 4 then out[#out + 1] = "" end
      if odd == 5 then out[#out] = out[#out]:gsub(" %d+$", "") end
      if odd == 6 then out[#out] = out[#out]:gsub(" ", "  ") end
      if odd == 7 then out[#out] = out[#out]:gsub(",idle", ",steal") end
      if odd == 8 then out[#out] = out[#out] .. "x" end
      if odd == 9 then out[#out + 1] = "other,host=h9 v=1e5,w=t" end
      if odd == 10 then out[#out + 1] = 'other{a="b\\"c"} 1 # x' end
    end
  end
  return table.concat(out, "\n") .. "\n"
end

describe("A stream of lines", function()
  it("gives the same however it is cut into pieces", function()
    for _, format in ipairs(FORMATS) do
      local text = ingest.corpus(format .. ".txt")
      local whole = ingest.dump({ format = format }, text)
      for piece = 1, 300 do
        assert(whole == ingest.dump({ format = format, chunk_bytes = piece }, text), format .. " in pieces of " .. piece)
      end
      for piece = 301, #text, 97 do
        assert(whole == ingest.dump({ format = format, chunk_bytes = piece }, text), format .. " in pieces of " .. piece)
      end
    end
  end)

  it("without a newline at its end has the same last line", function()
    for _, format in ipairs(FORMATS) do
      local text = ingest.corpus(format .. ".txt")
      local cut = text:sub(1, -2)
      assert.equal(ingest.dump({ format = format }, text), ingest.dump({ format = format }, cut))
      for _, line in ipairs(lines_of(text)) do
        local bare = line:sub(1, -2)
        if bare ~= "" then assert.equal(ingest.dump({ format = format }, line), ingest.dump({ format = format }, bare), line) end
      end
    end
  end)

  it("gives what its lines give one by one, though heads are remembered", function()
    math.randomseed(native.seed("remembered heads"))
    for _, format in ipairs(FORMATS) do
      for _, text in ipairs { ingest.corpus(format .. ".txt"):rep(3), repeating_load(format, math.random),
        ingest.corpus("prometheus.txt") .. ingest.corpus("influx.txt"):rep(2) } do
        local function rows_only(options)
          local dumped = ingest.dump(options, text)
          return (dumped:gsub("[ES]\t[^\n]*\n", ""))
        end
        assert(rows_only { format = format } == rows_only { format = format, fresh_parser = true }, format)
      end
    end
  end)

  it("gives the same when its bytes are random but for a few that matter", function()
    math.randomseed(native.seed("random lines"))
    local pieces = { "m", "n", ",", "=", " ", "{", "}", '"', "\\", "\n", "\n", "1", "2.5", "i", "t", "#", "\t", "e", "a=b", ",t=v",
      " f=1", ' f="x"', 'm{a="b"} 1\n', "m,t=v f=1,g=2\n", "m,t=v f=1,g=2 1704067200\n", "\r\n", "\0", "\255" }
    for _ = 1, 3000 do
      local text = {}
      for i = 1, math.random(1, 60) do text[i] = pieces[math.random(#pieces)] end
      text = table.concat(text)
      for _, format in ipairs(FORMATS) do
        local whole = ingest.dump({ format = format }, text)
        assert.equal(whole, ingest.dump({ format = format, chunk_bytes = math.random(1, 20) }, text))
        local alone = ingest.dump({ format = format, fresh_parser = true }, text)
        assert.equal(whole:gsub("[ES]\t[^\n]*\n", ""), alone:gsub("[ES]\t[^\n]*\n", ""), text)
      end
    end
  end)

  it("may have more heads than are remembered", function()
    local text = {}
    for i = 1, 70000 do text[i] = ("m,host=h%d f=%d,g=1 1704067200"):format(i, i) end
    text = (table.concat(text, "\n") .. "\n"):rep(2)
    local parsed = ingest.parse({ format = "influx" }, text)
    assert.equal(280000, #parsed.rows)
    for i = 1, #parsed.rows, 9999 do
      local host = math.floor(((i - 1) % 140000) / 2) + 1
      assert.equal(('m_%s{host="h%d"}'):format(i % 2 == 1 and "f" or "g", host), parsed.rows[i].metric)
    end
  end)
end)

describe("A bad line", function()
  it("is reported by its number in the stream, and the good ones around it are kept", function()
    local parsed = ingest.parse({ format = "prometheus", chunk_bytes = 7 }, "a 1\n\n# c\nbad\nb 2\nworse x\nc 3")
    assert.same({ { line = 4, message = 'no value: "bad"' }, { line = 6, message = 'not a value: "x"' } }, parsed.errors)
    assert.same({ 3, 7, 2 }, { #parsed.rows, parsed.lines, parsed.rejected })
  end)

  it("is kept in the report among the first hundred, and counted behind", function()
    local parsed = ingest.parse({ format = "influx" }, ("bad\n"):rep(250))
    assert.same({ 250, 100, 100 }, { parsed.rejected, #parsed.errors, parsed.errors[100].line })
  end)

  it("is quoted without its control bytes, and cut", function()
    local parsed = ingest.parse({ format = "prometheus" }, "a \27[31m" .. ("x"):rep(500))
    assert.equal('not a value: "?[31m' .. ("x"):rep(55) .. '..."', parsed.errors[1].message)
  end)

  it("of more than 16 MiB is passed over while it comes, and the lines behind keep their numbers", function()
    local limit = 16 * 1024 * 1024
    for _, format in ipairs(FORMATS) do
      local good = format == "influx" and "m f=1" or "m 1"
      local most = good .. (" "):rep(limit - #good - 2) .. " 5"
      assert.equal(limit, #most)
      for _, chunk_bytes in ipairs { 0, 1000003 } do
        local text = table.concat({ good, most, most .. "5", ("x"):rep(3 * limit), "bad", good, "" }, "\n")
        local parsed = ingest.parse({ format = format, chunk_bytes = chunk_bytes }, text)
        assert.same({ 3, 6, 3 }, { #parsed.rows, parsed.lines, parsed.rejected })
        local lines = {}
        for i, problem in ipairs(parsed.errors) do lines[i] = problem.line end
        assert.same({ 3, 4, 5 }, lines)
      end
    end
  end)
end)

describe("A parser", function()
  it("refuses options that mean nothing", function()
    assert.matches("format 7", ingest.refusal { format = 7 })
    assert.matches("precision", ingest.refusal { format = "influx", precision_ns = 10 })
    assert.matches("separator", ingest.refusal { format = "influx", separator = ("x"):rep(16) })
    assert.is_nil(ingest.refusal { format = "influx", separator = ("x"):rep(15), precision_ns = 1000 })
  end)

  it("tells options apart that give a raw key other labels, and only those", function()
    local variants = {
      { format = "prometheus" }, { format = "influx" }, { format = "influx", separator = "" }, { format = "influx", separator = "." },
      { format = "influx", skip_single_field = true }, { format = "influx", skip_measurement = true },
      { format = "influx", db = "x" }, { format = "influx", db = "y" }, { format = "influx", extra = "a=b" },
      { format = "influx", extra = "ab=" }, { format = "influx", extra = "a=b\nc=d" }, { format = "influx", extra = "c=d\na=b" },
      { format = "prometheus", extra = "a=b" }, { format = "prometheus", extra = "=ab" },
    }
    local seen = {}
    for i, options in ipairs(variants) do
      local hash = tostring(ingest.hash(options))
      assert(not seen[hash], ("variants %d and %s"):format(i, tostring(seen[hash])))
      seen[hash] = i
      options.now_ms, options.precision_ns, options.default_timestamp_ms = 1, 1000, 5
      assert.equal(hash, tostring(ingest.hash(options)))
    end
  end)

  it("without memory says so or does without what it wanted to remember, and leaks nothing", function()
    for _, format in ipairs(FORMATS) do
      local fields = {}
      for i = 1, 9000 do fields[i] = ("f%d=1"):format(i) end
      local text = ingest.corpus(format .. ".txt") .. (format == "influx" and "m " .. table.concat(fields, ",") .. "\n" or "")
      local whole, result = ingest.dump({ format = format }, text)
      local failed = 0
      for i = 1, tonumber(result.calls) do
        for _, for_ever in ipairs { false, true } do
          local dumped, rc, after = ingest.dump({ format = format, fail_at = i, fail_for_ever = for_ever }, text)
          if dumped then
            assert.equal(whole, dumped)
          else
            failed = failed + 1
            assert.equal(6, rc)
            assert.equal(0, tonumber(after.live))
          end
        end
      end
      assert(failed >= 4, "the parser's own memory never failed")
    end
  end)
end)
