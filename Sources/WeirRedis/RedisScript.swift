import WeirCore

/// A Lua script that Redis runs in one step, called by the SHA-1 of its text (docs/redis.md names the keys).
///
/// Every script begins with the same arguments, `RedisScript.fixedArguments` of them: the keys' prefix, the stream's name, the
/// milliseconds by which its clock is ahead. Scripts that change a stream have three more, the session's
/// (`RedisPipeline`): the writer's id, its connection's generation, and the command's number.
///
/// Numbers are passed as decimal text both ways: Lua's own writing of a number keeps 14 digits.
struct RedisScript: Sendable {
  let text: String
  /// In hexadecimal, as EVALSHA wants it.
  let hash: String
  /// Part of a writer's session: run once, and in order, whatever happens to the connection.
  let isMutation: Bool

  private init(_ parts: [String], isMutation: Bool = false) {
    text = parts.joined()
    hash = SHA1.hash(Array(text.utf8)).map { byte in
      let digits = String(byte, radix: 16)
      return byte < 16 ? "0" + digits : digits
    }.joined()
    self.isMutation = isMutation
  }

  private init(changing text: String) {
    self.init(["local looks = false\n", Lua.base, Lua.life, Lua.once, text], isMutation: true)
  }

  private init(looking text: String) { self.init(["local looks = true\n", Lua.base, Lua.life, text]) }

  /// Adds nothing that takes memory: done also where Redis has none left.
  var makesRoom: Bool { hash == Self.delete.hash }

  static let all = [create, append, delete, read, status, list, touch, sweep, session]

  static let create = RedisScript(changing: Lua.create)
  static let append = RedisScript(changing: Lua.append)
  static let delete = RedisScript(changing: Lua.delete)
  static let read = RedisScript(looking: Lua.read)
  static let status = RedisScript(looking: Lua.status)
  static let list = RedisScript(looking: Lua.list)
  static let touch = RedisScript(looking: Lua.touch)
  static let sweep = RedisScript(looking: Lua.sweep)
  static let session = RedisScript([Lua.session])
}

/// The scripts' texts. Every check comes before the first write: Redis takes nothing back when a script fails.
private enum Lua {
  /// Names, numbers, time, and the word to whoever watches.
  static let base = """
    local P, name = ARGV[1], ARGV[2]
    local function meta(n) return P .. 'meta:' .. n end
    local function items(n) return P .. 'items:' .. n end
    local function text(number) return string.format('%.0f', number) end
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]

    -- A version is given to every change of any stream. It begins with the time, so that it grows even when it was lost.
    -- The word says what lifetime the stream has: its idle seconds, or - for an end that is fixed.
    local function changed(n, life)
      local version = redis.call('INCR', P .. 'clock')
      if version == 1 then
        version = time[1] * 1000000 + time[2]
        redis.call('SET', P .. 'clock', text(version))
      end
      version = text(version)
      redis.call('PUBLISH', P .. 'changed:' .. n, life and version .. ' ' .. life or version)
      return version
    end

    """

  /// What a stream is, and when it is over.
  static let life = """
    local fields = {'type', 'made', 'tail', 'end', 'why', 'idle', 'mark', 'until', 'from', 'at', 'sub', 'base', 'depth',
      'kids', 'gone', 'seq', 'closer', 'producers'}
    local function load(n)
      local values = redis.call('HMGET', meta(n), unpack(fields))
      if not values[1] then return nil end
      local m = {}
      for i = 1, #fields do m[fields[i]] = values[i] end
      return m
    end
    local function expiry(m)
      if m['until'] then return tonumber(m['until']) end
      if m.idle then return m.mark + m.idle * 1000 + math.floor(m.idle * 1000 / 16) end
    end
    local function remove(n, m)
      redis.call('ZREM', P .. 'names', n)
      if m.idle or m['until'] then redis.call('ZREM', P .. 'expiry', n) end
      local version = changed(n)
      if m.kids and tonumber(m.kids) > 0 then
        redis.call('HSET', meta(n), 'gone', '1', 'v', version)
        return version
      end
      -- With its last fork a stream that is gone goes, and so on up the chain.
      while true do
        redis.call('UNLINK', meta(n), items(n))
        -- For the next one of that name, should it be made in the same millisecond.
        if tonumber(m.made) >= now then redis.call('SET', P .. 'made:' .. n, m.made, 'PX', 60000) end
        if not m.from then return version end
        n = m.from
        local left = redis.call('HINCRBY', meta(n), 'kids', -1)
        m = load(n)
        if not m or not m.gone or left > 0 then return version end
      end
    end
    -- Whether this Redis takes writes: a script that looks does without them (a replica, a disk that cannot be saved to). What
    -- is tried frees memory and changes nothing, and behind such a write a script may write although memory is short.
    local free = nil
    local function writes(n)
      if free == nil then
        local tried = redis.pcall('HDEL', meta(n), '-')
        free = type(tried) == 'number'
      end
      return free
    end
    local function living(n)
      local m = load(n)
      if not m or m.gone then return m end
      local over = expiry(m)
      if over and over <= now then
        if looks and not writes(n) then
          if not m.kids or tonumber(m.kids) == 0 then return nil end
          m.gone = '1'
          return m
        end
        remove(n, m)
        return load(n)
      end
      return m
    end
    -- A use is written down when the one that was is a sixteenth of the idle time ago.
    local function use(n, m)
      if m.idle and now - m.mark >= math.max(1, math.floor(m.idle * 1000 / 16)) and (not looks or writes(n)) then
        m.mark = text(now)
        redis.call('HSET', meta(n), 'mark', m.mark)
      end
    end
    local function status(n, m)
      local over = expiry(m)
      return {n, m.type, m.tail, m['end'] or '', m.why or '', m.made, m.idle or '', m['until'] or '',
        over and text(over) or '', m.from or '', m.at or '', m.sub or '', over and text(over - now) or ''}
    end
    local function essence(type)
      return string.lower(string.match(string.match(type, '^[^;]*'), '^ *(.-)[ \\t]*$'))
    end
    local function holdsJSON(type)
      return essence(type) == 'application/json' or string.sub(essence(type), -5) == '+json'
    end

    """

  /// The session of the writer who sent this: a command is done once, in its turn, and never by an older connection.
  static let once = """
    local session, number = P .. 'writer:' .. ARGV[4], tonumber(ARGV[6])
    local slot = 'r' .. text(number % 256)
    local known = redis.call('HMGET', session, 'g', 'n', slot)
    if known[1] and known[1] ~= ARGV[5] then return 'fenced' end
    if known[2] then
      local last = tonumber(known[2])
      if number <= last then return known[3] or 'lost' end
      if number > last + 1 then return 'early' end
    end
    local function done(...)
      local parts = {...}
      for i = 1, #parts do parts[i] = #parts[i] .. ':' .. parts[i] end
      local result = table.concat(parts)
      -- A write that frees memory goes first: what came of a command is kept although memory is short.
      redis.call('HDEL', session, slot)
      redis.call('HSET', session, 'g', ARGV[5], 'n', ARGV[6], slot, result)
      redis.call('PEXPIRE', session, 86400000)
      return result
    end

    """

  /// A connection says that it is the writer's only one from now on, and learns what was done of what it had sent.
  static let session = """
    local key = ARGV[1] .. 'writer:' .. ARGV[4]
    local known = redis.call('HMGET', key, 'g', 'n')
    if known[1] and tonumber(known[1]) > tonumber(ARGV[5]) then return 'fenced' end
    local base = tonumber(ARGV[6])
    local last = math.max(base, tonumber(known[2] or base))
    local out = {string.format('%.0f', last)}
    for number = base + 1, last do
      out[#out + 1] = redis.call('HGET', key, 'r' .. string.format('%.0f', number % 256)) or 'lost'
    end
    -- A write that frees memory goes first: whoever wants to delete streams needs a session when memory is short.
    redis.call('HDEL', key, '-')
    redis.call('HSET', key, 'g', ARGV[5], 'n', out[1])
    redis.call('PEXPIRE', key, 86400000)
    return out
    """

  /// 7 content type · 8 idle seconds · 9 until · 10 source · 11 offset · 12 sub-offset · 13 ending · 14 reason · 15… items
  static let create = """
    local m = living(name)
    if m then
      if m.gone then return done('gone', name) end
      return done('existed', unpack(status(name, m)))
    end
    local type, idle, over = ARGV[7], ARGV[8], ARGV[9]
    local base, source, at, piece = 0, nil, nil, nil
    if ARGV[10] ~= '' then
      local from = ARGV[10]
      source = living(from)
      if not source then return done('notFound', from) end
      if source.gone then return done('gone', from) end
      if tonumber(source.depth or 0) >= FORKS then return done('tooDeep', from, 'FORKS') end
      if type ~= '' and essence(type) ~= essence(source.type) then return done('otherType', from, source.type) end
      local tail, sub = tonumber(source.tail), tonumber(ARGV[12])
      at = ARGV[11] == '' and source.tail or ARGV[11]
      base = tonumber(at)
      if base > tail then return done('beyond', from, source.tail) end
      if sub > 0 and holdsJSON(source.type) then
        if sub > tail - base then return done('fewItems', from, at, ARGV[12]) end
        base = base + sub
      elseif sub > 0 then
        local owner, own = from, source
        while own.from and base < tonumber(own.base) do
          owner = own.from
          own = load(owner)
        end
        local found = base < tail and redis.call('XRANGE', items(owner), text(base) .. '-1', text(base) .. '-1')
        local bytes = found and found[1] and found[1][2][4] or ''
        if sub > #bytes then return done('fewBytes', from, at, ARGV[12], text(#bytes)) end
        if sub == #bytes then base = base + 1 else piece = string.sub(bytes, 1, sub) end
      end
      type = source.type
      if idle == '' and over == '' then idle, over = source.idle or '', source['until'] or '' end
    end
    if redis.call('EXISTS', items(name)) == 1 then
      return redis.error_reply('WRONGTYPE the key ' .. items(name) .. ' is there without its stream')
    end
    local tail, stamp = base, text(now)
    local function add(bytes)
      redis.call('XADD', items(name), text(tail) .. '-1', 't', stamp, 'd', bytes)
      tail = tail + 1
    end
    if piece then add(piece) end
    for i = 15, #ARGV do add(ARGV[i]) end
    if source then
      redis.call('HINCRBY', meta(ARGV[10]), 'kids', 1)
      use(ARGV[10], source)
    end
    local before = redis.call('GET', P .. 'made:' .. name)
    local made = before and tonumber(before) >= now and text(before + 1) or stamp
    m = {type = type, made = made, tail = text(tail)}
    if idle ~= '' then m.idle, m.mark = idle, stamp end
    if over ~= '' then m['until'] = over end
    if source then
      m.from, m.at, m.sub, m.base, m.depth = ARGV[10], at, ARGV[12], text(base), text((source.depth or 0) + 1)
    end
    if ARGV[13] ~= '' then m['end'], m.why = ARGV[13], ARGV[14] end
    local version = changed(name, m.idle or m['until'] and '-')
    local flat = {'v', version}
    for key, value in pairs(m) do
      flat[#flat + 1] = key
      flat[#flat + 1] = value
    end
    redis.call('HSET', meta(name), unpack(flat))
    redis.call('ZADD', P .. 'names', 0, name)
    local ends = expiry(m)
    if ends then redis.call('ZADD', P .. 'expiry', text(ends), name) end
    return done('made', version, unpack(status(name, m)))
    """
    .replacing(text: "FORKS", with: "100")

  /// 7 ending · 8 reason · 9 content type · 10 producer · 11 its epoch · 12 its sequence · 13 has a Stream-Seq · 14 it ·
  /// 15 idle seconds from now on · 16 or until · 17… items. What is wrong is told in the order of `StreamStore.append`.
  static let append = """
    local m = living(name)
    if not m then return done('notFound', name) end
    if m.gone then return done('gone', name) end
    local producer, epoch, sequence = ARGV[10], tonumber(ARGV[11]), tonumber(ARGV[12])
    local lifetime = ARGV[15] ~= '' or ARGV[16] ~= ''
    local invisible = #ARGV == 16 and ARGV[7] == ''
    local nothing = invisible and not lifetime
    local before
    if producer ~= '' then
      local state = redis.call('HGET', meta(name), 'p:' .. producer)
      if state then
        local e, s = string.match(state, '^(%d+) (%d+)')
        before = {epoch = tonumber(e), sequence = tonumber(s), text = s}
        if epoch < before.epoch then return done('stale', name, e) end
      end
    end
    if m['end'] and not (invisible and lifetime and producer == '' and ARGV[13] ~= '1') then
      if producer == '' or m.closer ~= ARGV[11] .. ' ' .. ARGV[12] .. ' ' .. producer then
        return done('ended', name, m['end'], m.why or '')
      end
      return done('repeat', m.tail, before and before.text or '', m['end'], m.why or '')
    end
    if ARGV[9] ~= '' and essence(ARGV[9]) ~= essence(m.type) then return done('otherType', name, m.type) end
    if before and before.epoch == epoch then
      if sequence <= before.sequence then return done('repeat', m.tail, before.text, '', '') end
      if sequence > before.sequence + 1 then return done('gap', name, text(before.sequence + 1)) end
    elseif before then
      if sequence ~= 0 then return done('first', name) end
    elseif producer ~= '' then
      if sequence ~= 0 then return done('gap', name, '0') end
      if tonumber(m.producers or 0) >= PRODUCERS and not nothing then
        local all, left = redis.call('HGETALL', meta(name)), 0
        for i = 1, #all, 2 do
          if string.sub(all[i], 1, 2) == 'p:' then
            if now - string.match(all[i + 1], '(%d+)$') >= SILENCE then
              redis.call('HDEL', meta(name), all[i])
            else
              left = left + 1
            end
          end
        end
        m.producers = text(left)
        if left >= PRODUCERS then return done('producers', name) end
      end
    end
    if ARGV[13] == '1' and m.seq then
      -- Byte by byte: Lua itself compares by the server's locale.
      local later = #ARGV[14] > #m.seq
      for i = 1, math.min(#ARGV[14], #m.seq) do
        local a, b = string.byte(ARGV[14], i), string.byte(m.seq, i)
        if a ~= b then
          later = a > b
          break
        end
      end
      if not later then return done('regression', name, m.seq) end
    end
    if nothing then return done('ok', '', m.tail, '', '', '') end
    local tail, stamp = tonumber(m.tail), text(now)
    if lifetime then
      m.idle, m.mark, m['until'] = nil, nil, nil
      if ARGV[15] ~= '' then m.idle, m.mark = ARGV[15], stamp else m['until'] = ARGV[16] end
      redis.call('HDEL', meta(name), 'idle', 'mark', 'until')
      redis.call('ZADD', P .. 'expiry', text(expiry(m)), name)
    end
    for i = 17, #ARGV do
      redis.call('XADD', items(name), text(tail) .. '-1', 't', stamp, 'd', ARGV[i])
      tail = tail + 1
    end
    local version = changed(name, m.idle or m['until'] and '-')
    local flat = {'tail', text(tail), 'v', version}
    local function set(key, value)
      flat[#flat + 1] = key
      flat[#flat + 1] = value
    end
    if ARGV[7] ~= '' then
      set('end', ARGV[7])
      set('why', ARGV[8])
    end
    if ARGV[13] == '1' then set('seq', ARGV[14]) end
    if lifetime and m.idle then
      set('idle', m.idle)
      set('mark', m.mark)
    elseif lifetime then
      set('until', m['until'])
    end
    if producer ~= '' then
      set('p:' .. producer, ARGV[11] .. ' ' .. ARGV[12] .. ' ' .. stamp)
      if not before then set('producers', text(tonumber(m.producers or 0) + 1)) end
      if ARGV[7] ~= '' then set('closer', ARGV[11] .. ' ' .. ARGV[12] .. ' ' .. producer) end
    end
    redis.call('HSET', meta(name), unpack(flat))
    use(name, m)
    return done('ok', version, text(tail), ARGV[12], ARGV[7], ARGV[8])
    """
    .replacing(text: "PRODUCERS", with: "1000").replacing(text: "SILENCE", with: "604800000")

  static let delete = """
    local m = living(name)
    if not m then return done('notFound', name) end
    if m.gone then return done('gone', name) end
    return done('deleted', remove(name, m))
    """

  /// 4 offset · 5 byte limit · 6 item limit · 7 whether reading is a use. Answers: tail, ending, reason, when it was made, then time and bytes of each item.
  static let read = """
    local m = living(name)
    if not m then return {'notFound', name} end
    if m.gone then return {'gone', name} end
    local from, tail = tonumber(ARGV[4]), tonumber(m.tail)
    if from > tail then return {'beyond', name, m.tail} end
    if ARGV[7] == '1' then use(name, m) end
    -- What is before a fork's own items is its source's, and so on. A batch ends where the owner changes.
    local owner, upper, base, source = name, tail, tonumber(m.base or 0), m.from
    while source and from < base do
      owner, upper = source, math.min(upper, base)
      local found = redis.call('HMGET', meta(owner), 'base', 'from')
      base, source = tonumber(found[1] or 0), found[2]
    end
    local out = {'ok', m.tail, m['end'] or '', m.why or '', m.made}
    local at, size, count, chunk = from, 0, 0, 64
    local limit, most = tonumber(ARGV[5]), tonumber(ARGV[6])
    while at < upper and (count == 0 or size < limit and count < most) do
      local found = redis.call('XRANGE', items(owner), text(at) .. '-1', text(upper - 1) .. '-1', 'COUNT', chunk)
      if #found == 0 then return {'hole', name, text(at)} end
      for j = 1, #found do
        if count > 0 and (size >= limit or count >= most) then break end
        if found[j][1] ~= text(at) .. '-1' then return {'hole', name, text(at)} end
        local item = found[j][2]
        out[#out + 1] = item[2]
        out[#out + 1] = item[4]
        size = size + #item[4]
        count = count + 1
        at = at + 1
      end
      chunk = math.min(chunk * 4, 1024)
    end
    return out
    """

  static let status = """
    local m = living(name)
    if not m then return {'notFound', name} end
    if m.gone then return {'gone', name} end
    return {'ok', unpack(status(name, m))}
    """

  /// 4 where to begin, as ZRANGEBYLEX has it · 5 prefix · 6 limit. Answers: how many names were looked at, the last of them,
  /// then a status each. No name has a byte 255.
  static let list = """
    local names = redis.call('ZRANGEBYLEX', P .. 'names', ARGV[4],
      ARGV[5] == '' and '+' or '(' .. ARGV[5] .. '\\255', 'LIMIT', 0, ARGV[6])
    local out = {text(#names), names[#names] or ''}
    for _, n in ipairs(names) do
      local m = living(n)
      if m and not m.gone then out[#out + 1] = status(n, m) end
    end
    return out
    """

  /// Somebody watches it: it is in use.
  static let touch = """
    local m = living(name)
    if m and not m.gone then use(name, m) end
    return redis.status_reply('OK')
    """

  /// 4 how many at most. Answers the milliseconds to the next one, or nothing.
  static let sweep = """
    local due = redis.call('ZRANGEBYSCORE', P .. 'expiry', '-inf', text(now), 'LIMIT', 0, ARGV[4])
    if due[1] and not writes(due[1]) then return '60000' end
    for _, n in ipairs(due) do
      local m = living(n)
      local over = m and not m.gone and expiry(m)
      if over then
        redis.call('ZADD', P .. 'expiry', text(over), n)
      else
        redis.call('ZREM', P .. 'expiry', n)
      end
    end
    local first = redis.call('ZRANGE', P .. 'expiry', 0, 0, 'WITHSCORES')
    return first[2] and text(math.max(0, first[2] - now)) or ''
    """
}
