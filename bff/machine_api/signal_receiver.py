"""What does a security event of a Shared Signals transmitter do, however it was delivered?

It ends the sessions of the user or session that it names, but only those older than the event,
since a delivery may be late. Any other event, with the verification of the stream, is acknowledged
and ends nothing. Pushed events come by `shared_signals`, polled ones by `signal_polling`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bff.config import Config
from bff.core.signing_keys import FindKeys
from bff.provider.http_transport import Transport
from bff.provider.security_event import Signal, expected_of, validated_signal
from bff.provider.transmitter_keys import TransmitterKeys
from bff.sessions.lifecycle import Sessions
from bff.store.seen_messages import SeenMessages

VERIFICATION_SECONDS = 3600
"""How long `bff signals verify` may look for the verification that it has asked for."""
VERIFICATION = "signal verification"
"""The kind of message as which its `state` is stored."""


class SignalReceiver:
    """Verifies security event tokens and ends the sessions that they name.

    Args:
        issuer: The transmitter.
        find_keys: Finds one of its signing keys; raises ProviderError.
        clock: UTC epoch seconds.
    """

    def __init__(
        self,
        config: Config,
        issuer: str,
        find_keys: FindKeys,
        sessions: Sessions,
        seen_messages: SeenMessages,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._issuer = issuer
        self._find_keys = find_keys
        self._sessions = sessions
        self._seen_messages = seen_messages
        self._clock = clock

    def receive(self, token: str) -> str:
        """Verify the token and end the sessions; returns the result in a few words.

        Raises:
            TokenRefused: The token failed a check; nothing was ended.
            ProviderError: The transmitter's keys can't be loaded.
            StoreUnavailable: Some sessions may not have ended; the same token can be sent again.
        """
        expected = expected_of(self._config, self._issuer, self._clock())
        signal = validated_signal(token, expected, self._find_keys, self._config.issuer)
        if self._seen_messages.contains("security event", signal.issuer, signal.jti):
            # A second delivery is no error (RFC 8935, section 2).
            return "delivered before"
        result = self._act(signal)
        self._seen_messages.add(
            "security event", signal.issuer, signal.jti, until=signal.refused_from
        )
        return result

    def _act(self, signal: Signal) -> str:
        group = signal.group
        if signal.verification_state is not None:
            until = int(self._clock()) + VERIFICATION_SECONDS
            state = signal.verification_state
            self._seen_messages.add(VERIFICATION, signal.issuer, state, until=until)
        if not signal.ends:
            return f"{', '.join(map(_short, signal.ignored))}: passed over"
        names = ", ".join(map(_short, signal.ends))
        if group is None:
            return f"{names}: nobody of ours"
        ended = sum(
            self._sessions.end_group(group, f"shared_signal: {_short(name)}", before_at=happened_at)
            for name, happened_at in signal.ends.items()
        )
        return f"{names}: {ended} ended"


def create_receiver(
    config: Config, issuer: str, sessions: Sessions, seen_messages: SeenMessages
) -> SignalReceiver:
    """The receiver of events of *issuer*; nothing is sent over the network yet."""
    keys = TransmitterKeys(
        issuer,
        config.ssf_jwks_url,
        config.provider_timeout_seconds,
        Transport(config.trusted_cas, config.provider_proxy_url),
    )
    return SignalReceiver(config, issuer, keys.find_keys, sessions, seen_messages)


def _short(event: str) -> str:
    """The last part of an event's URI, cut to a length that suits a log line."""
    return event.rstrip("/").rpartition("/")[2][:40]
