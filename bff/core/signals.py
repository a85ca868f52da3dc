"""Which signals tell an application that a session has begun, got a new token, or ended?

They are sent with the audit line of the event, in the process where it happens, once. A receiver
can't stop what happens: its exception is logged. Nor can one be connected in a way that never
calls it: blinker forgets a receiver that nobody else refers to, and one for another sender.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from blinker import ANY, Signal

log = logging.getLogger(__name__)

Receiver = TypeVar("Receiver", bound=Callable[..., Any])


class SessionSignal(Signal):
    """A signal of a session; its sender is always None.

    Receivers are called with the sender and `issuer`, `subject` (both None if the session's record
    can't be opened) and `reason`, a short word of docs/audit.md.
    """

    def connect(self, receiver: Receiver, sender: Any = ANY, weak: bool = False) -> Receiver:
        """Call *receiver* at each event of this process; blinker's default would be `weak`.

        Raises:
            TypeError: It would never be called: it can't take what is sent, or it names a sender.
        """
        if sender is not ANY or weak:
            raise TypeError("connect a receiver without a sender, and not weakly")
        if inspect.iscoroutinefunction(receiver):
            raise TypeError(f"{receiver!r} is a coroutine function, which nothing would await")
        inspect.signature(receiver).bind(None, issuer="", subject="", reason="")
        return super().connect(receiver, sender, weak)

    def tell(self, user: tuple[str, str] | None, reason: str) -> None:
        """Call all receivers."""
        issuer, subject = user or (None, None)
        for receiver in list(self.receivers_for(None)):
            try:
                receiver(None, issuer=issuer, subject=subject, reason=reason)
            except Exception:
                log.exception("a receiver of the signal %s failed", self.name)

    @property
    def name(self) -> str:
        """As the package exports it."""
        return next((name for name, one in _BY_NAME.items() if one is self), "")


session_started = SessionSignal("A user has signed in, and the session has begun.")
token_refreshed = SessionSignal("The session's own access token was renewed.")
session_ended = SessionSignal("A session has ended, for whatever reason.")

_BY_NAME = {
    "session_started": session_started,
    "token_refreshed": token_refreshed,
    "session_ended": session_ended,
}
BY_EVENT = {
    "sign_in_succeeded": session_started,
    "token_refreshed": token_refreshed,
    "session_ended": session_ended,
}
"""By the event in the audit log."""
