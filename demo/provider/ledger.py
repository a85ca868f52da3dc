"""Which tokens exist, and which may still be used: rotation, reuse detection, revocation.

All methods take the provider's lock. A token request holds it from the lookup of the old token to
the record of the new ones, since Authlib's grants check first and act later.
"""

import secrets
from collections.abc import Callable, Iterator
from threading import RLock
from typing import Any

from demo.provider.counts import Counts
from demo.provider.records import Client, IssuedToken
from demo.provider.settings import ProviderSettings


class TokenLedger:
    """Every token ever issued, by value, in the order of issue."""

    def __init__(
        self, settings: ProviderSettings, lock: RLock, now: Callable[[], float], counts: Counts
    ) -> None:
        self._settings = settings
        self._lock = lock
        self._now = now
        self._counts = counts
        self._tokens: dict[str, IssuedToken] = {}
        self._assertions_seen: set[tuple[str, str]] = set()

    def record(self, token: IssuedToken) -> None:
        """Record a token before it is sent."""
        with self._lock:
            self._tokens[token.value] = token

    def find(self, value: str, *kinds: str) -> IssuedToken | None:
        """The token with this value if it is of one of the kinds, in any state."""
        with self._lock:
            token = self._tokens.get(value)
            return token if token and token.kind in kinds else None

    def usable(self, value: str, *kinds: str) -> IssuedToken | None:
        """The token with this value if it is of one of the kinds and active."""
        token = self.find(value, *kinds)
        return token if token and token.state(self._now()) == "active" else None

    def spend_code(self, value: str, client: Client) -> IssuedToken | None:
        """Return the code if it can be exchanged now; a replay revokes its tokens.

        Source: RFC 6749, section 4.1.2.
        """
        with self._lock:
            code = self.find(value, "code")
            if code is None or not code.check_client(client):
                return None
            if code.status == "used":
                self._counts.add("token.code_replayed")
                self.revoke_family(code.sign_in.family_id)
            return code if code.state(self._now()) == "active" else None

    def spend_refresh_token(self, value: str, client: Client) -> IssuedToken | None:
        """Return the refresh token if it can be exchanged now; a reuse revokes its family.

        A rotated token is accepted during the overlap, but only the immediately previous one: once
        its successor has been exchanged, too, it is a reuse at any time.

        Source: Auth0, "Refresh Token Rotation" and "Configure Refresh Token Rotation".
        """
        with self._lock:
            token = self.find(value, "refresh_token")
            if token is None or not token.check_client(client):
                return None
            if token.expires_at <= self._now() or token.status == "revoked":
                return None
            if token.status == "rotated" and not self._in_overlap(token):
                self._counts.add("token.reuse_detected")
                self.revoke_family(token.sign_in.family_id)
                return None
            return token

    def _in_overlap(self, token: IssuedToken) -> bool:
        if token.rotated_at is None or token.superseded:
            return False
        return self._now() - token.rotated_at < self._settings.overlap_seconds

    def mark_rotated(self, token: IssuedToken) -> None:
        """The token was exchanged; its overlap starts with the first exchange."""
        with self._lock:
            if token.status == "rotated":
                self._counts.add("token.overlap_reuse")
                return
            token.status = "rotated"
            token.rotated_at = self._now()
            if token.parent is not None:
                token.parent.superseded = True

    def mark_used(self, code: IssuedToken) -> None:
        """The code was exchanged."""
        with self._lock:
            code.status = "used"

    def revoke(self, token: IssuedToken) -> bool:
        """Revoke a refresh token and those that the settings say; access tokens stay valid.

        Returns:
            Whether a refresh token that could still be used was revoked.
        """
        with self._lock:
            revoked = [t for t in self._reached_from(token) if t.status in ("active", "rotated")]
            for reached in revoked:
                reached.status = "revoked"
            return any(t.expires_at > self._now() for t in revoked)

    def _reached_from(self, token: IssuedToken) -> Iterator[IssuedToken]:
        if self._settings.revocation_deletes_grant:
            yield from self._refresh_tokens(_grant_of(token), _grant_of)
        elif self._settings.revocation_reaches == "family":
            yield from self._refresh_tokens(token.sign_in.family_id, _family_of)
        elif self._settings.revocation_reaches == "session":
            yield from self._refresh_tokens(_session_of(token), _session_of)
        else:
            yield from _with_ancestors(token)

    def revoke_family(self, family_id: str) -> None:
        """Revoke every refresh token of one sign-in."""
        with self._lock:
            for token in self._refresh_tokens(family_id, _family_of):
                token.status = "revoked"

    def _refresh_tokens(
        self, wanted: object, key: Callable[[IssuedToken], object]
    ) -> Iterator[IssuedToken]:
        for token in self._tokens.values():
            if token.kind == "refresh_token" and key(token) == wanted:
                yield token

    def first_use_of_assertion(self, client_id: str, jti: str) -> bool:
        """Whether this client assertion wasn't used before (RFC 7523, section 3)."""
        with self._lock:
            seen = (client_id, jti) in self._assertions_seen
            self._assertions_seen.add((client_id, jti))
            return not seen

    def listing(self) -> list[dict[str, Any]]:
        """Every token ever issued, for the control endpoint."""
        with self._lock:
            return [_as_json(token, self._now()) for token in self._tokens.values()]


def new_token_value() -> str:
    """Return an opaque value with 256 random bits."""
    return secrets.token_urlsafe(32)


def _family_of(token: IssuedToken) -> str:
    return token.sign_in.family_id


def _session_of(token: IssuedToken) -> tuple[str, str]:
    return token.sign_in.sid, token.sign_in.client.client_id


def _grant_of(token: IssuedToken) -> tuple[str, str, str | None]:
    return token.sign_in.user.sub, token.sign_in.client.client_id, token.sign_in.audience


def _with_ancestors(token: IssuedToken) -> Iterator[IssuedToken]:
    # An ancestor could be exchanged during the overlap for a successor of the revoked token.
    current: IssuedToken | None = token
    while current is not None:
        yield current
        current = current.parent


def _as_json(token: IssuedToken, now: float) -> dict[str, Any]:
    return {
        "kind": token.kind,
        "value": token.value,
        "sub": token.sign_in.user.sub,
        "client_id": token.sign_in.client.client_id,
        "audience": token.sign_in.audience,
        "family_id": token.sign_in.family_id,
        "sid": token.sign_in.sid,
        "scope": token.scope,
        "issued_at": token.issued_at,
        "expires_at": token.expires_at,
        "rotated_at": token.rotated_at,
        "parent": token.parent.value if token.parent else None,
        "state": token.state(now),
    }
