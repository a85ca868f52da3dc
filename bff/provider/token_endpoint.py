"""What do the other packages need of the provider's token endpoints, and what does it need of them?

`Provider` is the `TokenEndpoint`, `RevocationEndpoint` the `TokenRevoker`. They are two, since the
sink that a provider needs revokes tokens itself, so that its revoker has to exist before.
"""

from __future__ import annotations

from typing import Any, Protocol

from bff.config.route import TokenRule
from bff.core.model import Identity, IssuedTokens


class TokenEndpoint(Protocol):
    """Issues access tokens (RFC 6749, 3.2); every method raises `ProviderError`."""

    def refresh(
        self, refresh_token: str, *, subject: str | None = None, rule: TokenRule | None = None
    ) -> IssuedTokens:
        """Spend *refresh_token*, for the session's own access token or for that of *rule*."""

    def userinfo(self, access_token: str, subject: str) -> dict[str, Any]:
        """What the profile shows of the user *subject* now (OpenID Connect Core, 5.3)."""

    def exchange(self, access_token: str, rule: TokenRule) -> IssuedTokens:
        """Exchange a user's access token for one that fits *rule* (RFC 8693)."""

    def client_token(self, rule: TokenRule) -> IssuedTokens:
        """Get an access token by client credentials (RFC 6749, 4.4)."""


class TokenRevoker(Protocol):
    """Revokes refresh tokens (RFC 7009)."""

    def revoke(self, refresh_token: str, *, client_id: str | None = None) -> None:
        """Revoke *refresh_token*, as the client that it was issued to; raises `ProviderError`."""


class RefreshTokenSink(Protocol):
    """Takes refresh tokens of token responses that are rejected, to get them revoked."""

    def discard(
        self, refresh_token: str, client_id: str | None, owner: Identity | None = None
    ) -> None:
        """Get *refresh_token* revoked, as the client that it was issued to; never raises.

        Args:
            refresh_token: As the provider issued it.
            client_id: None is the client that signs users in.
            owner: Whose it is, if that is known.
        """
