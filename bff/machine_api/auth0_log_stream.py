"""Which events of an Auth0 tenant's log end sessions? `/webhooks/auth0-logs`.

Auth0 posts its log to a custom webhook: with a fixed `Authorization` value, at least once, and in
no order. So an event ends only sessions that are older than itself, its `log_id` shows whether it
was handled before, and the echo of one of our own revocations ends nothing. The log stream is the
fallback for tenants whose plan lacks back-channel logout. Source: Auth0's docs,
customize/log-streams.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from flask import Blueprint, Response, request

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, RequestRefused
from bff.core.model import Group
from bff.machine_api import authentication
from bff.machine_api.authentication import SharedSecretAuth
from bff.machine_api.messages import (
    json_response,
    not_configured,
    parsed_json,
    read_body,
    text_of,
)
from bff.sessions.lifecycle import Sessions
from bff.store.seen_messages import SeenMessages
from bff.store.sent_revocations import SentRevocations

PATH = "/webhooks/auth0-logs"
BODY_MAX_BYTES = 4 * 1024 * 1024
TEXT_MAX_CHARACTERS = 255
SEEN_SECONDS = 8 * 86_400
"""Auth0 repeats a failed delivery for seven days."""

Effect = Literal["session", "user", "record"]

EFFECTS: dict[str, Effect] = {
    "slo": "session",
    "srrt": "session",
    "ferrt": "session",
    "oidc_backchannel_logout_failed": "session",
    "fslo": "session",
    "scp": "user",
    "sce": "user",
    "sdu": "user",
    "universal_logout_succeeded": "user",
    "flo": "record",
    "scu": "record",
    "scpn": "record",
    "sapi": "record",
    "sertft": "record",
    "fertft": "record",
    "oidc_backchannel_logout_succeeded": "record",
    "sslo": "record",
    "universal_logout_failed": "record",
}
"""What each type of event ends; every other type is ignored."""

OF_ONE_CLIENT = frozenset({"srrt", "ferrt", "oidc_backchannel_logout_failed", "fslo"})
"""They concern one application's tokens; the others a session at the provider, or a user."""
THEFT = "ferrt"
"""A refresh token was used twice. If the event has no session, all sessions of the user end."""
ECHO = "srrt"
"""Our own revocations cause it, too."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the log: the fields that are used here."""

    type: str
    at: float
    """The instant of the event, by the provider's clock."""
    log_id: str
    user_id: str
    session_id: str
    client_id: str


class Unreadable(Exception):
    """An event lacks a field that is needed to act on it."""


def create_blueprint(
    config: Config,
    sessions: Sessions,
    seen_messages: SeenMessages,
    sent_revocations: SentRevocations | None,
) -> Blueprint:
    """The route, or 404 in its place if it isn't configured."""
    blueprint = Blueprint("log_streams", __name__)
    if config.log_stream_key is None or sent_revocations is None:
        blueprint.add_url_rule(PATH, "off", not_configured, methods=["POST"])
        return blueprint
    secret = config.key_reader("log_stream_key")
    authentication.protect(blueprint, SharedSecretAuth(secret, "the key of the log stream"))
    receiver = LogStreamReceiver(config, sessions, seen_messages, sent_revocations)

    @blueprint.post(PATH)
    def receive() -> Response:
        items = _read()
        with sessions.ending_together():
            ended = sum(receiver.receive(item) for item in items)
        return json_response(200, {"received": len(items), "ended": ended})

    return blueprint


def _read() -> list[dict[str, Any]]:
    """The events in the body, of whatever media type; a refusal is audited."""
    try:
        return _items(read_body(request.mimetype, max_bytes=BODY_MAX_BYTES))
    except BFFError as error:
        audit.record("event_received", "refused", reason=error.code, status=error.status)
        raise


def _items(body: bytes) -> list[dict[str, Any]]:
    """The events: in an array, as a single object, or one on each line.

    Raises:
        RequestRefused: A part of the body is none of these; no event was handled.
    """
    try:
        found = parsed_json(body)
    except RequestRefused:
        found = [parsed_json(line) for line in body.splitlines() if line.strip()]
    items = found if isinstance(found, list) else [found]
    if not items or not all(isinstance(item, dict) for item in items):
        raise RequestRefused("neither an array of events, nor an event, nor one on each line")
    return items


class LogStreamReceiver:
    """Ends the sessions that an event concerns."""

    def __init__(
        self,
        config: Config,
        sessions: Sessions,
        seen_messages: SeenMessages,
        sent_revocations: SentRevocations,
    ) -> None:
        self._issuer = config.issuer
        self._client_id = config.client_id
        self._sessions = sessions
        self._seen_messages = seen_messages
        self._sent_revocations = sent_revocations

    def receive(self, item: dict[str, Any]) -> int:
        """Handle one event; returns how many sessions it ended.

        Raises:
            StoreUnavailable: It wasn't handled; the event must be delivered again.
        """
        kind = _data(item).get("type")
        if not isinstance(kind, str) or kind not in EFFECTS:
            return 0
        try:
            event = _parsed(kind, item)
            return self._act(event)
        except Unreadable as error:
            audit.record("event_received", "refused", reason=f"{kind}: {error}")
        except BFFError as error:
            audit.record("event_received", "failed", reason=f"{kind}: {error.code}")
            raise
        return 0

    def _act(self, event: Event) -> int:
        group = self._group(event)
        if group is None:
            return self._done(event, "recorded")
        if event.log_id and self._seen_messages.contains("log", self._issuer, event.log_id):
            return self._done(event, "repeated")
        if event.type == ECHO and self._sent_revocations.is_echo(event.session_id, event.at):
            return self._done(event, "our own revocation")
        ended = self._sessions.end_group(group, f"log_stream: {event.type}", before_at=event.at)
        if event.log_id:
            # After the end: if that fails half-way, the next delivery must do it again.
            until = int(time.time()) + SEEN_SECONDS
            self._seen_messages.add("log", self._issuer, event.log_id, until=until)
        return self._done(event, f"ended {ended}", ended)

    def _group(self, event: Event) -> Group | None:
        """The sessions that the event ends; None if it ends none."""
        effect = EFFECTS[event.type]
        foreign = event.client_id not in ("", self._client_id)
        if effect == "record" or (foreign and event.type in OF_ONE_CLIENT):
            return None
        if effect == "session" and event.session_id:
            return Group.of_sid(self._issuer, event.session_id)
        if effect == "session" and event.type != THEFT:
            return None  # A logout of an unknown session is no reason to end all of them.
        if not event.user_id:
            raise Unreadable("no user_id")
        return Group.of_user(self._issuer, event.user_id)

    def _done(self, event: Event, result: str, ended: int = 0) -> int:
        user = (self._issuer, event.user_id) if event.user_id else None
        audit.record("event_received", "ok", reason=f"{event.type}: {result}", user=user)
        return ended


def _data(item: dict[str, Any]) -> dict[str, Any]:
    """The event itself, with or without an envelope that has the `log_id`."""
    data = item.get("data", item)
    return data if isinstance(data, dict) else {}


def _parsed(kind: str, item: dict[str, Any]) -> Event:
    data = _data(item)
    details = data.get("details")
    details = details if isinstance(details, dict) else {}
    return Event(
        type=kind,
        at=_instant(data.get("date")),
        log_id=_text(item.get("log_id") or data.get("log_id")),
        user_id=_text(data.get("user_id")),
        session_id=_text(details.get("session_id")),
        client_id=_text(data.get("client_id")),
    )


def _text(value: object) -> str:
    """A text of an event; empty if there is none."""
    if value is None or value == "":
        return ""
    try:
        return text_of(value, TEXT_MAX_CHARACTERS)
    except RequestRefused as error:
        raise Unreadable(error.detail) from error


def _instant(value: object) -> float:
    """An ISO 8601 date; UTC if it has no zone."""
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "")
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise Unreadable("no date") from error
