"""Since when does this Redis have a complete history?

A Redis that comes back empty has lost the deny-list and every watermark. So the start of its
history is stored beside them, to be lost with them, and an older token counts as revoked: it might
be. At the very first start this applies to all tokens issued before; it ends when they expire. When
a part is lost, it rises (`history_cut`).
"""

from __future__ import annotations

import time

from bff.core.sealing import Sealer
from bff.store.connection import Database, Script

# KEYS: every key that the history start may have, the newest first; all in one slot.
# It doesn't expire: it must be lost only with everything else.
_BEGIN = Script(
    """
local newest = redis.call('GET', KEYS[1])
local born = tonumber(newest or '')
for i = 2, #KEYS do
  local found = tonumber(redis.call('GET', KEYS[i]) or '')
  if found then
    born = math.min(born or found, found)
    redis.call('DEL', KEYS[i])
  end
end
born = born or tonumber(redis.call('TIME')[1]) + 1
local written = string.format('%d', born)
if newest ~= written then redis.call('SET', KEYS[1], written) end
return born
"""
)

# KEYS: the same. ARGV: the instant.
# All of them at once: readers take the oldest that they find.
_RISE = Script(
    """
local risen = tonumber(ARGV[1])
for i = 1, #KEYS do
  risen = math.max(risen, tonumber(redis.call('GET', KEYS[i]) or '0'))
end
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('SET', KEYS[1], string.format('%d', risen))
return risen
"""
)


class HistoryStart:
    """The history start of this Redis: the next whole second after the first `begin`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._keys = database.keys.revoked_tokens(sealer.revoked_token_names).history_start_keys()
        self.keys = self._keys
        """The newest first."""

    def begin(self) -> int:
        """Return the history start; if there is none, write one: now.

        One that is found under the name of an older key is moved to that of the newest: an API
        without the newest key can't read the deny-list any more, and must notice.

        Raises:
            StoreUnavailable: Redis is away.
        """
        return int(self._database.run(_BEGIN, self._keys))

    def rise(self) -> int:
        """Let the history start at the next second, by our own clock, as tokens' `exp` is checked.

        Raises:
            StoreUnavailable: Redis is away.
        """
        return int(self._database.run_safely(_RISE, self._keys, int(time.time()) + 1))

    def has_begun(self) -> bool:
        """Whether tokens issued from now on will be valid; raises as `begin`.

        By our own clock: a token's `iat` doesn't come from Redis's, which may be wrong.
        """
        return time.time() >= self.begin()
