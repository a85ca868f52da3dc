"""How does an identity team's software tell us that a session is over? `/webhooks/ssf`.

A Shared Signals transmitter pushes security event tokens (RFC 8935). What each of them does is in
`signal_receiver`; `signal_polling` fetches them where they can't be pushed. Off unless
`BFF_SSF_ISSUER` is set.
"""

from __future__ import annotations

from flask import Blueprint, Response

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, RequestRefused, TokenRefused
from bff.machine_api.messages import json_response, not_configured, read_body
from bff.machine_api.signal_receiver import create_receiver
from bff.sessions.lifecycle import Sessions
from bff.store.seen_messages import SeenMessages

PATH = "/webhooks/ssf"
MEDIA_TYPE = "application/secevent+jwt"


def create_blueprint(config: Config, sessions: Sessions, seen_messages: SeenMessages) -> Blueprint:
    """The route, or 404 in its place; it reads no cookie, since the token is the credential."""
    blueprint = Blueprint("signals", __name__)
    if config.ssf_issuer is None:
        blueprint.add_url_rule(PATH, "off", not_configured, methods=["POST"])
        return blueprint
    receiver = create_receiver(config, config.ssf_issuer, sessions, seen_messages)

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
