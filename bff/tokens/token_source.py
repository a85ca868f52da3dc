"""What does a renewal need to know of the token that it renews? One `TokenSource` for each kind.

`renewal` calls it under the session's lock: `request` asks the provider, `to_write` selects what of
the response is stored.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from bff.core import audit
from bff.core.errors import BFFError, IDTokenInvalid, ProviderRejected
from bff.core.model import IssuedTokens, RouteToken, Session, Tokens
from bff.tokens.pending_writes import TokenWrite


class TokenSource(ABC):
    """One kind of access token of a session, and how the provider is asked for it."""

    name = ""
    """The name of the route's token rule; empty for the session's own access token."""
    renewed: ClassVar[audit.Event] = "token_refreshed"
    failed: ClassVar[audit.Event] = "token_refresh_failed"

    @abstractmethod
    def current(self, tokens: Tokens) -> Tokens | RouteToken | None:
        """The token as the session has it now, valid or expired; None without one."""

    @abstractmethod
    def available(self, tokens: Tokens) -> bool:
        """Whether *tokens* include what the request for a new one needs."""

    @abstractmethod
    def unavailable(self, session: Session) -> BFFError:
        """The error for a token that is needed and can't be requested."""

    def prepare(self, session: Session) -> None:  # noqa: B027 - Most need nothing.
        """Called before the lock is taken; raises as `TokenRenewal.access_token`."""

    @abstractmethod
    def request(self, session: Session) -> IssuedTokens:
        """Ask the provider, one attempt; raises ProviderError or IDTokenInvalid."""

    @abstractmethod
    def on_refusal(
        self, session: Session, error: ProviderRejected | IDTokenInvalid
    ) -> Tokens | BFFError:
        """The result of a refusal: newer tokens of the session, or the error for all requests.

        Raises:
            SessionEnded: The refusal has ended the session.
        """

    @abstractmethod
    def to_write(self, session: Session, attempt: str, issued: IssuedTokens) -> TokenWrite | None:
        """What of the response is written to the session; None for nothing."""

    def rejection_reason(self, issued: IssuedTokens) -> str | None:
        """Why the access token in the response must not be used; None if it may."""
        return None

    def reject(self, session: Session, issued: IssuedTokens) -> None:  # noqa: B027
        """Deny or revoke an access token that must not be used."""
