"""How is it stored in Redis that an access token is revoked, and how is that looked up?

On the deny-list, by hashes of the token; as a watermark over its user or over everyone; and as the
start of Redis's history, since nothing is known about older tokens. One round trip reads all of it.
With a token that is bound to a key comes a proof (RFC 9449), which counts once: the same round trip
notes it. The BFF and every API use this file, so they can't disagree.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bff.core.errors import ProofInvalid, StoreUnavailable
from bff.core.keyed_hashes import KeyedHashes
from bff.resource_server.dpop_proof import LIFETIME_SECONDS, ProofName
from bff.resource_server.token_names import token_names

EVERYONE = "everyone"
USER = "user"


class SendCommands(Protocol):
    """Sends commands to Redis in one round trip; raises StoreUnavailable."""

    def __call__(self, *commands: tuple[str | bytes | float, ...]) -> list[Any]:
        """The replies, in the order of the commands."""


class RevokedTokenKeys:
    """The keys in Redis.

    Args:
        prefix: `BFF_REDIS_PREFIX`; all keys begin with it.
        names: Hashes with the deny-list key.
    """

    def __init__(self, prefix: str, names: KeyedHashes) -> None:
        self._prefix = prefix
        self._names = names

    def deny_ids(self, access_token: str) -> list[str]:
        """The hashes under which a token is added to the deny-list, that of 0.1.0 first."""
        return [self._names.name("deny", name) for name in token_names(access_token)]

    def deny_key(self, deny_id: str) -> str:
        """The key of an entry of the deny-list."""
        return f"{self._prefix}:deny:{deny_id}"

    def deny_keys(self, access_token: str) -> list[str]:
        """Every key that an entry of this token may have."""
        names = token_names(access_token)
        return [self.deny_key(i) for name in names for i in self._names.names("deny", name)]

    def watermark_keys(self, kind: str, *values: str) -> list[str]:
        """Every key that a group's watermark may have, the newest first."""
        names = self._names.names(f"watermark {kind}", *values)
        return [f"{self._prefix}:watermark:{name}" for name in names]

    def history_start_keys(self) -> list[str]:
        """Every key that the history start may have, the newest first; all in one hash slot.

        The deny-list key is in its name, so that an API with a wrong key, which would find no
        revoked token, doesn't find this either and can report it.
        """
        return [f"{self._prefix}:{{born_at}}:{name}" for name in self._names.names("born_at")]

    def proof_keys(self, proof: ProofName) -> list[str]:
        """Every key that notes a used proof, the newest first.

        All are written: while the deny-list key is rotated, others may have but one of them.
        """
        return [f"{self._prefix}:dpop:{name}" for name in self._names.names("dpop", *proof)]


class RevokedTokens:
    """Looks up whether an access token was revoked before it expired.

    Args:
        send: Sends the commands.
        keys: The keys to read.
        begin_history: Writes the history start if there is none, and returns it; None for an API,
            which may only read.
    """

    def __init__(
        self,
        send: SendCommands,
        keys: RevokedTokenKeys,
        begin_history: Callable[[], int] | None = None,
    ) -> None:
        self._send = send
        self._keys = keys
        self._begin_history = begin_history

    def reason(
        self, access_token: str, claims: Mapping[str, Any], proof: ProofName | None = None
    ) -> str | None:
        """Why the token is revoked, as a short word; None if it isn't.

        Args:
            access_token: As it was sent.
            claims: Its verified claims; `iss`, `sub` and `iat` are used.
            proof: A checked proof that came with it; from now on it has been used.

        Raises:
            StoreUnavailable: Redis is away, has no history start, or lets us note no proof.
            ProofInvalid: The token isn't revoked, and the proof was used before.
        """
        deny = self._keys.deny_keys(access_token)
        watermarks = [
            *self._keys.watermark_keys(USER, claims["iss"], claims["sub"]),
            *self._keys.watermark_keys(EVERYONE),
        ]
        history = self._keys.history_start_keys()
        use_id = secrets.token_hex(8) if proof else ""
        noting = _noting(self._keys.proof_keys(proof), use_id) if proof else []
        replies = self._send(
            *(("EXISTS", key) for key in deny),
            *(("GET", key) for key in (*watermarks, *history)),
            *noting,
        )
        after_deny, after_watermarks = len(deny), len(deny) + len(watermarks)
        if any(replies[:after_deny]):
            return "denied"
        watermark_at = max(_instants(replies[after_deny:after_watermarks]), default=0)
        if claims["iat"] < watermark_at:
            return "older_than_watermark"
        after_history = after_watermarks + len(history)
        if claims["iat"] < self._history_start_at(replies[after_watermarks:after_history]):
            return "older_than_store"
        if any(_text(reply) != use_id for reply in replies[after_history + 1 :: 2]):
            raise ProofInvalid("used before")
        return None

    def _history_start_at(self, replies: list[Any]) -> int:
        found = _instants(replies)
        if found:
            return min(found)
        if self._begin_history is not None:
            return self._begin_history()
        raise StoreUnavailable(
            "Redis doesn't say since when it lives: no BFF has started there, or prefix or "
            "deny-list key are not those of the BFF"
        )


def _noting(keys: list[str], use_id: str) -> list[tuple[str | bytes | float, ...]]:
    """Commands of which every second one returns *use_id*, unless there was another use before.

    The id of this use tells it from one before it, also where a client repeats commands whose
    replies were lost.
    """
    commands: list[tuple[str | bytes | float, ...]] = []
    for key in keys:
        commands.append(("SET", key, use_id, "EX", LIFETIME_SECONDS, "NX"))
        commands.append(("GET", key))
    return commands


def _text(reply: bytes | str | None) -> str | None:
    """An API's own client may decode replies."""
    return reply.decode() if isinstance(reply, bytes) else reply


def _instants(replies: list[Any]) -> list[int]:
    return [int(reply) for reply in replies if reply is not None]
