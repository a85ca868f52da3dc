"""Since when is a sign-in, or a token, too old to be accepted?

An end of all sessions of a group stores its instant here. Sign-ins and tokens that the provider
issued before it are rejected from then on. A watermark is the next whole second, since `iat` and
`auth_time` have no fractions, and it only ever rises.
"""

from __future__ import annotations

import time

from bff.core.model import Group, Identity, groups_of
from bff.core.sealing import Sealer
from bff.store import scripts
from bff.store.connection import Database

POLL_SECONDS = 0.05


class Watermarks:
    """The watermarks of all groups. Every method raises StoreUnavailable.

    Args:
        lifetime_seconds: Longer than any session at the provider and any access token.
    """

    def __init__(self, database: Database, sealer: Sealer, *, lifetime_seconds: int) -> None:
        self._database = database
        self._keys = database.keys.revoked_tokens(sealer.revoked_token_names)
        self._lifetime_seconds = lifetime_seconds

    def rise(self, group: Group, at: float | None = None) -> int:
        """Reject what is older than the next whole second from now on; returns the watermark.

        Args:
            group: The group.
            at: An instant instead of now, for an event that is reported late. One in the future
                counts as now: a wrong clock elsewhere must not prevent sign-ins.
        """
        name = self._keys_of(group)[0]
        since = "" if at is None else f"{at:.3f}"
        reply = self._database.run_safely(
            scripts.WATERMARK_RISE, [name], self._lifetime_seconds, since
        )
        return int(reply)

    def wait_for(self, watermark_at: int) -> None:
        """Wait until Redis's clock has reached *watermark_at*: a second at most."""
        while (left := watermark_at - self._database.now()) > 0:
            time.sleep(max(left, POLL_SECONDS))

    def newest(self, identity: Identity) -> int | None:
        """The latest watermark over the groups of *identity*."""
        return self._newest([*groups_of(identity), Group.everyone()])

    def newest_for_subject(self, issuer: str, subject: str) -> int | None:
        """The latest watermark over the groups that an access token names."""
        return self._newest([Group.of_user(issuer, subject), Group.everyone()])

    def _newest(self, groups: list[Group]) -> int | None:
        names = [name for group in groups for name in self._keys_of(group)]
        replies = self._database.commands(*(("GET", name) for name in names))
        return max((int(reply) for reply in replies if reply is not None), default=None)

    def _keys_of(self, group: Group) -> list[str]:
        return self._keys.watermark_keys(group.kind, *group.values)
