"""How are security events fetched from a transmitter that can't reach us (RFC 8936)?

A background job polls. What a poll brings takes effect first and is acknowledged by the next poll,
so that a crash in between loses nothing: the transmitter delivers it again, and the second delivery
has no effect. The replicas share the work by a lease in Redis, and with it the pause after an
error. Off unless `BFF_SSF_POLL_URL` is set.
"""

from __future__ import annotations

import logging
import secrets
from typing import Any

import msgspec

from bff.config import Config
from bff.core import audit
from bff.core.errors import (
    BFFError,
    ProviderUnavailable,
    TokenRefused,
    TransmitterRefused,
)
from bff.machine_api.messages import BODY_MAX_BYTES
from bff.machine_api.signal_receiver import SignalReceiver, create_receiver
from bff.provider.signal_poll import SignalPoll
from bff.provider.transmitter import Transmitter
from bff.sessions.lifecycle import Sessions
from bff.store.poll_lease import PollLease
from bff.store.seen_messages import SeenMessages

EVENTS_MAX = 25
"""How many events one poll asks for."""
POLLS_MAX = 40
"""How many polls a round has at most; the other jobs of a process don't wait for it."""
MORE_PAUSE_SECONDS = 1.0
"""Until the next round, if the transmitter has more."""
FAILURE_PAUSES_SECONDS = (2, 4, 8, 16, 32, 60)
"""The pauses after failures in a row."""
PAUSE_MAX_SECONDS = 3600
"""No longer pause is kept: events must not wait for a day because of one odd response."""

log = logging.getLogger(__name__)


class Handled(msgspec.Struct):
    """What is to be told of the events of one poll, by `jti`."""

    acknowledged: list[str] = []
    errors: dict[str, dict[str, str]] = {}
    failure: BFFError | None = None
    """What kept the rest from being acted on; they stay with the transmitter."""


class SignalPolling:
    """Fetches events and acts on them, in whichever process has the lease.

    Args:
        receiver: Acts on one event.
        poll: Asks the transmitter.
        lease: Keeps the processes apart.
        timeout_seconds: For one request to the transmitter.
        pause_seconds: Between two rounds of all processes.
    """

    def __init__(
        self,
        receiver: SignalReceiver,
        poll: SignalPoll,
        lease: PollLease,
        *,
        timeout_seconds: float,
        pause_seconds: float,
    ) -> None:
        self._receiver = receiver
        self._poll = poll
        self._lease = lease
        # A request, the keys that an event may need, and the work in Redis.
        self._lease_seconds = 2 * timeout_seconds + 5
        self._pause_seconds = pause_seconds

    def run(self) -> None:
        """Poll until there is nothing new, unless another process does, or during a pause.

        Raises:
            ProviderError: The transmitter can't be used; the pause is set.
            BFFError: An event can't take effect now, as when Redis is away; the transmitter keeps
                what is not acknowledged.
        """
        owner = secrets.token_hex(16)
        failures = self._lease.begin(owner, self._lease_seconds)
        if failures is None:
            return
        try:
            # Perhaps the last response was too large.
            more = self._round(owner, 1 if failures else EVENTS_MAX)
        except BFFError as error:
            audit.record("event_received", "failed", reason=f"shared_signal: poll: {error.code}")
            self._lease.end(owner, pause_after(failures, error), failed=True)
            raise
        finally:
            self._poll.close()
        self._lease.end(owner, MORE_PAUSE_SECONDS if more else self._pause_seconds, failed=False)

    def _round(self, owner: str, events_max: int) -> bool:
        """Poll again and again; returns whether the transmitter has more."""
        seen: set[str] = set()
        handled = Handled()
        for _ in range(POLLS_MAX):
            if not self._lease.renew(owner, self._lease_seconds):
                return False  # What is not acknowledged is delivered again.
            reply = self._poll.ask(handled.acknowledged, handled.errors, events_max)
            new = {jti: token for jti, token in reply.events.items() if jti not in seen}
            if not new:
                # Those that come again in spite of the acknowledgement wait for the next round.
                return reply.more_available and not reply.events
            seen.update(new)
            handled = self._handle(owner, new)
            if handled.failure is not None:
                break
        if handled.acknowledged or handled.errors:
            self._poll.ask(handled.acknowledged, handled.errors, 0)
        if handled.failure is not None:
            raise handled.failure
        return True

    def _handle(self, owner: str, events: dict[str, Any]) -> Handled:
        handled = Handled()
        for jti, token in events.items():
            try:
                if not self._lease.renew(owner, self._lease_seconds):
                    break
                result = self._receiver.receive(_checked(token))
            except TokenRefused as error:
                why = error.detail or error.code
                audit.record("event_received", "refused", reason=f"shared_signal: {why}")
                handled.errors[jti] = {"err": error.problem, "description": why}
            except BFFError as error:
                handled.failure = error
                break
            except Exception:
                # A bug, which must not keep the other events from taking effect.
                log.exception("a polled security event could not be acted on")
                audit.record("event_received", "failed", reason="shared_signal: unexpected_error")
            else:
                audit.record("event_received", "ok", reason=f"shared_signal: {result}")
                handled.acknowledged.append(jti)
        return handled


def create_polling(
    config: Config, sessions: Sessions, seen_messages: SeenMessages, lease: PollLease
) -> SignalPolling | None:
    """The job, or None where nothing is polled; nothing is sent over the network yet."""
    if config.ssf_poll_url is None or config.ssf_issuer is None:
        return None
    return SignalPolling(
        create_receiver(config, config.ssf_issuer, sessions, seen_messages),
        SignalPoll(Transmitter(config), config.ssf_poll_url),
        lease,
        timeout_seconds=config.provider_timeout_seconds,
        pause_seconds=config.ssf_poll_seconds,
    )


def pause_after(failures: int, error: BFFError) -> float:
    """How many seconds no process polls, after so many *failures* before this *error*."""
    asked = 0
    if isinstance(error, ProviderUnavailable | TransmitterRefused):
        asked = min(error.asked_seconds, PAUSE_MAX_SECONDS)
    return max(asked, FAILURE_PAUSES_SECONDS[min(failures, len(FAILURE_PAUSES_SECONDS) - 1)])


def _checked(token: object) -> str:
    if not isinstance(token, str):
        raise TokenRefused("invalid_request", "the event is no text")
    if not token.isascii() or len(token) > BODY_MAX_BYTES:
        raise TokenRefused("invalid_request", "the event is no token, or too large")
    return token.strip()
