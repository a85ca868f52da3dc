"""What must happen in Redis in one step?

Each script uses keys of one hash slot only. Each can run twice with the same arguments (redis-py
repeats a command when a connection breaks) and then returns the first result again, or one with the
same effect. `TIME` is the deciding clock.
"""

from __future__ import annotations

from typing import NamedTuple

from bff.store.connection import Script

_NOW = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
"""

_LIVE = (
    _NOW
    + """
local r = redis.call('HMGET', KEYS[1], 'generation', 'tokens', 'identity', 'created_at',
  'last_seen_at', 'idle_ends_at', 'absolute_ends_at', 'data', 'bound_at')
local live = r[1] and now < tonumber(r[6]) and now < tonumber(r[7])
"""
)

# Changes nothing, and a replica refuses it: a demoted master has other sessions than the new one.
_ONLY_A_MASTER = "redis.call('HDEL', KEYS[1], '')"


class RecordRow(NamedTuple):
    """A session record, in the order of `_LIVE`; tokens, identity and data are sealed."""

    generation: bytes
    tokens: bytes
    identity: bytes
    created_at: bytes
    last_seen_at: bytes
    idle_ends_at: bytes
    absolute_ends_at: bytes
    data: bytes | None
    bound_at: bytes | None
    read_at: bytes | float
    """Redis's clock when it was read; not a field of the record."""


RECORD_FIELDS = RecordRow._fields[:-1]


# KEYS: session. ARGV: 1/0 slide, idle seconds, seconds between two slides.
LOAD = Script(
    _ONLY_A_MASTER
    + _LIVE
    + """
if not live then return false end
if ARGV[1] == '1' and now - tonumber(r[5]) >= tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], 'seen_before', r[5], 'idle_before', r[6])
  r[5] = tostring(math.floor(now))
  r[6] = tostring(math.min(math.floor(now) + tonumber(ARGV[2]), tonumber(r[7])))
  redis.call('HSET', KEYS[1], 'last_seen_at', r[5], 'idle_ends_at', r[6])
end
r[10] = string.format('%.6f', now)
return r
"""
)

# KEYS: session. ARGV: `last_seen_at` as LOAD has just written it. The second run has no effect.
UNDO_SLIDE = Script(
    _NOW
    + """
local r = redis.call('HMGET', KEYS[1], 'last_seen_at', 'seen_before', 'idle_before')
if r[1] == ARGV[1] and r[2] and tonumber(r[3]) > now then
  redis.call('HSET', KEYS[1], 'last_seen_at', r[2], 'idle_ends_at', r[3])
end
"""
)

# KEYS: session, tombstone. ARGV: expire_at, then field, value, field, value, …
# A retry finds its own record: the id is random.
CREATE = Script("""
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIREAT', KEYS[1], ARGV[1])
return 1
""")

# KEYS: session, lock, failure. ARGV: owner, lock lifetime in ms, generation that was read.
BEGIN_REFRESH = Script(
    _LIVE
    + """
if not live then return {'gone'} end
if r[1] ~= ARGV[3] then return {'newer', r[1], r[2]} end
local failure = redis.call('GET', KEYS[3])
if failure then return {'failed', failure} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'yours'} end
if redis.call('GET', KEYS[2]) == ARGV[1] then return {'yours'} end
return {'locked'}
"""
)

# KEYS: lock. ARGV: owner, lock lifetime in ms.
RENEW_LOCK = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

# KEYS: lock, failure. ARGV: owner, error code or '', lifetime of the failure in ms.
END_REFRESH = Script("""
if ARGV[2] ~= '' then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
""")

# KEYS: client token, lock, failure. ARGV: owner, lock lifetime in ms, attempt that was read.
BEGIN_CLIENT_TOKEN = Script("""
local r = redis.call('HMGET', KEYS[1], 'token', 'attempt')
if r[1] and r[2] ~= ARGV[3] then return {'newer', r[1], r[2], redis.call('PTTL', KEYS[1])} end
local failure = redis.call('GET', KEYS[3])
if failure then return {'failed', failure} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'yours'} end
if redis.call('GET', KEYS[2]) == ARGV[1] then return {'yours'} end
return {'locked'}
""")

# KEYS: client token, lock. ARGV: owner, sealed token, lifetime of the token in ms.
KEEP_CLIENT_TOKEN = Script("""
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'attempt', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
""")

# KEYS: session. ARGV: generation that was read, attempt id, sealed tokens.
# An expired session counts, too: its record must have the newest tokens, so that the sweep revokes
# those that are valid.
REPLACE_TOKENS = Script("""
local r = redis.call('HMGET', KEYS[1], 'generation', 'attempt')
if not r[1] then return 'gone' end
if r[2] == ARGV[2] then return 'already' end
if r[1] ~= ARGV[1] then return 'superseded' end
redis.call('HSET', KEYS[1], 'tokens', ARGV[3], 'attempt', ARGV[2],
  'generation', tostring(tonumber(r[1]) + 1))
return 'applied'
""")

# KEYS: browser. ARGV: the new session, seconds the key lives.
# Returns {'taken', the session before or ''}, or {'closed', the browser's other name or ''}.
# A retry finds itself and returns what it returned the first time.
BROWSER_TAKE = Script("""
local b = redis.call('HMGET', KEYS[1], 'session', 'before', 'closed', 'successor')
if b[3] then return {'closed', b[4] or ''} end
if b[1] == ARGV[1] then return {'taken', b[2] or ''} end
redis.call('HSET', KEYS[1], 'session', ARGV[1], 'before', b[1] or '')
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {'taken', b[1] or ''}
""")

# KEYS: browser. ARGV: its successor or '' at a logout, seconds the key lives.
# Returns {session or '', the successor that it has}. The first successor stays, a logout is final.
BROWSER_CLOSE = Script("""
local b = redis.call('HMGET', KEYS[1], 'session', 'closed', 'successor')
local successor = b[3] or ''
if not b[2] then
  successor = ARGV[1]
  redis.call('HSET', KEYS[1], 'closed', '1', 'successor', successor)
elseif ARGV[1] == '' then
  redis.call('HSET', KEYS[1], 'successor', '')
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return {b[1] or '', successor}
""")

# KEYS: session. ARGV: sealed data of flask.session, the one that it replaces if that matters.
WRITE_DATA = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[2] and (redis.call('HGET', KEYS[1], 'data') or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'data', ARGV[1])
return 1
""")

# KEYS: session, tombstone, lock, failure, recently ended. ARGV: reason, lifetime of the tombstone
# in seconds, required generation or '', seconds for which an id without a record is blocked or ''.
# Returns {'ended'|'tomb', tokens, identity}, {'other'} for another generation, {'over'} for a
# session that has recently ended (see FORGET), or {'gone'}.
# A blocked id belongs to a sign-in that is in the index, but hasn't written its record yet.
END_RECORD = Script(
    _NOW
    + """
local s = redis.call('HMGET', KEYS[1], 'generation', 'tokens', 'identity')
if not s[1] then
  local t = redis.call('HMGET', KEYS[2], 'tokens', 'identity')
  if t[1] then return {'tomb', t[1], t[2]} end
  if redis.call('EXISTS', KEYS[5]) == 1 then return {'over'} end
  if ARGV[4] ~= '' then
    redis.call('HSET', KEYS[2], 'barred', '1')
    redis.call('EXPIRE', KEYS[2], ARGV[4])
  end
  return {'gone'}
end
if ARGV[3] ~= '' and s[1] ~= ARGV[3] then return {'other'} end
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('HDEL', KEYS[2], 'data', 'attempt', 'bound_at', 'device_key', 'device_attempt')
redis.call('HSET', KEYS[2], 'reason', ARGV[1], 'ended_at', tostring(math.floor(now)))
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[3], KEYS[4])
return {'ended', s[2], s[3]}
"""
)

# KEYS: tombstone, recently ended. ARGV: lifetime of the latter in ms, or 0.
# While a process may still cache the session, a second end of it must wait for that, too.
FORGET = Script("""
if ARGV[1] ~= '0' then redis.call('SET', KEYS[2], '1', 'PX', ARGV[1]) end
return redis.call('DEL', KEYS[1])
""")

# KEYS: session. Returns false (no record), or {'live'|'due', next deadline}.
DEADLINE = Script(
    _LIVE
    + """
if not r[1] then return false end
return {live and 'live' or 'due', tostring(math.min(tonumber(r[6]), tonumber(r[7])))}
"""
)

# KEYS: a sorted set by due instant. ARGV: seconds of the claim, upper bound of members.
# A claimed member becomes due again after that time, so nothing is lost if the process dies.
CLAIM_DUE = Script(
    _NOW
    + """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), member) end
return due
"""
)

# KEYS: due set, entry. ARGV: id, seconds until it is due, then field, value, …
# An existing intent is not overwritten: the first one has the data.
OUTBOX_ADD = Script(
    _NOW
    + """
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('HSET', KEYS[2], 'created_at', string.format('%.3f', now), unpack(ARGV, 3))
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
return 1
"""
)

# KEYS: due set, entry. ARGV: id, seconds until it is due again, error, status.
OUTBOX_RESCHEDULE = Script(
    _NOW
    + """
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
redis.call('HINCRBY', KEYS[2], 'attempts', 1)
redis.call('HSET', KEYS[2], 'last_error', ARGV[3], 'last_at', string.format('%.3f', now))
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
return 1
"""
)

# KEYS: index of a group. ARGV: absolute end of the session, its hash.
# The index expires with its longest session.
INDEX_ADD = Script(
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('EXPIREAT', KEYS[1], math.ceil(tonumber(last[2])))
return redis.call('ZCARD', KEYS[1])
"""
)

# KEYS: watermark. ARGV: lifetime in seconds, an instant before now or ''.
WATERMARK_RISE = Script(
    _NOW
    + """
local old = tonumber(redis.call('GET', KEYS[1]) or '0')
local since = math.min(now, tonumber(ARGV[2]) or now)
local risen = math.max(old, math.floor(since) + 1)
redis.call('SET', KEYS[1], string.format('%d', risen), 'EX', ARGV[1])
return risen
"""
)
