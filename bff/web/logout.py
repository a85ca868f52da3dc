"""What happens when a user signs out?

1. A program's `fetch`, our own form or a link asks for it. A link that another site could have
   planted, or without the cookie, gets a page with our form first: its post brings the cookie.
2. The session ends, and so do the other sessions of this browser: from then on its cookie is
   refused at every replica, its access tokens are on the deny-list and its refresh token is revoked
   at the provider, or queued for that. The browser's sign-ins that are under way are refused.
3. The browser's cookie is deleted, if it came: what hasn't been ended isn't cleared.
4. The browser goes to the provider's logout, which ends the provider's own session, and returns
   from there to `/auth/logged-out`, which redirects to `returnTo`.

Source: OpenID Connect RP-Initiated Logout 1.0; docs/logout.md.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from urllib.parse import urlencode

import msgspec
from flask import Blueprint, Response, after_this_request, jsonify, make_response, redirect, request

from bff.access import session_cookie
from bff.access.browser_cookie import BrowserCookie
from bff.access.cookie_header import cookie_values, refuse_unreadable
from bff.access.session_cookie import BrowserSession
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
        self._browser = BrowserCookie(config)

    def by_post(self) -> Response:
        """`POST /auth/logout`: our form gets a redirect, a `fetch` gets the address as JSON.

        Where writes need `X-CSRF`, a form of the application gets our page, whose form has a token.
        """
        # First without the body: what is refused whatever it says, isn't waited for. (Werkzeug
        # refuses an announced length that is too large.)
        _ = request.stream
        self._guard.refuse_cross_site(form_is_ours=True, may_lack_header=True)
        form_token = request.form.get("form_token")
        is_ours = self._confirmation.is_ours(form_token)
        is_page = form_token is not None or wants_page(request)
        asks = is_page and not is_ours and self._guard.writes_need_header()
        self._guard.refuse_cross_site(form_is_ours=is_ours, may_lack_header=asks)
        return_to = checked_return_to(request.args.get("returnTo"), self._config)
        if asks and request.headers.get("X-CSRF") != "1":
            return self._confirmation.ask(return_to)
        return self._sign_out(return_to, is_page=is_page)

    def by_link(self) -> Response:
        """`GET /auth/logout`: sign out, or ask first if another site could have sent the user.

        It asks also without a cookie of ours: browsers send a Strict cookie only where they are
        sure of the site, and the post of our page is such a place.
        """
        refuse_unreadable(request.environ)
        return_to = checked_return_to(request.args.get("returnTo"), self._config)
        if not _is_from_our_page() or not session_cookie.current().session_keys:
            return self._confirmation.ask(return_to)
        return self._sign_out(return_to, is_page=True)

    def logged_out(self) -> Response:
        """`GET /auth/logged-out`: back from the provider, redirect to the sealed `returnTo`."""
        return _no_store(redirect(self._return_to(request.args.get("state", "")), 303))

    def _sign_out(self, return_to: str, *, is_page: bool) -> Response:
        """End the browser's session, delete its cookie, and lead to the provider's logout.

        Raises:
            CookiesUnreadable: There may be a session that can't be seen.
            NotSignedOut: Redis is away.
        """
        refuse_unreadable(request.environ)
        browser = session_cookie.current()
        logout_url = self._logout_url(self._end_all(browser), return_to)
        response = redirect(logout_url, 303) if is_page else jsonify(logout_url=logout_url)
        if browser.session_keys:
            browser.clear_cookie()
            # A page load that a service worker passes on: in WebKit, the header would end the
            # worker before it has the response, and the browser would wait for ever.
            through_worker = is_page and request.headers.get("Sec-Fetch-Dest") == "empty"
            if self._config.clear_site_data and not through_worker:
                # ASVS 14.3.1. Not "cookies": that would delete other applications' cookies on
                # this domain too.
                response.headers["Clear-Site-Data"] = '"storage"'
        return _no_store(response)

    def _logout_url(self, session: Session | None, return_to: str) -> str:
        """The address of the provider's logout; *return_to* if the provider has none."""
        state = self._sealer.seal_text(msgspec.json.encode(return_to), STATE_CONTEXT)
        # A copied cookie ends the session, and must not tell who its user is.
        may_tell = session is not None and self._guard.is_proven(session)
        logout_url = self._provider.logout_url(
            sid=session.identity.sid if session else None,
            id_token=session.tokens.id_token if session and may_tell else None,
            state=state,
        )
        return logout_url or return_to

    def _end_all(self, browser: BrowserSession) -> Session | None:
        """End all sessions of the browser; returns the first one that could be read.

        With two cookies of our name, the deletion hits one only, and not always the one in use.
        """
        browser.report_repeated()
        with self._sessions.ending_together():
            ended = [self._end(key, browser) for key in browser.session_keys]
            self._end_browser(browser.session_keys)
        return next((session for session in ended if session is not None), None)

    def _end(self, session_key: str, browser: BrowserSession) -> Session | None:
        """End the session; returns what it was, or None if it was over or can't be read.

        Over plain http another application on this host may have a cookie of the same name: its
        session isn't ours to end, and its cookie stays.

        Raises:
            NotSignedOut: Redis is away. Claiming a logout then would be a lie.
        """
        try:
            found = self._sessions.load(session_key, slide=False)
        except SealInvalid:
            found = None
        except StoreUnavailable as error:
            raise NotSignedOut(error.detail) from error
        if found is not None:
            browser.recognise(session_key)
        elif browser.may_be_foreign(session_key):
            return None
        try:
            self._sessions.end(session_key, "logout")
        except StoreUnavailable as error:
            raise NotSignedOut(error.detail) from error
        return found[0] if found else None

    def _end_browser(self, ended: Collection[str]) -> None:
        """End the sessions of this browser that are not *ended* yet, and its sign-ins under way.

        Raises:
            NotSignedOut: Redis is away.
        """
        browser_ids = self._browser.ids(request)
        try:
            self._sessions.end_browser(browser_ids, "logout", ended=ended)
        except StoreUnavailable as error:
            raise NotSignedOut(error.detail) from error

        @after_this_request
        def forget_browser(response: Response) -> Response:
            for browser_id in browser_ids:
                self._browser.delete(response, browser_id)
            return response

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

    def ask(self, return_to: str) -> Response:
        """The page, with a new form token; its form leads to *return_to* afterwards."""
        value = secrets.token_urlsafe(16)
        action = f"/auth/logout?{urlencode({'returnTo': return_to})}"
        response = render_logout_confirm(action, self._sealer.keyed_hash("logout form", value))
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
        if not form_token:
            return False
        return any(
            hmac.compare_digest(form_token.encode(), expected.encode())
            for value in cookie_values(request.environ, self._name)
            if value
            for expected in self._sealer.keyed_hashes("logout form", value)
        )


def _is_from_our_page() -> bool:
    """Whether a GET is a navigation within this application.

    `none` is no proof of it: Firefox says so after a click on another site, too, if that site
    redirects with `Referrer-Policy: no-referrer`; and every browser does where the user has typed
    the address of another site that redirects here.
    """
    headers = request.headers
    return (
        request.method == "GET"
        and headers.get("Sec-Fetch-Mode") == "navigate"
        and headers.get("Sec-Fetch-Dest") == "document"
        and headers.get("Sec-Fetch-Site") == "same-origin"
        and not {"Sec-Purpose", "Purpose", "X-Moz"} & set(headers.keys())
    )


def _no_store(response: Response | object) -> Response:
    made = make_response(response)
    made.headers["Cache-Control"] = "no-store"
    return made
