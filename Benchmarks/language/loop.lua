local n = tonumber(arg[1]) or 10000000
local sum, i = 0, 0
while i < n do
  sum = sum + i
  i = i + 1
end
print(sum)
