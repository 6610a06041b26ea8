local function adder(step)
  return function(x) return x + step end
end

local add = adder(3)
local n = tonumber(arg[1]) or 10000000
local sum, i = 0, 0
while i < n do
  sum = add(sum)
  i = i + 1
end
print(sum)
