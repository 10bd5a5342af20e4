--- Items that no writer of ours made: every question ends in an answer or in CORRUPT, never worse.
local ffi = require("ffi")
local s = require("spec.index.index_support")
local native = require("spec.support.native")

local CORRUPTED = 3

describe("an index with damaged items", function()
  setup(function() math.randomseed(native.seed("index damage")) end)
  teardown(s.cleanup)

  local function mutate(item)
    local at = math.random(#item)
    local choice = math.random(4)
    if choice == 1 then return item:sub(1, at) end
    if choice == 2 then return item:sub(1, at - 1) .. string.char(math.random(0, 255)) .. item:sub(at + 1) end
    if choice == 3 then return item:sub(1, at) .. string.char(math.random(0, 255)) .. item:sub(at + 1) end
    return item:sub(1, 1) .. item:sub(math.min(at + 1, #item))
  end

  local function ask_everything(index, labels)
    local function try(fn, ...)
      local ok, message = pcall(fn, index, ...)
      if not ok then
        assert(tostring(message):find("code " .. CORRUPTED, 1, true) or s.lib.err_code() == CORRUPTED, message)
      end
    end
    for _, range in ipairs { { nil, nil }, { s.NOW, s.NOW } } do
      for _, match in ipairs { "{}", 'up{job="api"}', '{job=~"a.*"}', '{job!~"x|"}', '{job=~"(?i)API|"}', '{a!="1",b=~".+"}' } do
        try(index.keys, match, range[1], range[2])
        try(index.labels, match, range[1], range[2])
        try(index.values, "job", match, range[1], range[2])
      end
      try(index.labels, nil, range[1], range[2])
      try(index.values, "job", nil, range[1], range[2])
    end
    try(index.find, labels)
    try(index.register, labels, s.TODAY + 1)
    try(index.register, { { "__name__", "new" .. math.random(1000) } })
    try(index.delete, { 5 })
  end

  for _, layout in ipairs { "single", "cluster" } do
    it("answers or reports it, " .. layout .. " layout", function()
      for _ = 1, 25 do
        local index = assert(s.open(nil, { layout = layout }))
        local all = {}
        for i = 1, 20 do
          all[i] = { { "__name__", i % 2 == 0 and "up" or "a.b" }, { "job", i % 3 == 0 and "api" or "a" .. i }, { "a", tostring(i) }, { "b", "\1" .. i } }
          index:register(all[i])
        end
        local items = index:items()
        for _ = 1, math.random(1, 12) do index:add_raw(mutate(items[math.random(#items)])) end
        ask_everything(index, all[math.random(#all)])
        pcall(index.flush, index)
        index:close()
        local again = s.open(index.root, { layout = layout })
        if again then
          ask_everything(again, all[math.random(#all)])
          again:close()
        else
          assert.equal(CORRUPTED, s.lib.err_code())
        end
        local detected, known = ffi.new("int[1]"), ffi.new("bool[1]")
        local rc = s.lib.tt_index_detect(index.root, detected, known)
        assert(rc == 0 or rc == CORRUPTED)
      end
    end)
  end
end)
