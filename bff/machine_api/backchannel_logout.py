"""How does the provider tell us that a session is over? `/auth/backchannel-logout`.

A `sid` names one session at the provider and ends the sessions here that belong to it. A `sub`
alone ends all sessions of the user. Their refresh tokens are revoked as well; this goes beyond the
specification, which keeps those of `offline_access` (2.7), so that a logout is final. Source:
OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import parse_qsl

from flask import Blueprint, Response

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, RequestRefused, TokenRefused
from bff.core.model import Group
from bff.core.signing_keys import FindKeys
from bff.machine_api.messages import json_response, read_body
from bff.provider.discovery import Discovery
from bff.provider.logout_token import LogoutToken, expected_of, validated_logout_token
from bff.sessions.lifecycle import Sessions
from bff.store.seen_messages import SeenMessages

FORM_FIELDS_MAX = 50
REASON = "backchannel_logout"
KEYS_SECONDS = 2.0
"""Upper bound for one JWKS lookup; the provider allows 5 s for the whole delivery (Auth0 docs:
back-channel logout)."""


class LogoutReceiver:
    """Verifies a logout token and ends the sessions that it names.

    Args:
        find_keys: Finds a signing key of the provider; raises ProviderError.
        clock: UTC epoch seconds.
    """

    def __init__(
        self,
        config: Config,
        find_keys: FindKeys,
        sessions: Sessions,
        seen_messages: SeenMessages,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._find_keys = find_keys
        self._sessions = sessions
        self._seen_messages = seen_messages
        self._clock = clock

    def receive(self, logout_token: str) -> int:
        """Verify the token and end the sessions; returns how many were ended.

        An unknown session is a success: the user has signed out here before (2.7).

        Raises:
            TokenRefused: The token failed a check; nothing was ended.
            ProviderError: The provider's keys can't be loaded.
            StoreUnavailable: Some sessions may not have ended; the same token can be sent again.
        """
        expected = expected_of(self._config, self._clock())
        token = validated_logout_token(logout_token, expected, self._find_keys)
        if self._seen_messages.contains("logout token", token.issuer, token.jti):
            raise TokenRefused("invalid_request", "jti was used before")
        ended = self._sessions.end_group(self._group(token), REASON)
        # After the end: a token whose sessions did not end must be accepted again.
        self._seen_messages.add("logout token", token.issuer, token.jti, until=token.refused_from)
        return ended

    def _group(self, token: LogoutToken) -> Group:
        """The sessions to end.

        If the token has both, the `sid` decides and the `sub` must match (2.6): a token that
        contradicts the ID token of one of these sessions ends nothing.
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
    config: Config, discovery: Discovery, sessions: Sessions, seen_messages: SeenMessages
) -> Blueprint:
    """The route; it reads no cookie, since the token authenticates the caller."""
    blueprint = Blueprint("backchannel", __name__)
    receiver = LogoutReceiver(config, discovery.key_finder(KEYS_SECONDS), sessions, seen_messages)

    @blueprint.post("/auth/backchannel-logout")
    def backchannel_logout() -> Response:
        ended = receiver.receive(_logout_token())
        audit.record("event_received", "ok", reason=f"{REASON}: {ended} ended", status=200)
        return json_response(200)

    blueprint.register_error_handler(BFFError, _refuse)
    return blueprint


def _logout_token() -> str:
    """The one `logout_token` of the form; other parameters are ignored (2.5)."""
    body = read_body("application/x-www-form-urlencoded")
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


def _refuse(error: BFFError) -> Response:
    """400 for a bad token, 503 for anything else that failed.

    Section 2.8 describes the body, that of an OAuth error, so it is not problem+json.
    """
    # The details are all our own words, so the provider may see them.
    failed, why = error.status >= 500, error.detail or error.code
    status, code = (503, "temporarily_unavailable") if failed else (400, "invalid_request")
    outcome: audit.Outcome = "failed" if failed else "refused"
    audit.record("event_received", outcome, reason=f"{REASON}: {why}", status=status)
    body = {"error": code, "error_description": error.message if failed else why}
    return json_response(status, body, retry_after_seconds=error.retry_after_seconds)
