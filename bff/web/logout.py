"""What happens when somebody signs out?

The session ends (`Revocation.end`: tombstone, deny-list, revocation), the cookie goes, and the
browser is sent to the provider so that its session ends too. By fetch, by our own form, or by a
link; a link that another site could have planted asks first. Source: DESIGN, section 3; OpenID
Connect RP-Initiated Logout 1.0.
"""

from __future__ import annotations

import hmac
import secrets

import msgspec
from flask import Blueprint, Response, jsonify, make_response, redirect, request

from bff.access import session_cookie
from bff.access.session_guard import SessionGuard
from bff.config import Config
from bff.core.errors import SealInvalid, StoreUnavailable
from bff.core.model import Session
from bff.core.sealing import Sealer
from bff.provider.oidc import Provider
from bff.sessions.lifecycle import Sessions
from bff.web.pages import render_logout_confirm, wants_page
from bff.web.return_to import checked_return_to

STATE_CONTEXT = "logout state"
CONFIRM_SECONDS = 600


class NotSignedOut(StoreUnavailable):
    """Redis is away, so the session could not be ended. Saying otherwise would be a lie."""

    code = "not_signed_out"
    message = "You are not signed out: sessions can't be reached at the moment."
    hint = "Please try to sign out again in a moment, and don't leave this computer before."


def create_blueprint(
    config: Config, guard: SessionGuard, sessions: Sessions, provider: Provider, sealer: Sealer
) -> Blueprint:
    """The routes for signing out and for coming back from the provider."""
    blueprint = Blueprint("logout", __name__)
    confirmation = Confirmation(config, sealer)

    @blueprint.post("/auth/logout")
    def by_post() -> Response:
        form_token = request.form.get("form_token")
        guard.refuse_cross_site(form_is_ours=confirmation.is_ours(form_token))
        logout_url = sign_out()
        if form_token is not None or wants_page(request):
            return _finished(redirect(logout_url, 303))
        return _finished(jsonify(logout_url=logout_url))

    @blueprint.get("/auth/logout")
    def by_link() -> Response:
        if not _is_deliberate():
            return confirmation.ask()
        return _finished(redirect(sign_out(), 303))

    @blueprint.get("/auth/logged-out")
    def logged_out() -> Response:
        return _no_store(redirect(_return_to(request.args.get("state", "")), 303))

    def sign_out() -> str:
        """End this browser's session and say where its browser goes now."""
        return_to = checked_return_to(request.args.get("returnTo"), config)
        browser = session_cookie.current()
        record = _end(browser.key) if browser.key is not None else None
        browser.clear_cookie()
        state = sealer.seal_text(msgspec.json.encode(return_to), STATE_CONTEXT)
        return (
            provider.logout_url(
                sid=record.identity.sid if record else None,
                id_token=record.tokens.id_token if record else None,
                state=state,
            )
            or return_to
        )

    def _end(key: str) -> Session | None:
        """The session as it was, if it could be read; ended in any case."""
        try:
            found = sessions.load(key, slide=False)
        except SealInvalid:
            found = None
        except StoreUnavailable as error:
            raise NotSignedOut(error.detail) from error
        try:
            sessions.end(key, "logout")
        except StoreUnavailable as error:
            raise NotSignedOut(error.detail) from error
        return found[0] if found else None

    def _return_to(state: str) -> str:
        """What was sealed into `state` when the browser left; anything else leads to the start."""
        try:
            return str(msgspec.json.decode(sealer.open_text(state, STATE_CONTEXT)))
        except SealInvalid:
            return "/"

    return blueprint


class Confirmation:
    """The page that asks first, and the proof that its form was posted.

    A random value in a cookie and its keyed hash in the form (a signed double submit): another site
    can neither read the form nor set a `__Host-` cookie. It matters for browsers without Fetch
    Metadata only.
    """

    def __init__(self, config: Config, sealer: Sealer) -> None:
        self._name = "__Host-logout-form" if config.https else "logout-form"
        self._secure = config.https
        self._sealer = sealer

    def ask(self) -> Response:
        """The page, with a fresh form token."""
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
    """Whether a GET is a person's own navigation within this application, or a typed address."""
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
        and headers.get("Sec-Fetch-Site") in ("same-origin", "none")
        and not {"Sec-Purpose", "Purpose", "X-Moz"} & set(headers.keys())
    )


def _finished(response: Response | object) -> Response:
    answer = _no_store(make_response(response))
    # ASVS 14.3.1. Not "cookies": that would take other applications' cookies on this domain too.
    answer.headers["Clear-Site-Data"] = '"storage"'
    return answer


def _no_store(response: Response | object) -> Response:
    answer = make_response(response)
    answer.headers["Cache-Control"] = "no-store"
    return answer
