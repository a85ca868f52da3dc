"""How does an identity team's other software tell us that a session is over? `/webhooks/ssf`.

A Shared Signals transmitter pushes security event tokens (RFC 8935). `session-revoked` and
`credential-change` end the sessions of whom they name, as far as those are from before the event,
since a delivery may be late; every other event, the verification of the stream too, is
acknowledged and ends nothing. Off unless `BFF_SSF_ISSUER` is set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from flask import Blueprint, Response

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, NotFound, RequestRefused, TokenRefused
from bff.core.model import Group
from bff.machine_api.messages import json_response, read_body
from bff.provider.http_transport import Transport
from bff.provider.jws import FindKey
from bff.provider.security_event import Signal, expected_of, validated_signal
from bff.provider.transmitter_keys import TransmitterKeys
from bff.store.seen_messages import SeenMessages

PATH = "/webhooks/ssf"
BODY_MAX_BYTES = 64 * 1024
MEDIA_TYPE = "application/secevent+jwt"


class EndGroup(Protocol):
    """Ends sessions."""

    def __call__(self, group: Group, reason: str, *, before_at: float) -> int:
        """End a group's sessions from before an instant, and refuse sign-ins from before it."""


class SignalReceiver:
    """Does what security event tokens say.

    Args:
        issuer: The transmitter.
        find_key: Finds one of its signing keys; raises ProviderError.
        clock: UTC epoch seconds.
    """

    def __init__(
        self,
        config: Config,
        issuer: str,
        find_key: FindKey,
        end_group: EndGroup,
        seen_messages: SeenMessages,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._issuer = issuer
        self._find_key = find_key
        self._end_group = end_group
        self._seen_messages = seen_messages
        self._clock = clock

    def receive(self, token: str) -> str:
        """Check the token and end what it names; in a few words, what came of it.

        Raises:
            TokenRefused: It failed a check; nothing was ended.
            ProviderError: The transmitter's keys can't be had.
            StoreUnavailable: Some sessions may live yet; the same token may come again.
        """
        expected = expected_of(self._config, self._issuer, self._clock())
        signal = validated_signal(token, expected, self._find_key, self._config.issuer)
        if self._seen_messages.contains("security event", signal.issuer, signal.jti):
            # A delivery may come twice, and the second is no mistake (RFC 8935, 2).
            return "delivered before"
        ended = self._act(signal)
        self._seen_messages.add(
            "security event", signal.issuer, signal.jti, until=signal.refused_from
        )
        return ended

    def _act(self, signal: Signal) -> str:
        group = signal.group
        if not signal.ends:
            return f"{', '.join(map(_short, signal.passed_over))}: passed over"
        names = ", ".join(map(_short, signal.ends))
        if group is None:
            return f"{names}: nobody of ours"
        ended = sum(
            self._end_group(group, f"shared_signal: {_short(name)}", before_at=happened_at)
            for name, happened_at in signal.ends.items()
        )
        return f"{names}: {ended} ended"


def create_blueprint(config: Config, end_group: EndGroup, seen_messages: SeenMessages) -> Blueprint:
    """The route; it takes no cookie, since the token is what authenticates the caller."""
    blueprint = Blueprint("signals", __name__)
    if config.ssf_issuer is None:
        blueprint.add_url_rule(PATH, "off", _off, methods=["POST"])
        return blueprint
    keys = TransmitterKeys(
        config.ssf_issuer,
        config.ssf_jwks_url,
        config.provider_timeout_seconds,
        Transport(config.trusted_cas, config.provider_proxy_url),
    )
    receiver = SignalReceiver(config, config.ssf_issuer, keys.find_key, end_group, seen_messages)

    @blueprint.post(PATH)
    def receive() -> Response:
        result = receiver.receive(_token())
        audit.record("event_received", "ok", reason=f"shared_signal: {result}", status=202)
        return json_response(202)

    blueprint.register_error_handler(BFFError, _refuse)
    return blueprint


def _off() -> Response:
    raise NotFound


def _token() -> str:
    body = read_body(BODY_MAX_BYTES, MEDIA_TYPE)
    try:
        return body.decode("ascii").strip()
    except ValueError as error:
        raise RequestRefused("the body is no token") from error


def _refuse(error: BFFError) -> Response:
    """400 with `err` and `description` (RFC 8935, 2.3); 503 for what isn't the token's fault."""
    failed = error.status >= 500
    problem = error.problem if isinstance(error, TokenRefused) else "invalid_request"
    outcome: audit.Outcome = "failed" if failed else "refused"
    status, why = 503 if failed else 400, error.detail or error.code
    audit.record("event_received", outcome, reason=f"shared_signal: {why}", status=status)
    if failed:
        body = {"description": error.message}
        return json_response(503, body, retry_after_seconds=error.retry_after_seconds)
    response = json_response(400, {"err": problem, "description": why})
    response.headers["Content-Language"] = "en"
    return response


def _short(event: str) -> str:
    """The last part of an event's URI: enough for a log, and not long."""
    return event.rstrip("/").rpartition("/")[2][:40]
