"""What is read and written with one look at Redis? One script, at one node of a cluster."""

from __future__ import annotations

from typing import NamedTuple

from bff.store.connection import Script

# KEYS: the cut, the evictions, the marks, every key that the history start may have.
# ARGV: this process, its new mark, how many marks stay.
# A user in Redis may lack the right to `INFO`; a replica or a full Redis refuses the mark.
LOOK = Script(
    """
local info = redis.pcall('INFO')
if type(info) == 'table' then info = '' end
local marked = redis.call('ZSCORE', KEYS[3], ARGV[1])
local written = redis.pcall('ZADD', KEYS[3], 'GT', ARGV[2], ARGV[1])
redis.pcall('ZREMRANGEBYRANK', KEYS[3], 0, -ARGV[3] - 1)
local born = nil
for i = 4, #KEYS do
  local found = tonumber(redis.call('GET', KEYS[i]) or '')
  if found then born = math.min(born or found, found) end
end
return {
  info, redis.call('GET', KEYS[1]) or '0', redis.call('GET', KEYS[2]) or '{}', marked or '0',
  type(written) == 'table' and written.err or '', born or 0, redis.call('TIME')
}
"""
)


class Look(NamedTuple):
    """What Redis says at one look."""

    info: bytes
    cut_at: bytes
    evicted: bytes
    marked: bytes
    """The newest mark of this process that it had."""
    refusal: bytes
    """Why it doesn't take the next one; empty if it does."""
    born_at: int
    """The history start; 0 if there is none."""
    time: list[bytes]
    """Seconds and microseconds, by Redis's clock."""
