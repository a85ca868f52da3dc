"""What may be wanted of a session's tokens? Each kind of token is an errand, run by `turns`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from bff.core import audit
from bff.core.errors import BFFError, IDTokenInvalid, ProviderRejected
from bff.core.model import IssuedTokens, RouteToken, Session, Tokens
from bff.tokens.pending_writes import TokenWrite


class TokenSource(ABC):
    """What somebody wants of a session's tokens, and how the provider is asked for it."""

    name = ""
    """The rule of the route that wants it; empty for the session's own access token."""
    done: ClassVar[audit.Event] = "token_refreshed"
    failed: ClassVar[audit.Event] = "token_refresh_failed"

    @abstractmethod
    def token(self, tokens: Tokens) -> Tokens | RouteToken | None:
        """What is wanted, as far as the session has it."""

    @abstractmethod
    def can_be_had(self, tokens: Tokens) -> bool:
        """Whether the session holds something that it could be had for."""

    @abstractmethod
    def impossible(self, session: Session) -> BFFError:
        """What it comes to if it is needed and can't be had."""

    def prepare(self, session: Session) -> None:  # noqa: B027 - Most need nothing.
        """Do what must be done before anybody's turn; raises as `Turns.access_token`."""

    @abstractmethod
    def ask(self, session: Session) -> IssuedTokens:
        """Ask the provider, one attempt; raises ProviderError or IDTokenInvalid."""

    @abstractmethod
    def refused(
        self, session: Session, error: ProviderRejected | IDTokenInvalid
    ) -> Tokens | BFFError:
        """What a refusal comes to: newer tokens, or the error to tell everybody.

        Raises:
            SessionEnded: It ended by it.
        """

    @abstractmethod
    def held(self, session: Session, attempt: str, answer: IssuedTokens) -> TokenWrite | None:
        """What is to be written of the answer; None for nothing."""

    def objection(self, answer: IssuedTokens) -> str | None:
        """Why the answer's access token must not be used; None if it may."""
        return None

    def throw_away(self, session: Session, answer: IssuedTokens) -> None:  # noqa: B027
        """See to it that an access token which was objected to is worth nothing."""
