"""Since when does this Redis remember?

A Redis that comes back empty has forgotten the deny-list and every watermark. So the instant of its
beginning is written where it would be forgotten with them, and a token from before it is dead: what
is not remembered can't be vouched for. On the very first start this holds for all tokens issued
until then, too; how long that is felt is bounded by their lifetime.
"""

from __future__ import annotations

from bff.core.sealing import Sealer
from bff.store import scripts
from bff.store.connection import Database


class HistoryStart:
    """The first instant of this Redis: the next whole second when somebody first looked."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._keys = database.keys.revoked_tokens(sealer.revoked_token_names).history_start_keys()

    def begin(self) -> int:
        """The first instant; it is now, if none is written.

        Found under an older key's name, it is moved to the newest one's: an API that doesn't know
        the newest key can't read the deny-list any more, and should notice.

        Raises:
            StoreUnavailable: Redis is away.
        """
        return int(self._database.run(scripts.BEGIN_EPOCH, self._keys))

    def has_begun(self) -> bool:
        """Whether tokens that are issued from now on will count as alive; raises as `begin`."""
        return self._database.now() >= self.begin()
