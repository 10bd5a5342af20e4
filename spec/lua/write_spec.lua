--- Text formats: whole texts and streams.
local module = require("spec.support.module")
local process = require("spec.support.process")
local NOON = module.NOON

describe("db:write", function()
  after_each(module.cleanup)

  it("takes Prometheus text, its last line without a newline", function()
    local db = module.open()
    local text = ('# HELP x y\ncpu{host="a"} 1.5 %d\n\nmem 2 %d'):format(NOON, NOON + 1)
    local rows, report = db:write("prometheus", text)
    assert.are.equal(2, rows)
    assert.are.equal(0, report.rejected)
    assert.are.same({ past = 0, future = 0, nan = 0, limit = 0 }, report.ignored)
    assert.are.same({}, report.errors)
    assert.are.equal(#text, report.bytes)
    assert.are.same({ ['cpu{host="a"}'] = { { NOON, 1.5 } }, mem = { { NOON + 1, 2 } } }, module.rows(db))
  end)

  it("gives lines without a timestamp the option's, else now", function()
    local db, clock = module.open()
    assert.are.equal(1, (db:write("prometheus", "m 1")))
    clock:advance("1m")
    assert.are.equal(1, (db:write("prometheus", "m 2", { timestamp = NOON + 5 })))
    assert.are.equal(1, (db:write("prometheus", "m 3\n")))
    assert.are.same({ { NOON, 1 }, { NOON + 5, 2 }, { NOON + 60000, 3 } }, module.rows(db, "m").m)
    for _, timestamp in ipairs { 0, -5, -1e300, "-1h" } do
      assert.is_false(pcall(db.write, db, "prometheus", "m 4", { timestamp = timestamp }))
    end
  end)

  it("takes Influx lines with its options", function()
    local db = module.open()
    local line = ("cpu,host=a usage=1,idle=2i %d000000\n"):format(NOON)
    local function names() return table.concat(db:series_names(), " ") end
    assert.are.equal(2, (db:write("influx", line)))
    assert.are.equal('cpu_idle{host="a"} cpu_usage{host="a"}', names())
    db:delete('{__name__!=""}')
    db:write("influx", line, { separator = "." })
    assert.are.equal('{__name__="cpu.idle",host="a"} {__name__="cpu.usage",host="a"}', names())
    db:delete('{__name__!=""}')
    db:write("influx", line, { skip_measurement = true, db = "telegraf", extra_labels = { dc = "x" } })
    assert.are.equal('idle{db="telegraf",dc="x",host="a"} usage{db="telegraf",dc="x",host="a"}', names())
    db:delete('{__name__!=""}')
    db:write("influx", ("m value=5 %d"):format(NOON / 1000), { skip_single_field = true, precision = "s" })
    assert.are.same({ m = { { NOON, 5 } } }, module.rows(db))
    db:delete('{__name__!=""}')
    for power = 0, 3 do db:write("influx", ("m v=%d %.0f%s"):format(power, NOON / 1000 + power, ("000"):rep(power))) end
    assert.are.equal(4, #module.rows(db, "m_v").m_v)
  end)

  it("counts and reports bad lines with number and reason, and keeps the good ones", function()
    local db = module.open()
    local lines = {}
    for i = 1, 300 do lines[i] = i % 2 == 0 and ("m{i=\"%d\"} %d %d"):format(i, i, NOON) or "m{ bad" end
    local rows, report = db:write("prometheus", table.concat(lines, "\n"))
    assert.are.equal(150, rows)
    assert.are.equal(150, report.rejected)
    assert.are.equal(100, #report.errors)
    assert.are.equal(1, report.errors[1].line)
    assert.are.equal(3, report.errors[2].line)
    assert.is_true(#report.errors[1].message > 0)
    assert.are.equal(150, #db:series_names())
    assert.are.equal(150, db:stats().lines_rejected)
  end)

  it("counts rows left out by cause", function()
    local db = module.open { retention = "30d" }
    local rows, report = db:write("prometheus", ("a 1 %d\nb 1 %d\nc NaN %d\nd 1 %d\n"):format(NOON - 40 * 86400000,
      NOON + 40 * 86400000, NOON, NOON))
    assert.are.equal(1, rows)
    assert.are.same({ past = 1, future = 1, nan = 1, limit = 0 }, report.ignored)
  end)

  it("answers FORMAT for an unknown format or precision, raises for misuse", function()
    local db = module.open()
    local rows, message, code = db:write("yaml", "x")
    assert.is_nil(rows)
    assert.are.equal("FORMAT", code)
    assert.matches("^FORMAT: .*'yaml'", message)
    rows, message, code = db:write("influx", "m v=1", { precision = "fortnight" })
    assert.is_nil(rows)
    assert.are.equal("FORMAT", code)
    assert.matches("fortnight", message, 1, true)
    assert.is_false(pcall(db.write, db, "influx"))
    assert.is_false(pcall(db.write, db, 7, "x"))
    assert.is_false(pcall(db.write, db, "influx", "x", { seperator = "." }))
    assert.is_false(pcall(db.write, db, "influx", "x", { separator = 7 }))
    assert.is_false(pcall(db.write, db, "influx", "x", { skip_measurement = 1 }))
    assert.is_false(pcall(db.write, db, "influx", "x", { extra_labels = { 1 } }))
    assert.is_false(pcall(db.write, db, "influx", "x", { progress = print }))
  end)

  it("takes nothing from an empty text", function()
    local db = module.open()
    local rows, report = db:write("prometheus", "")
    assert.are.equal(0, rows)
    assert.are.equal(0, report.rejected)
  end)
end)

describe("db:import", function()
  after_each(module.cleanup)
  local ROWS = 20000

  local function text()
    local lines = {}
    for i = 1, ROWS do lines[i] = ('m{i="%d"} %d %d\n'):format(i % 100, i, NOON - i * 1000) end
    return table.concat(lines)
  end

  local function write_file(path, content)
    local file = assert(io.open(path, "wb"))
    file:write(content)
    file:close()
  end

  it("reads plain, gzip and zstd files alike", function()
    local directory = module.directory()
    local path = directory .. "/rows.prom"
    write_file(path, text())
    process.output("cd " .. process.quote(directory) .. " && gzip -k rows.prom && zstd -q -k rows.prom")
    local expected
    for _, suffix in ipairs { "", ".gz", ".zst" } do
      local db = module.open()
      local rows, report = db:import("prometheus", path .. suffix)
      assert.are.equal(ROWS, rows, report)
      assert.are.equal(#text(), report.bytes)
      local all = module.rows(db, "m")
      expected = expected or all
      assert.are.same(expected, all)
      db:close()
    end
  end)

  it("reads two compressed streams in one file", function()
    local directory = module.directory()
    write_file(directory .. "/a", ("m 1 %d\nm 2"):format(NOON))
    write_file(directory .. "/b", (" %d\n"):format(NOON + 1))
    process.output("cd " .. process.quote(directory) ..
      " && (gzip -c a; gzip -c b) > two.gz && (zstd -qc a; zstd -qc b) > two.zst")
    for _, name in ipairs { "two.gz", "two.zst" } do
      local db = module.open()
      assert.are.equal(2, (db:import("prometheus", directory .. "/" .. name)))
      assert.are.same({ { NOON, 1 }, { NOON + 1, 2 } }, module.rows(db, "m").m)
    end
  end)

  it("reads a file handle and a function of chunks cut anywhere", function()
    local directory = module.directory()
    local content = text()
    write_file(directory .. "/rows", content)
    local db = module.open()
    local file = assert(io.open(directory .. "/rows", "rb"))
    assert.are.equal(ROWS, (db:import("prometheus", file)))
    assert.are.equal("file", io.type(file))
    file:close()
    local other, at, size = module.open(), 1, 0
    assert.are.equal(ROWS, (other:import("prometheus", function()
      if at > #content then return nil end
      size = size % 977 + 1
      local chunk = content:sub(at, at + size - 1)
      at = at + size
      return chunk
    end)))
    assert.are.same(module.rows(db, "m"), module.rows(other, "m"))
  end)

  it("tells its progress", function()
    local db = module.open()
    local content, calls, last_bytes, last_rows = text(), 0, 0, 0
    local pieces, i = {}, 0
    for from = 1, #content, 65536 do pieces[#pieces + 1] = content:sub(from, from + 65535) end
    assert(db:import("prometheus", function()
      i = i + 1
      return pieces[i]
    end, {
      progress = function(bytes, rows)
        calls = calls + 1
        assert.is_true(bytes >= last_bytes and rows >= last_rows)
        last_bytes, last_rows = bytes, rows
      end,
    }))
    assert.are.equal(#pieces, calls)
    assert.is_true(last_rows > 0 and last_rows <= ROWS)
  end)

  it("answers IO for a file that cannot be read, with its name", function()
    local db = module.open()
    local rows, message, code = db:import("prometheus", "/nonexistent/rows.prom")
    assert.is_nil(rows)
    assert.are.equal("IO", code)
    assert.matches("/nonexistent/rows.prom", message, 1, true)
    rows, message, code = db:import("prometheus", module.directory())
    assert.is_nil(rows)
    assert.are.equal("IO", code)
    assert.matches("^IO: ", message)
  end)

  it("answers a code for a damaged compressed file and reports what came before", function()
    local directory = module.directory()
    write_file(directory .. "/rows", text())
    process.output("cd " .. process.quote(directory) .. " && gzip -k rows && zstd -q -k rows")
    for _, name in ipairs { "rows.gz", "rows.zst" } do
      local file = assert(io.open(directory .. "/" .. name, "rb"))
      local bytes = file:read("*a")
      file:close()
      write_file(directory .. "/" .. name, bytes:sub(1, #bytes - 40))
      local db = module.open()
      local rows, message, code, report = db:import("prometheus", directory .. "/" .. name)
      assert.is_nil(rows, name)
      assert.is_truthy(code == "FORMAT" or code == "CORRUPT" or code == "IO", code)
      assert.matches("^" .. code .. ": ", message)
      assert.is_table(report)
      assert.is_true(report.accepted < ROWS)
    end
  end)

  it("passes on what a source or progress raises, and stays usable", function()
    local db = module.open()
    local thing = {}
    local ok, problem = pcall(db.import, db, "prometheus", function() error(thing) end)
    assert.is_false(ok)
    assert.are.equal(thing, problem)
    ok, problem = pcall(db.import, db, "prometheus", io.popen("printf 'm 1\\n'"), { progress = function() error(thing) end })
    assert.is_false(ok)
    assert.are.equal(thing, problem)
    assert.is_false(pcall(db.import, db, "prometheus", function() return 7 end))
    assert.is_false(pcall(db.import, db, "prometheus", 7))
    assert.is_false(pcall(db.import, db, "prometheus", "x", { progress = 7 }))
    assert.are.equal(1, (db:write("prometheus", "n 1")))
  end)
end)
