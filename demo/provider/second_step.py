"""What is the second step of a sign-in? A one-time code, requested by `acr_values`.

The demo's code is always the same and is shown on the page. Source: OpenID Connect Core 1.0,
3.1.2.1 (`acr_values` is voluntary, so the user may skip the step); RFC 8176 for `amr`.
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
    """The sign-ins that are between the first step and the second."""

    def __init__(self) -> None:
        self._tickets: dict[str, _Ticket] = {}

    def begin(self, session: SSOSession, now: float) -> str:
        """Return a ticket for the form; it proves the first step of this request."""
        self._tickets = {t: found for t, found in self._tickets.items() if found.ends_at > now}
        ticket = secrets.token_urlsafe(24)
        self._tickets[ticket] = _Ticket(session, now + TICKET_SECONDS)
        return ticket

    def take(self, ticket: str, session: SSOSession | None, now: float) -> bool:
        """Whether the ticket belongs to *session* and is valid; it can be used once."""
        found = self._tickets.pop(ticket, None)
        return found is not None and found.session is session and found.ends_at > now


def is_requested(acr_values: str, session: SSOSession) -> bool:
    """Whether these `acr_values` request a second step that *session* hasn't done yet."""
    return STRONG_ACR in acr_values.split() and session.acr != STRONG_ACR


def strengthen(session: SSOSession, now: float) -> None:
    """Record that both steps are done: a new authentication, now."""
    session.acr, session.amr, session.auth_time = STRONG_ACR, STRONG_AMR, int(now)
