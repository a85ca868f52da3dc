"""Since when is a sign-in, or a token, too old to be accepted?

An end of all sessions of a group leaves its instant here. What the provider vouched for before that
instant is refused from then on. A watermark is the next whole second, since `iat` and `auth_time`
have no fractions, and it only ever rises.
"""

from __future__ import annotations

import time

from bff.core.model import Group, Identity, groups_of
from bff.core.sealing import Sealer
from bff.store import scripts
from bff.store.connection import Database

POLL_SECONDS = 0.05


class Watermarks:
    """The instants before which sign-ins and tokens of a group are dead.

    Args:
        lifetime_seconds: Longer than any session at the provider and any access token lives.
    """

    def __init__(self, database: Database, sealer: Sealer, *, lifetime_seconds: int) -> None:
        self._database = database
        self._keys = database.keys.revoked_tokens(sealer.revoked_token_names)
        self._lifetime_seconds = lifetime_seconds

    def rise(self, group: Group, at: float | None = None) -> int:
        """Refuse from now on what is older than the next whole second; returns the watermark.

        Args:
            group: Whose sign-ins and tokens.
            at: Count from this instant instead of now, for an event that is told late. One that
                lies ahead counts as now: another's clock must not shut anybody out.
        """
        name = self._names(group)[0]
        since = "" if at is None else f"{at:.3f}"
        answer = self._database.run_safely(
            scripts.WATERMARK_RISE, [name], self._lifetime_seconds, since
        )
        return int(answer)

    def wait_for(self, watermark_at: int) -> None:
        """Return when Redis's clock has reached *watermark_at*: a second at most."""
        while (left := watermark_at - self._database.now()) > 0:
            time.sleep(max(left, POLL_SECONDS))

    def newest(self, identity: Identity) -> int | None:
        """The latest watermark over any group that *identity* belongs to."""
        return self._newest([*groups_of(identity), Group.everyone()])

    def newest_for_subject(self, issuer: str, subject: str) -> int | None:
        """The latest watermark over a user, as far as an access token tells who that is."""
        return self._newest([Group.of_user(issuer, subject), Group.everyone()])

    def _newest(self, groups: list[Group]) -> int | None:
        names = [name for group in groups for name in self._names(group)]
        answers = self._database.commands(*(("GET", name) for name in names))
        return max((int(answer) for answer in answers if answer is not None), default=None)

    def _names(self, group: Group) -> list[str]:
        return self._keys.watermark_keys(group.kind, *group.values)
