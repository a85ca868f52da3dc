"""Since when does this Redis have a complete history?

A Redis that comes back empty has lost the deny-list and every watermark. So the start of its
history is stored beside them, to be lost with them, and an older token counts as revoked: it might
be. At the very first start this applies to all tokens issued before; it ends when they expire.
"""

from __future__ import annotations

from bff.core.sealing import Sealer
from bff.store import scripts
from bff.store.connection import Database


class HistoryStart:
    """The history start of this Redis: the next whole second after the first `begin`."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._keys = database.keys.revoked_tokens(sealer.revoked_token_names).history_start_keys()

    def begin(self) -> int:
        """Return the history start; if there is none, write one: now.

        One that is found under the name of an older key is moved to that of the newest: an API
        without the newest key can't read the deny-list any more, and must notice.

        Raises:
            StoreUnavailable: Redis is away.
        """
        return int(self._database.run(scripts.BEGIN_HISTORY, self._keys))

    def has_begun(self) -> bool:
        """Whether tokens issued from now on will be valid; raises as `begin`."""
        return self._database.now() >= self.begin()
