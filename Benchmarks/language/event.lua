local function handle(event)
  local tag = event.tag
  if tag == "Opened" then return "opened " .. event.url
  elseif tag == "Message" then
    if event.kind == "ping" then return "pong" end
    return "[" .. event.kind .. "] " .. event.text .. "!"
  elseif tag == "Failed" then return "failed " .. event.code .. " " .. event.why
  else return "closed" end
end

local closed = {tag = "Closed"}

local function made(i)
  local kind = i % 8
  if kind == 0 then return {tag = "Opened", url = "ws://host"}
  elseif kind == 1 then return {tag = "Failed", code = i, why = "reset"}
  elseif kind == 2 then return closed
  elseif kind == 3 then return {tag = "Message", kind = "ping", text = ""}
  else return {tag = "Message", kind = "token", text = "hello, world"} end
end

local n = tonumber(arg[1]) or 1000000
local length, i = 0, 0
while i < n do
  length = length + #handle(made(i))
  i = i + 1
end
print(length)
