--- Options whose effect is seen from outside only: dedup in answers and on disk, the descriptor of events.
local ffi = require("ffi")
local module = require("spec.support.module")
local tsengine = module.tsengine

pcall(ffi.cdef, "struct tsespec_pollfd { int fd; short events, revents; }; int poll(struct tsespec_pollfd *fds, unsigned long n, int timeout_ms);")
local POLLIN = 1

-- The example of the format's text: times in ms that lie on both sides of two borders of an interval of 1000.
local NOW, BASE = 1700000010000, 1700000000000
local TIMES = { 0, 1, 999, 1000, 1001, 1999, 2000, 2001 }
local KEPT = { last = { 0, 1000, 2000, 2001 }, first = { 0, 1000, 2000 } }

describe("an option of tsengine.open", function()
  after_each(module.cleanup)

  for keep, want in pairs(KEPT) do
    it("thins equal intervals alike in answers and in merges (" .. keep .. ")", function()
      local db = assert(tsengine.open { path = module.directory() .. "/db", threads = 0, clock = tsengine.clock.manual(NOW),
        dedup_interval = "1s", dedup_keep = keep })
      for _, ms in ipairs(TIMES) do assert(db:add("m", BASE + ms, ms)) end
      local function values()
        local list = {}
        for series in assert(db:select("m")) do
          for _, value in series:points() do list[#list + 1] = value end
        end
        return list
      end
      assert.are.same(want, values())
      assert(db:flush())
      assert.are.same(want, values())
      assert(db:force_merge())
      assert.are.same(want, values())
      assert.are.equal(#want, db:parts()[1].rows)
      assert(db:close())
    end)
  end

  it("gives a descriptor that is readable while events wait", function()
    local db = assert(tsengine.open { path = module.directory() .. "/db", threads = 0, clock = tsengine.clock.manual(NOW) })
    local fds = ffi.new("struct tsespec_pollfd[1]")
    fds[0].fd, fds[0].events = db:event_fd(), POLLIN
    assert.is_true(fds[0].fd >= 0)
    for _ in db:events() do end -- what opening may have told
    assert.are.equal(0, ffi.C.poll(fds, 1, 0))
    assert(db:add("m", BASE, 1))
    local ticket = assert(db:flush { wait = false })
    repeat local worked = db:step() until not worked
    assert.are.equal(1, ffi.C.poll(fds, 1, 0))
    local ended = false
    for event in db:events() do ended = ended or event.ticket == ticket end
    assert.is_true(ended)
    assert.are.equal(0, ffi.C.poll(fds, 1, 0))
    assert(db:close())
  end)
end)
