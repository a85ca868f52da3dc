"""How does an identity team's software tell us that a session is over? `/webhooks/ssf`.

A Shared Signals transmitter pushes security event tokens (RFC 8935). `session-revoked`,
`credential-change`, `account-disabled` and `account-purged` end the sessions of the user or session
they name, but only those older than the event, since a delivery may be late. Any other event, with
the verification of the stream, is acknowledged and ends nothing. Off unless `BFF_SSF_ISSUER` is
set.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from flask import Blueprint, Response

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, RequestRefused, TokenRefused
from bff.core.signing_keys import FindKeys
from bff.machine_api.messages import json_response, not_configured, read_body
from bff.provider.http_transport import Transport
from bff.provider.security_event import Signal, expected_of, validated_signal
from bff.provider.transmitter_keys import TransmitterKeys
from bff.sessions.lifecycle import Sessions
from bff.store.seen_messages import SeenMessages

PATH = "/webhooks/ssf"
MEDIA_TYPE = "application/secevent+jwt"


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


def create_blueprint(config: Config, sessions: Sessions, seen_messages: SeenMessages) -> Blueprint:
    """The route, or 404 in its place; it reads no cookie, since the token is the credential."""
    blueprint = Blueprint("signals", __name__)
    if config.ssf_issuer is None:
        blueprint.add_url_rule(PATH, "off", not_configured, methods=["POST"])
        return blueprint
    keys = TransmitterKeys(
        config.ssf_issuer,
        config.ssf_jwks_url,
        config.provider_timeout_seconds,
        Transport(config.trusted_cas, config.provider_proxy_url),
    )
    receiver = SignalReceiver(config, config.ssf_issuer, keys.find_keys, sessions, seen_messages)

    @blueprint.post(PATH)
    def receive() -> Response:
        result = receiver.receive(_token())
        audit.record("event_received", "ok", reason=f"shared_signal: {result}", status=202)
        return json_response(202)

    blueprint.register_error_handler(BFFError, _refuse)
    return blueprint


def _token() -> str:
    body = read_body(MEDIA_TYPE)
    try:
        return body.decode("ascii").strip()
    except ValueError as error:
        raise RequestRefused("the body is no token") from error


def _refuse(error: BFFError) -> Response:
    """400 for a bad token, 503 for anything else that failed.

    RFC 8935, section 2.3, prescribes `err` and `description`, so the body is not problem+json.
    """
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
    """The last part of an event's URI, cut to a length that suits a log line."""
    return event.rstrip("/").rpartition("/")[2][:40]
