"""Where in Redis does it stand that an access token is dead, and how is that asked?

On the deny-list, under the token's own name; in a watermark over its user or over everybody; and in
the instant since which this Redis remembers anything at all. One round trip asks for all of it. The
BFF and every API ask with this file, so that they can't disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bff.core.errors import StoreUnavailable
from bff.core.keyed_hashes import KeyedHashes

EVERYONE = "everyone"
USER = "user"


class Ask(Protocol):
    """Sends commands to Redis in one round trip; raises StoreUnavailable."""

    def __call__(self, *commands: tuple[str | bytes | float, ...]) -> list[Any]:
        """The answers, in the order of the commands."""


class RevokedTokenKeys:
    """The keys in Redis.

    Args:
        prefix: What all our keys begin with.
        names: Made from the deny-list key.
    """

    def __init__(self, prefix: str, names: KeyedHashes) -> None:
        self._prefix = prefix
        self._names = names

    def deny_id(self, access_token: str) -> str:
        """How the deny-list names a token that is put on it now."""
        return self._names.name("deny", access_token)

    def denied_as(self, deny_id: str) -> str:
        """The key of one name."""
        return f"{self._prefix}:deny:{deny_id}"

    def denied(self, access_token: str) -> list[str]:
        """Every key that may stand for this token."""
        return [self.denied_as(name) for name in self._names.names("deny", access_token)]

    def watermarks(self, kind: str, *values: str) -> list[str]:
        """Every key that a group's watermark may have, the newest first."""
        names = self._names.names(f"watermark {kind}", *values)
        return [f"{self._prefix}:watermark:{name}" for name in names]

    def born_at(self) -> list[str]:
        """Every key that the first instant may have, the newest first; all in one hash slot.

        It is named by the deny-list key too, so that whoever has a wrong key (and would find no
        dead token under it) doesn't find this either, and notices.
        """
        return [f"{self._prefix}:{{born_at}}:{name}" for name in self._names.names("born_at")]


class RevokedTokens:
    """Tells whether a token died before its time.

    Args:
        ask: Reaches Redis.
        keys: What is asked for.
        begin: Writes down since when this Redis lives, and returns it; None for who may not write.
    """

    def __init__(
        self, ask: Ask, keys: RevokedTokenKeys, begin: Callable[[], int] | None = None
    ) -> None:
        self._ask = ask
        self._keys = keys
        self._begin = begin

    def reason(self, access_token: str, claims: Mapping[str, Any]) -> str | None:
        """Why the token is dead, as a short word; None if it isn't.

        Args:
            access_token: As it was sent.
            claims: Its verified claims; `iss`, `sub` and `iat` are used.

        Raises:
            StoreUnavailable: Redis is away, or doesn't know since when it lives.
        """
        denied = self._keys.denied(access_token)
        watermarks = [
            *self._keys.watermarks(USER, claims["iss"], claims["sub"]),
            *self._keys.watermarks(EVERYONE),
        ]
        answers = self._ask(
            *(("EXISTS", key) for key in denied),
            *(("GET", key) for key in (*watermarks, *self._keys.born_at())),
        )
        after_denied, after_watermarks = len(denied), len(denied) + len(watermarks)
        if any(answers[:after_denied]):
            return "denied"
        watermark_at = max(_instants(answers[after_denied:after_watermarks]), default=0)
        if claims["iat"] < watermark_at:
            return "older_than_watermark"
        if claims["iat"] < self._born_at(answers[after_watermarks:]):
            return "older_than_store"
        return None

    def _born_at(self, answers: list[Any]) -> int:
        found = _instants(answers)
        if found:
            return min(found)
        if self._begin is not None:
            return self._begin()
        raise StoreUnavailable(
            "Redis doesn't say since when it lives: no BFF has started there, or prefix or "
            "deny-list key are not those of the BFF"
        )


def _instants(answers: list[Any]) -> list[int]:
    return [int(answer) for answer in answers if answer is not None]
