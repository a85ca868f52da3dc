"""How are clients told that a session ended? OpenID Connect Back-Channel Logout 1.0.

A logout token is sent once, from a thread, as at Auth0, which documents no retry.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any
from uuid import uuid4

import requests

from demo.provider.forgery import changed
from demo.provider.records import Client, SSOSession
from demo.provider.state import ProviderState

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_SECONDS = 120
RESPONSE_TIMEOUT_SECONDS = 5
SENDERS = 4


class BackChannel:
    """Sends logout tokens and records the responses."""

    def __init__(self, state: ProviderState) -> None:
        self._state = state
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="backchannel")
        self._lock = Lock()
        self._deliveries: list[dict[str, Any]] = []

    def sessions_ended(self, sessions: Iterable[SSOSession]) -> list[Future[dict[str, Any]]]:
        """Send logout tokens to every client with a sign-in in these sessions."""
        return [
            self.send(client, session.user.sub, session.sid)
            for session in sessions
            for client in session.clients.values()
            if client.settings.backchannel_logout_uri
        ]

    def send(
        self,
        client: Client,
        sub: str | None,
        sid: str | None,
        typ: str | None = None,
        override: Mapping[str, Any] | None = None,
    ) -> "Future[dict[str, Any]]":
        """Send one logout token; the future's result is the delivery, as in `deliveries`."""
        claims = changed(self._claims(client, sub, sid), override or {})
        token = self._state.keys.sign(claims, typ or self._state.settings.logout_token_typ)
        return self._pool.submit(self._deliver, client, token, claims)

    def _claims(self, client: Client, sub: str | None, sid: str | None) -> dict[str, Any]:
        now = int(self._state.now())
        return {
            "iss": self._state.settings.issuer,
            "aud": client.client_id,
            "iat": now,
            "exp": now + LOGOUT_TOKEN_SECONDS,
            "jti": uuid4().hex,
            "events": {LOGOUT_EVENT: {}},
            "sub": sub,
            "sid": sid,
        }

    def _deliver(self, client: Client, token: str, claims: Mapping[str, Any]) -> dict[str, Any]:
        delivery = {
            "client_id": client.client_id,
            "sub": claims.get("sub"),
            "sid": claims.get("sid"),
            "logout_token": token,
            "status": _post(str(client.settings.backchannel_logout_uri), token),
        }
        self._state.counts.add("backchannel.sent", f"backchannel.{delivery['status']}")
        with self._lock:
            self._deliveries.append(delivery)
        return delivery

    def deliveries(self) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._deliveries)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _post(uri: str, token: str) -> int | str:
    """Return the status, or `unreachable`."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            response = session.post(
                uri,
                data={"logout_token": token},
                timeout=RESPONSE_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException:
            return "unreachable"
        return response.status_code
