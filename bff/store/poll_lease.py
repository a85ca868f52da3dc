"""Which process polls the transmitter of security events, and which pause do all of them keep?

One process at a time: it holds the lease until it has acknowledged what it fetched, or until the
lease expires, since it was killed. Then the lease stays for the pause, in nobody's name, so that
the pause that a transmitter asks for holds for all replicas. If two processes poll at once all the
same (the lease of a slow one has expired), each event still takes effect once (`seen_messages`).
"""

from __future__ import annotations

from bff.store import scripts
from bff.store.connection import Database, Script

FAILURES_LIFETIME_SECONDS = 86_400

# KEYS: lease, failures. ARGV: owner, lifetime in ms. The second run finds its own lease.
POLL_BEGIN = Script("""
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return false end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return tonumber(redis.call('GET', KEYS[2]) or '0')
""")

# KEYS: lease, failures. ARGV: owner, pause in ms, 1/0 failed, lifetime of the failures in seconds.
# The second run finds the pause, and changes nothing.
POLL_END = Script("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], 'pause', 'PX', ARGV[2])
if ARGV[3] ~= '1' then
  redis.call('DEL', KEYS[2])
  return 1
end
redis.call('INCR', KEYS[2])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
""")


class PollLease:
    """The lease, and how many polls in a row have failed. Every method raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lease = database.keys.poll_lease()
        self._keys = [self._lease, database.keys.poll_failures()]

    def begin(self, owner: str, seconds: float) -> int | None:
        """Try to acquire the lease.

        Args:
            owner: A random id of this round.
            seconds: The lease expires after this, if it is not renewed.

        Returns:
            How many polls in a row have failed; None if another process polls, or during a pause.
        """
        reply = self._database.run(POLL_BEGIN, self._keys, owner, _milliseconds(seconds))
        return None if reply is None else int(reply)

    def renew(self, owner: str, seconds: float) -> bool:
        """Extend the lease; false if *owner* has lost it."""
        return bool(
            self._database.run(scripts.RENEW_LOCK, [self._lease], owner, _milliseconds(seconds))
        )

    def end(self, owner: str, pause_seconds: float, *, failed: bool) -> None:
        """Let no process poll for *pause_seconds*; without effect if *owner* has lost the lease."""
        self._database.run(
            POLL_END,
            self._keys,
            owner,
            _milliseconds(pause_seconds),
            int(failed),
            FAILURES_LIFETIME_SECONDS,
        )


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
