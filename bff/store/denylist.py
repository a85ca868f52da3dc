"""Which access tokens died before their time?

Each under a keyed hash, until the token's own end. The list says nothing about tokens it doesn't
name, and nothing in it can be turned back into a token.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from bff.model import DeadAccessToken, Tokens
from bff.sealing import Sealer
from bff.store.connection import Database


class DenyList:
    """Access tokens that must be refused although they haven't expired.

    Args:
        skew_seconds: How long after its end a token is still listed, for APIs with a slow clock.
    """

    def __init__(self, database: Database, sealer: Sealer, skew_seconds: int) -> None:
        self._database = database
        self._sealer = sealer
        self._skew_seconds = skew_seconds

    def dead(self, tokens: Tokens) -> DeadAccessToken:
        """How the list would name the access token in *tokens*."""
        deny_id = self._sealer.keyed_hash("deny", tokens.access_token)
        return DeadAccessToken(deny_id=deny_id, expires_at=tokens.expires_at)

    def add(self, dead: Iterable[DeadAccessToken]) -> None:
        """Refuse these tokens until they expire."""
        commands: list[tuple[str | bytes | float, ...]] = [
            ("SET", self._key(d.deny_id), "1", "EXAT", math.ceil(d.expires_at) + self._skew_seconds)
            for d in dead
        ]
        if commands:
            self._database.commands(*commands)

    def contains(self, access_token: str) -> bool:
        """Whether *access_token* was listed and hasn't expired."""
        names = self._sealer.keyed_hashes("deny", access_token)
        return any(self._database.commands(*(("EXISTS", self._key(name)) for name in names)))

    def _key(self, deny_id: str) -> str:
        return self._database.key("deny", deny_id)
