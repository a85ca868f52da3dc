"""What happens when a user signs out?

1. A program's `fetch`, our own form or a link asks for it. A link that another site could have
   planted gets a page with our form first.
2. The session ends: from then on its cookie is refused at every replica, its access tokens are on
   the deny-list and its refresh token is revoked at the provider, or queued for that.
3. The browser's cookie is deleted.
4. The browser goes to the provider's logout, which ends the provider's own session, and returns
   from there to `/auth/logged-out`, which redirects to `returnTo`.

Source: OpenID Connect RP-Initiated Logout 1.0; docs/logout.md.
"""

from __future__ import annotations

import hmac
import secrets

import msgspec
from flask import Blueprint, Response, jsonify, make_response, redirect, request

from bff.access import session_cookie
from bff.access.session_guard import SessionGuard
from bff.config import Config
from bff.core.errors import NotSignedOut, SealInvalid, StoreUnavailable
from bff.core.model import Session
from bff.core.sealing import Sealer
from bff.provider.oidc import Provider
from bff.sessions.lifecycle import Sessions
from bff.web.pages import render_logout_confirm, wants_page
from bff.web.return_to import checked_return_to

STATE_CONTEXT = "logout state"
CONFIRM_SECONDS = 600


def create_blueprint(
    config: Config, guard: SessionGuard, sessions: Sessions, provider: Provider, sealer: Sealer
) -> Blueprint:
    """Map the addresses of a logout to a `LogoutFlow`."""
    blueprint = Blueprint("logout", __name__)
    flow = LogoutFlow(config, guard, sessions, provider, sealer)
    blueprint.add_url_rule("/auth/logout", view_func=flow.by_post, methods=["POST"])
    blueprint.add_url_rule("/auth/logout", view_func=flow.by_link)
    blueprint.add_url_rule("/auth/logged-out", view_func=flow.logged_out)
    return blueprint


class LogoutFlow:
    """Ends the browser's session here and sends the browser to the provider's logout.

    Args:
        config: The settings.
        guard: Refuses requests of other sites.
        sessions: Ends the session.
        provider: Has the address of its own logout.
        sealer: Seals `returnTo` into the `state` that the provider sends back.
    """

    def __init__(
        self,
        config: Config,
        guard: SessionGuard,
        sessions: Sessions,
        provider: Provider,
        sealer: Sealer,
    ) -> None:
        self._config = config
        self._guard = guard
        self._sessions = sessions
        self._provider = provider
        self._sealer = sealer
        self._confirmation = Confirmation(config, sealer)

    def by_post(self) -> Response:
        """`POST /auth/logout`: our form gets a redirect, a `fetch` gets the address as JSON."""
        form_token = request.form.get("form_token")
        self._guard.refuse_cross_site(form_is_ours=self._confirmation.is_ours(form_token))
        logout_url = self._sign_out()
        if form_token is not None or wants_page(request):
            return _finished(redirect(logout_url, 303))
        return _finished(jsonify(logout_url=logout_url))

    def by_link(self) -> Response:
        """`GET /auth/logout`: sign out, or ask first if another site could have sent the user."""
        if not _is_deliberate():
            return self._confirmation.ask()
        return _finished(redirect(self._sign_out(), 303))

    def logged_out(self) -> Response:
        """`GET /auth/logged-out`: back from the provider, redirect to the sealed `returnTo`."""
        return _no_store(redirect(self._return_to(request.args.get("state", "")), 303))

    def _sign_out(self) -> str:
        """End the browser's session and delete its cookie.

        Returns:
            The address of the provider's logout; `returnTo` if the provider has none.
        """
        return_to = checked_return_to(request.args.get("returnTo"), self._config)
        browser = session_cookie.current()
        session = self._end(browser.session_key) if browser.session_key is not None else None
        browser.clear_cookie()
        state = self._sealer.seal_text(msgspec.json.encode(return_to), STATE_CONTEXT)
        logout_url = self._provider.logout_url(
            sid=session.identity.sid if session else None,
            id_token=session.tokens.id_token if session else None,
            state=state,
        )
        return logout_url or return_to

    def _end(self, session_key: str) -> Session | None:
        """End the session; returns what it was, or None if it was over or can't be read.

        Raises:
            NotSignedOut: Redis is away. Claiming a logout then would be a lie.
        """
        try:
            found = self._sessions.load(session_key, slide=False)
        except SealInvalid:
            found = None
        except StoreUnavailable as error:
            raise NotSignedOut(error.detail) from error
        try:
            self._sessions.end(session_key, "logout")
        except StoreUnavailable as error:
            raise NotSignedOut(error.detail) from error
        return found[0] if found else None

    def _return_to(self, state: str) -> str:
        """The `returnTo` that was sealed into *state*; `/` if it was not sealed by us."""
        try:
            return str(msgspec.json.decode(self._sealer.open_text(state, STATE_CONTEXT)))
        except SealInvalid:
            return "/"


class Confirmation:
    """The page that asks before a logout, and the check that its form was posted.

    A random value in a cookie and its keyed hash in the form (signed double-submit cookie): another
    site can neither read the form nor set a `__Host-` cookie. Only browsers without Fetch Metadata
    need it.
    """

    def __init__(self, config: Config, sealer: Sealer) -> None:
        self._name = "__Host-logout-form" if config.https else "logout-form"
        self._secure = config.https
        self._sealer = sealer

    def ask(self) -> Response:
        """The page, with a new form token."""
        value = secrets.token_urlsafe(16)
        response = render_logout_confirm(self._sealer.keyed_hash("logout form", value))
        response.set_cookie(
            self._name,
            value,
            max_age=CONFIRM_SECONDS,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )
        return _no_store(response)

    def is_ours(self, form_token: str | None) -> bool:
        """Whether *form_token* belongs to the cookie of this request."""
        value = request.cookies.get(self._name)
        if not form_token or not value:
            return False
        return any(
            hmac.compare_digest(form_token.encode(), expected.encode())
            for expected in self._sealer.keyed_hashes("logout form", value)
        )


def _is_deliberate() -> bool:
    """Whether a GET is a navigation within this application, or a typed address."""
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
        and headers.get("Sec-Fetch-Site") in ("same-origin", "none")
        and not {"Sec-Purpose", "Purpose", "X-Moz"} & set(headers.keys())
    )


def _finished(response: Response | object) -> Response:
    finished = _no_store(response)
    # ASVS 14.3.1. Not "cookies": that would delete other applications' cookies on this domain too.
    finished.headers["Clear-Site-Data"] = '"storage"'
    return finished


def _no_store(response: Response | object) -> Response:
    made = make_response(response)
    made.headers["Cache-Control"] = "no-store"
    return made
