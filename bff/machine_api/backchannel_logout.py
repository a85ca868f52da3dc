"""How does the provider tell us that a session is over? `/auth/backchannel-logout`.

A `sid` names one session at the provider, and ends what hangs on it here; a `sub` alone ends all of
the user's sessions. Their refresh tokens are revoked too, which goes beyond the specification (2.7
would keep those of `offline_access`): who is signed out is signed out. Source: OpenID Connect
Back-Channel Logout 1.0, sections 2.5 to 2.8.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qsl

from flask import Blueprint, Response

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, RequestRefused, TokenRefused
from bff.core.model import Group, Session
from bff.machine_api.messages import json_response, read_body
from bff.provider.discovery import Discovery
from bff.provider.jws import FindKey
from bff.provider.logout_token import LogoutToken, expected_of, validated_logout_token
from bff.store.seen_messages import SeenMessages

BODY_MAX_BYTES = 64 * 1024
FORM_FIELDS_MAX = 50
REASON = "backchannel_logout"
KEYS_SECONDS = 2.0
"""So long the look-up of a key may take: the provider waits five seconds for the whole (FACTS)."""


class Sessions(Protocol):
    """What is needed of the sessions."""

    def of_group(self, group: Group) -> list[Session]:
        """Its live sessions."""

    def end_group(self, group: Group, reason: str) -> int:
        """End them, and refuse sign-ins from before; how many there were."""


class LogoutReceiver:
    """Does what a logout token says.

    Args:
        find_key: Finds a signing key of the provider; raises ProviderError.
        clock: UTC epoch seconds.
    """

    def __init__(
        self,
        config: Config,
        find_key: FindKey,
        sessions: Sessions,
        seen_messages: SeenMessages,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._find_key = find_key
        self._sessions = sessions
        self._seen_messages = seen_messages
        self._clock = clock

    def receive(self, logout_token: str) -> int:
        """Check the token and end what it names; returns how many sessions that were.

        That there is none counts as success: the user has signed out here already (2.7).

        Raises:
            TokenRefused: It failed a check; nothing was ended.
            ProviderError: The provider's keys can't be had.
            StoreUnavailable: Some sessions may live yet; the same token may come again.
        """
        expected = expected_of(self._config, self._clock())
        token = validated_logout_token(logout_token, expected, self._find_key)
        if self._seen_messages.contains("logout token", token.issuer, token.jti):
            raise TokenRefused("invalid_request", "jti was used before")
        ended = self._sessions.end_group(self._group(token), REASON)
        # Not sooner: a token whose sessions live on must be good for another try.
        self._seen_messages.add("logout token", token.issuer, token.jti, until=token.refused_from)
        return ended

    def _group(self, token: LogoutToken) -> Group:
        """Whose sessions end.

        With both, the `sid` decides and the `sub` must agree (2.6): a token that contradicts the
        ID token of one of these sessions ends nothing.
        """
        if token.sid is None:
            assert token.subject is not None  # noqa: S101 - One of the two is there (2.4).
            return Group.of_user(token.issuer, token.subject)
        group = Group.of_sid(token.issuer, token.sid)
        if token.subject is not None:
            subjects = {session.identity.subject for session in self._sessions.of_group(group)}
            if subjects - {token.subject}:
                raise TokenRefused("invalid_request", "sid and sub belong to different users")
        return group


def create_blueprint(
    config: Config, documents: Discovery, sessions: Sessions, seen_messages: SeenMessages
) -> Blueprint:
    """The route; it takes no cookie, since the token is what authenticates the caller."""
    blueprint = Blueprint("backchannel", __name__)
    receiver = LogoutReceiver(config, documents.key_finder(KEYS_SECONDS), sessions, seen_messages)

    @blueprint.post("/auth/backchannel-logout")
    def backchannel_logout() -> Response:
        ended = receiver.receive(_logout_token())
        audit.record("event_received", "ok", reason=f"{REASON}: {ended} ended", status=200)
        return json_response(200)

    @blueprint.errorhandler(BFFError)
    def refuse(error: BFFError) -> Response:
        """400 with a reason (2.8); 503 for what isn't the token's fault."""
        failed = error.status >= 500
        status, code = (503, "temporarily_unavailable") if failed else (400, "invalid_request")
        outcome: audit.Outcome = "failed" if failed else "refused"
        audit.record("event_received", outcome, reason=f"{REASON}: {_why(error)}", status=status)
        body = {"error": code, "error_description": error.message if failed else _why(error)}
        return json_response(status, body, retry_after_seconds=error.retry_after_seconds)

    return blueprint


def _logout_token() -> str:
    """The one `logout_token` of the form; other values are passed over (2.5)."""
    body = read_body(BODY_MAX_BYTES, "application/x-www-form-urlencoded")
    try:
        form = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX
        )
    except ValueError as error:
        raise RequestRefused("the body is no form") from error
    tokens = [value for name, value in form if name == "logout_token"]
    if len(tokens) != 1 or not tokens[0]:
        raise RequestRefused("there must be one logout_token")
    return tokens[0]


def _why(error: BFFError) -> str:
    """What was wrong. These details are all our own words."""
    return error.detail or error.code
