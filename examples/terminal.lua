--- Tables, progress and charts as plain text: readable in a terminal, in a pipe and in a file, with and without colour.
local M = {}

local function is_terminal()
  local ok, ffi = pcall(require, "ffi")
  if not ok then return false end
  pcall(ffi.cdef, "int isatty(int fd);")
  return ffi.C.isatty(1) == 1
end

M.interactive = is_terminal() and os.getenv("TERM") ~= "dumb"
local colours = M.interactive and not os.getenv("NO_COLOR")

local function paint(code)
  return function(text) return colours and ("\27[%sm%s\27[0m"):format(code, text) or text end
end

M.bold, M.dim = paint("1"), paint("2")
M.green, M.red, M.cyan = paint("32"), paint("31"), paint("36")

--- 1242150 -> "1,242,150".
function M.thousands(number)
  local text = ("%.0f"):format(number)
  local sign, digits = text:match("^(%-?)(%d+)$")
  digits = digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return sign .. digits
end

--- 2881234 -> "2.88 MB".
function M.bytes(number)
  local units, i = { "B", "kB", "MB", "GB", "TB" }, 1
  while number >= 999.5 and i < #units do
    number, i = number / 1000, i + 1
  end
  return (i == 1 and "%d %s" or "%.3g %s"):format(number, units[i])
end

--- Milliseconds since 1970 as UTC.
function M.time(ms, format)
  return os.date("!" .. (format or "%Y-%m-%d %H:%M:%S"), math.floor(ms / 1000))
end

--- Columns of what a terminal shows of a UTF-8 text.
local function width(text)
  return select(2, text:gsub("\27%[[%d;]*m", ""):gsub("[^\128-\191]", ""))
end

local function pad(text, to, right)
  local space = (" "):rep(to - width(text))
  return right and space .. text or text .. space
end

--- Print rows of texts under a header. Columns whose name begins with ">" are aligned to the right.
function M.table(header, rows, indent)
  indent = indent or "  "
  local widths, right, names = {}, {}, {}
  for i, name in ipairs(header) do
    right[i] = name:sub(1, 1) == ">"
    names[i] = name:gsub("^>", "")
    widths[i] = width(names[i])
  end
  for _, row in ipairs(rows) do
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i], width(cell)) end
  end
  local function line(cells, style)
    local out = {}
    for i, cell in ipairs(cells) do out[i] = pad(cell, widths[i], right[i]) end
    print(indent .. style((table.concat(out, "  "):gsub("%s+$", ""))))
  end
  line(names, M.dim)
  for _, row in ipairs(rows) do line(row, function(text) return text end) end
end

--- A progress line: redrawn in place on a terminal, otherwise printed at each quarter.
function M.progress(label, total)
  local cells, last_quarter, last_shown = 30, 0, -1
  local function draw(done, text)
    local share = total > 0 and math.min(1, done / total) or 1
    local full = math.floor(share * cells)
    if M.interactive then
      if full == last_shown and share < 1 then return end
      last_shown = full
      io.write("\r  ", label, "  ", M.cyan(("█"):rep(full)), M.dim(("░"):rep(cells - full)), "  ", text, "\27[K")
      if share >= 1 then io.write("\n") end
      io.flush()
    else
      local quarter = math.floor(share * 4)
      if quarter == last_quarter then return end
      last_quarter = quarter
      print(("  %s  %3d %%  %s"):format(label, share * 100, text))
    end
  end
  return draw
end

-- Dots of a braille cell, by column and row, as bits of its code point above U+2800.
local DOTS = { { 0x01, 0x02, 0x04, 0x40 }, { 0x08, 0x10, 0x20, 0x80 } }

local function braille(bits)
  local code = 0x2800 + bits
  return string.char(0xE2, 0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
end

--- A round step of about `span / ticks`.
local function nice_step(span, ticks)
  local raw = span / ticks
  local power = 10 ^ math.floor(math.log10(raw))
  for _, factor in ipairs({ 1, 2, 5 }) do
    if factor * power >= raw then return factor * power end
  end
  return 10 * power
end

-- What is farther from 0 is not drawn: infinities, and what would make one of a sum. NaN neither.
local DRAWN_MAX = 1e300

--- Mean of the rows that fall into each dot column; nil where there is none.
local function resample(times, values, count, columns)
  local first, last = times[0], times[count - 1]
  local sums, counts = {}, {}
  for i = 0, count - 1 do
    local column = math.floor((times[i] - first) / math.max(1, last - first) * (columns - 1) + 0.5)
    if math.abs(values[i]) <= DRAWN_MAX then
      sums[column] = (sums[column] or 0) + values[i]
      counts[column] = (counts[column] or 0) + 1
    end
  end
  for column, sum in pairs(sums) do sums[column] = sum / counts[column] end
  return sums
end

--- Set the dots of a line through the sampled values.
local function plot(samples, columns, rows, bottom, top)
  local grid = {}
  local function dot(x, y)
    local cell = math.floor(y / 4) * columns + math.floor(x / 2)
    grid[cell] = bit.bor(grid[cell] or 0, DOTS[x % 2 + 1][y % 4 + 1])
  end
  local dots_high, previous = rows * 4, nil
  for x = 0, columns * 2 - 1 do
    local value = samples[x]
    if value then
      local y = math.floor((1 - (value - bottom) / (top - bottom)) * (dots_high - 1) + 0.5)
      for step = math.min(previous or y, y), math.max(previous or y, y) do dot(x, step) end
      previous = y
    end
  end
  return grid
end

--- Draw one series as a chart whose axis has 0 in it.
---@param times table|ffi.cdata*  0-based, ascending milliseconds as Lua numbers
---@param values table|ffi.cdata*  0-based
---@param count integer
---@param title string
function M.chart(times, values, count, title)
  local columns, rows = 72, 10
  local samples = resample(times, values, count, columns * 2)
  local lowest, highest = 0, 0
  for _, value in pairs(samples) do lowest, highest = math.min(lowest, value), math.max(highest, value) end
  local step = nice_step(highest > lowest and highest - lowest or 1, 4)
  local first_tick, last_tick = math.floor(lowest / step), math.max(math.ceil(highest / step), math.floor(lowest / step) + 1)
  local bottom, top = first_tick * step, last_tick * step
  local grid = plot(samples, columns, rows, bottom, top)
  local labels, margin = {}, 6
  for tick = first_tick, last_tick do
    local row = math.floor((1 - (tick * step - bottom) / (top - bottom)) * (rows - 1) + 0.5)
    labels[row] = ("%.6g"):format(tick * step)
    margin = math.max(margin, #labels[row])
  end

  print("  " .. M.bold(title))
  for row = 0, rows - 1 do
    local label = labels[row] or ""
    local cells = {}
    for column = 0, columns - 1 do cells[#cells + 1] = braille(grid[row * columns + column] or 0) end
    print(("  %s%s %s%s"):format((" "):rep(margin - #label), label, M.dim(label ~= "" and "┤" or "│"), M.cyan(table.concat(cells))))
  end
  print((" "):rep(margin + 3) .. M.dim("└" .. ("─"):rep(columns)))
  local from = M.time(times[0], "%H:%M:%S")
  local middle = M.time((times[0] + times[count - 1]) / 2, "%H:%M:%S")
  local to = M.time(times[count - 1], "%H:%M:%S") .. " UTC"
  local gap = columns - #from - #middle - #to
  print((" "):rep(margin + 4) .. M.dim(from .. (" "):rep(math.floor(gap / 2) + 2) .. middle .. (" "):rep(math.ceil(gap / 2) - 2) .. to))
end

return M
