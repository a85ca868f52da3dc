"""What must happen in Redis in one step?

Each script touches keys of one hash slot only. Each can run twice with the same arguments (redis-py
repeats a command when a connection breaks) and then answers what it answered the first time, or
something that leads to the same end. `TIME` is the deciding clock.
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
  'last_seen_at', 'idle_ends_at', 'absolute_ends_at', 'data')
local live = r[1] and now < tonumber(r[6]) and now < tonumber(r[7])
"""
)


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
    read_at: bytes | float
    """Redis's clock when it was read; no field of the record."""


RECORD_FIELDS = RecordRow._fields[:-1]


# KEYS: session. ARGV: 1/0 slide, idle seconds, seconds between two slides.
LOAD = Script(
    _LIVE
    + """
if not live then return false end
if ARGV[1] == '1' and now - tonumber(r[5]) >= tonumber(ARGV[3]) then
  r[5] = tostring(math.floor(now))
  r[6] = tostring(math.min(math.floor(now) + tonumber(ARGV[2]), tonumber(r[7])))
  redis.call('HSET', KEYS[1], 'last_seen_at', r[5], 'idle_ends_at', r[6])
end
r[9] = string.format('%.6f', now)
return r
"""
)

# KEYS: session, tombstone. ARGV: expire_at, then field, value, field, value, …
# A retry finds its own record (the id is random, nobody else can have made it).
CREATE = Script("""
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
redis.call('EXPIREAT', KEYS[1], ARGV[1])
return 1
""")

# KEYS: session, lock, remembered failure. ARGV: owner, lease in ms, generation seen.
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

# KEYS: lock. ARGV: owner, lease in ms.
RENEW_LOCK = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""")

# KEYS: lock, remembered failure. ARGV: owner, the failure's code or '', how long in ms.
END_REFRESH = Script("""
if ARGV[2] ~= '' then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
""")

# KEYS: client token, lock, remembered failure. ARGV: owner, lease in ms, the write that was seen.
BEGIN_CLIENT_TOKEN = Script("""
local r = redis.call('HMGET', KEYS[1], 'token', 'attempt')
if r[1] and r[2] ~= ARGV[3] then return {'newer', r[1], r[2], redis.call('PTTL', KEYS[1])} end
local failure = redis.call('GET', KEYS[3])
if failure then return {'failed', failure} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'yours'} end
if redis.call('GET', KEYS[2]) == ARGV[1] then return {'yours'} end
return {'locked'}
""")

# KEYS: client token, lock. ARGV: owner, sealed token, how long it lives in ms.
KEEP_CLIENT_TOKEN = Script("""
redis.call('HSET', KEYS[1], 'token', ARGV[2], 'attempt', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
""")

# KEYS: session. ARGV: generation read, attempt id, sealed tokens.
# A session past its end is still a record here: its tokens must stay the newest ones, so that
# the sweep revokes what is really alive.
REPLACE_TOKENS = Script("""
local r = redis.call('HMGET', KEYS[1], 'generation', 'attempt')
if not r[1] then return 'gone' end
if r[2] == ARGV[2] then return 'already' end
if r[1] ~= ARGV[1] then return 'superseded' end
redis.call('HSET', KEYS[1], 'tokens', ARGV[3], 'attempt', ARGV[2],
  'generation', tostring(tonumber(r[1]) + 1))
return 'applied'
""")

# KEYS: session. ARGV: sealed data of flask.session.
WRITE_DATA = Script("""
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'data', ARGV[1])
return 1
""")

# KEYS: session, tombstone, lock, failure, trace. ARGV: reason, seconds the tombstone lives,
# generation that it must have or '', seconds for which an id without a record is barred or ''.
# Answers {'ended'|'tomb', tokens, identity}, {'other'} for another generation, {'over'} for a
# session that is gone since a moment (see FORGET), or {'gone'}.
# A barred id belongs to a sign-in that is in the index and hasn't written its record yet.
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
redis.call('HDEL', KEYS[2], 'data', 'attempt')
redis.call('HSET', KEYS[2], 'reason', ARGV[1], 'ended_at', tostring(math.floor(now)))
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[3], KEYS[4])
return {'ended', s[2], s[3]}
"""
)

# KEYS: tombstone, trace. ARGV: for how many ms it is still told that a session was here.
# As long as some process may remember the session, another end of it has to know.
FORGET = Script("""
if ARGV[1] ~= '0' then redis.call('SET', KEYS[2], '1', 'PX', ARGV[1]) end
return redis.call('DEL', KEYS[1])
""")

# KEYS: session. Answers false (no record), or {'live'|'due', next deadline}.
DEADLINE = Script(
    _LIVE
    + """
if not r[1] then return false end
return {live and 'live' or 'due', tostring(math.min(tonumber(r[6]), tonumber(r[7])))}
"""
)

# KEYS: a sorted set by due instant. ARGV: lease in seconds, how many.
# What is claimed is due again after the lease, so a claimer's death loses nothing.
CLAIM_DUE = Script(
    _NOW
    + """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), member) end
return due
"""
)

# KEYS: due set, entry. ARGV: id, seconds until it is due, then field, value, …
# An intent that stands already is not overwritten: the first one knows best.
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

# KEYS: index of a user or provider session. ARGV: when the session ends, its hash.
# The index lives as long as its longest session.
INDEX_ADD = Script(
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
redis.call('EXPIREAT', KEYS[1], math.ceil(tonumber(last[2])))
return 1
"""
)

# KEYS: watermark. ARGV: seconds it is kept, an instant before now or ''.
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

# KEYS: the first instant, under each key's name, the newest first; all in one slot.
# It has no lifetime: it must be gone only when everything else is.
BEGIN_EPOCH = Script(
    _NOW
    + """
local newest = redis.call('GET', KEYS[1])
local born = tonumber(newest or '')
for i = 2, #KEYS do
  local found = tonumber(redis.call('GET', KEYS[i]) or '')
  if found then
    born = math.min(born or found, found)
    redis.call('DEL', KEYS[i])
  end
end
born = born or math.floor(now) + 1
local written = string.format('%d', born)
if newest ~= written then redis.call('SET', KEYS[1], written) end
return born
"""
)
