--- What the specs of the storage floor share: databases through the module, rows as sorted lists, a model to compare with.
local module = require("spec.support.module")

local M = { tsengine = module.tsengine, NOON = module.NOON, DAY = 86400000 }

--- All rows of a query, metric -> sorted list of "ms value" texts: equal timestamps come in no particular order.
function M.rows(db, match, from, to)
  local all = {}
  for series in assert(db:select(match, from, to)) do
    assert(all[series.metric] == nil, "a name came twice: " .. series.metric)
    local rows = {}
    local last = -1
    for i = 0, tonumber(series.count) - 1 do
      local ms = tonumber(series.timestamps[i])
      assert(ms >= last, "timestamps run backwards in " .. series.metric)
      last = ms
      rows[#rows + 1] = ("%015d %.17g"):format(ms, series.values[i])
    end
    table.sort(rows)
    all[series.metric] = rows
  end
  return all
end

--- First difference of two such answers as a text, or nil. Only texts, so that a failure is short.
function M.difference(expected, got)
  for metric, rows in pairs(expected) do
    local other = got[metric]
    if not other then return ("%s with %d rows is missing"):format(metric, #rows) end
    if #rows ~= #other then return ("%s has %d rows instead of %d"):format(metric, #other, #rows) end
    for i = 1, #rows do
      if rows[i] ~= other[i] then return ("%s row %d is %s instead of %s"):format(metric, i, other[i], rows[i]) end
    end
  end
  for metric in pairs(got) do
    if not expected[metric] then return metric .. " is there and should not be" end
  end
end

--- A database as plain tables: what the real one must answer at every moment.
local Model = {}
Model.__index = Model

function M.model() return setmetatable({ series = {} }, Model) end

function Model:add(metric, ms, value)
  local rows = self.series[metric]
  if not rows then
    rows = {}
    self.series[metric] = rows
  end
  rows[#rows + 1] = { ms, value }
end

function Model:delete(wanted)
  local count = 0
  for metric in pairs(self.series) do
    if wanted(metric) then
      self.series[metric] = nil
      count = count + 1
    end
  end
  return count
end

function Model:rows(wanted, from, to)
  local all = {}
  for metric, rows in pairs(self.series) do
    if wanted(metric) then
      local list = {}
      for _, row in ipairs(rows) do
        if row[1] >= from and row[1] <= to then list[#list + 1] = ("%015d %.17g"):format(row[1], row[2]) end
      end
      table.sort(list)
      if #list > 0 then all[metric] = list end
    end
  end
  return all
end

--- Step until nothing is due.
function M.settle(db)
  for _ = 1, 100000 do
    local did, next_ms = db:step(1000)
    if not did and (not next_ms or next_ms > 0) then return end
  end
  error("the engine never came to rest", 2)
end

return M
