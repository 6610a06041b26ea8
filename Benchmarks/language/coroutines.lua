-- The same as fibers/main.swift: made, parked five calls deep, resumed, kept.
local count = tonumber(arg[1]) or 10000
local rounds = 100

local function wait(sum)
  local given = coroutine.yield()
  if given < 0 then return sum end
  return wait(sum + given)
end

local function deep(calls)
  if calls == 0 then return wait(0) end
  return 1 + deep(calls - 1)
end

local function main() return deep(4) end

local function resident_bytes()
  local file = assert(io.open("/proc/self/statm"))
  local _, pages = file:read("n", "n")
  file:close()
  return pages * 4096
end

local sum = 0
local fibers = {}
for i = 1, count do fibers[i] = false end
collectgarbage()
local before = resident_bytes()
for i = 1, count do
  fibers[i] = coroutine.create(main)
  coroutine.resume(fibers[i])
end
local bytes = (resident_bytes() - before) // count

local resumed = math.huge
for _ = 1, rounds do
  local begun = os.clock()
  for i = 1, count do coroutine.resume(fibers[i], 1) end
  resumed = math.min(resumed, (os.clock() - begun) * 1e9 / count)
end
for i = 1, count do
  local _, result = coroutine.resume(fibers[i], -1)
  sum = sum + result
end

local life = math.huge
for _ = 1, 3 do
  local begun = os.clock()
  for _ = 1, count do
    local fiber = coroutine.create(main)
    coroutine.resume(fiber)
    local _, result = coroutine.resume(fiber, -1)
    sum = sum + result
  end
  life = math.min(life, (os.clock() - begun) * 1e9 / count)
end
print(string.format('{"life_ns": %.0f, "resume_ns": %.0f, "bytes": %d, "sum": %d}', life, resumed, bytes, sum))
