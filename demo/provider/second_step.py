"""How does somebody prove more than a password? A one-time code, asked for by `acr_values`.

The demo's code is the same each time and stands on the page. Source: OpenID Connect Core 1.0,
3.1.2.1 (`acr_values` is a wish, so the user may go on without); RFC 8176 for `amr`.
"""

import secrets
from dataclasses import dataclass

from demo.provider.records import SSOSession

STRONG_ACR = "urn:demo:strong"
STRONG_AMR = ("pwd", "otp", "mfa")
ONE_TIME_CODE = "123456"
TICKET_SECONDS = 600


@dataclass(frozen=True)
class _Ticket:
    session: SSOSession
    ends_at: float


class SecondSteps:
    """Who has passed the first step of a sign-in and is asked for the second."""

    def __init__(self) -> None:
        self._tickets: dict[str, _Ticket] = {}

    def begin(self, session: SSOSession, now: float) -> str:
        """A ticket for the form: it shows that the first step was done for this very request."""
        self._tickets = {t: found for t, found in self._tickets.items() if found.ends_at > now}
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = _Ticket(session, now + TICKET_SECONDS)
        return ticket

    def take(self, ticket: str, session: SSOSession | None, now: float) -> bool:
        """Whether the ticket is one of this session's; it is used up by that."""
        found = self._tickets.pop(ticket, None)
        return found is not None and found.session is session and found.ends_at > now


def is_wanted(acr_values: str, session: SSOSession) -> bool:
    """Whether these `acr_values` take a second step that *session* hasn't done yet."""
    return STRONG_ACR in acr_values.split() and session.acr != STRONG_ACR


def strengthen(session: SSOSession, now: float) -> None:
    """Both steps are done: that is an authentication of its own, of this moment."""
    session.acr, session.amr, session.auth_time = STRONG_ACR, STRONG_AMR, int(now)
