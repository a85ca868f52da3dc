"""Which requests may use the session cookie? None of another site, and none without a session.

The cross-site check comes before the session is loaded. It uses Fetch Metadata, which a page can't
forge, and otherwise a header that only same-origin scripts can send. `SameSite=Strict` alone would
admit sibling subdomains. Source: RFC 10017, 6.1.3.3; docs/architecture/request.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from flask import Request, has_request_context, request

from bff.access import session_cookie, step_up
from bff.access.cookie_header import refuse_unreadable
from bff.access.device_binding import DeviceBinding
from bff.access.session_data import SessionData
from bff.config import Config
from bff.config.route import StepUp
from bff.core import audit
from bff.core.errors import (
    BFFError,
    CrossSite,
    SealInvalid,
    SealKeyUnknown,
    SessionChanged,
    SessionEnded,
    SessionMissing,
)
from bff.core.model import Session
from bff.sessions.lifecycle import Sessions

log = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MEANT_FOR = "HTTP_X_BFF_SESSION"
"""The public id of the session that a page shows; `/auth/client.js` sends it with every write.

A tab that still shows one user must not write as another who has signed in in a second tab.
"""


class SessionGuard:
    """Refuses requests that must not use the cookie, and loads the session of all others.

    Args:
        config: Our origin, and what a request must show.
        interface: Reads the cookie, and loads its session.
        sessions: Knows the public ids.
        binding: Which requests come from the browser that a session is bound to; None for any.
    """

    def __init__(
        self,
        config: Config,
        interface: session_cookie.SessionCookieInterface,
        sessions: Sessions,
        binding: DeviceBinding | None = None,
    ) -> None:
        self._origin = config.app_base_url
        self._require_header = config.require_csrf_header
        self._typed_may_pass = not config.refuse_typed_addresses
        self._writes_need_header = config.require_csrf_on_writes
        self._interface = interface
        self._sessions = sessions
        self._skew_seconds = config.clock_skew_seconds
        self._binding = binding
        interface.read_with = self._read_data

    def refuse_cross_site(
        self, *, form_is_ours: bool = False, may_lack_header: bool = False
    ) -> None:
        """Refuse a request unless it provably comes from our own site.

        Args:
            form_is_ours: The request has a valid form token, which replaces the header.
            may_lack_header: `writes_need_header` doesn't concern it.

        Raises:
            CrossSite: It is refused; the session is not loaded.
        """
        asked = _current_request()
        reason = cross_site_reason(
            asked.environ,
            asked.method,
            self._origin,
            form_is_ours=form_is_ours,
            typed_may_pass=self._typed_may_pass,
            writes_need_header=not may_lack_header and self._need_header(asked.environ),
        )
        if reason is not None:
            audit.record("request_refused", "refused", reason=f"cross_site: {reason}")
            raise CrossSite(reason)

    def writes_need_header(self) -> bool:
        """Whether this request, if it is a write, must show `X-CSRF` or our form's token.

        A service worker turns a form's post into a request of the mode `same-origin`, in Firefox
        with our `Origin`, whoever posted the form. A plain `fetch` has the mode `cors`.
        """
        return self._need_header(request.environ)

    def _need_header(self, environ: Mapping[str, Any]) -> bool:
        return self._writes_need_header or environ.get("HTTP_SEC_FETCH_MODE") == "same-origin"

    def session(self, *, slide: bool = True) -> Session:
        """The session that this request may use: one round trip.

        Args:
            slide: The request counts as activity of the user. One with `Sec-Fetch-Site: none` never
                does: another site may have caused it.

        Raises:
            CrossSite: As `refuse_cross_site`.
            SessionMissing: There is no cookie of ours.
            CookiesUnreadable: There may be one, but the server hides it.
            SessionEnded: The cookie's session has ended or can't be opened.
            SessionChanged: The request is meant for another session.
            DeviceUnproven, DeviceUnbound, DeviceCheckUnavailable: As `DeviceBinding.check`.
            StoreUnavailable: Redis is away: the request is refused, the session stays.
            SealKeyUnknown: The same, since a key is missing here.
        """
        self.refuse_cross_site()
        environ, browser = _current_request().environ, session_cookie.current()
        browser.report_repeated()
        if browser.session_key is None:
            refuse_unreadable(environ)
            raise SessionMissing
        slide = slide and environ.get("HTTP_SEC_FETCH_SITE") != "none"
        session = self._loaded(browser, slide=slide)
        if session is None:
            raise SessionEnded("the cookie's session has ended")
        if self._binding is not None:
            self._refuse_unproven(self._binding, session, browser)
        meant_for = environ.get(MEANT_FOR)
        if meant_for is not None and meant_for not in self._sessions.public_ids(session):
            audit.record(
                "request_refused", "refused", reason="session_changed", session_key=session.key
            )
            raise SessionChanged("X-BFF-Session names another session than the cookie")
        return session

    def session_to_prove(self) -> Session | None:
        """The session of the cookie, for a request that brings the proof itself; None without one.

        No site is refused, and the request doesn't count as activity of the user.

        Raises:
            StoreUnavailable, SealKeyUnknown: As `session`.
        """
        try:
            return self._loaded(session_cookie.current(), slide=False)
        except SessionEnded:
            return None

    def is_proven(self, session: Session) -> bool:
        """Whether a request that needs no proof comes from the browser that *session* is bound to.

        Args:
            session: That of its cookie, as it is now; an unbound one needs none anywhere.
        """
        return self._binding is None or self._binding.proves(session, _current_request().environ)

    def _loaded(self, browser: session_cookie.BrowserSession, *, slide: bool) -> Session | None:
        try:
            return self._interface.load(browser, slide=slide)
        except SealInvalid as error:
            raise _unreadable(error, browser) from error

    def _refuse_unproven(
        self, binding: DeviceBinding, session: Session, browser: session_cookie.BrowserSession
    ) -> None:
        try:
            binding.check(session, _current_request().environ)
        except BFFError:
            browser.release()
            raise

    def api_session(self, demand: StepUp | None = None) -> Session:
        """As `session`, for the proxy, which may also demand the header or a step-up.

        Args:
            demand: How strong and how recent the sign-in must be.

        Raises:
            StepUpRequired: The sign-in doesn't meet *demand*; the session stays.

        Source: RFC 10017, 6.1.3.3.2; RFC 9470.
        """
        if self._require_header and request.environ.get("HTTP_X_CSRF") != "1":
            audit.record("request_refused", "refused", reason="cross_site: header missing")
            raise CrossSite("BFF_REQUIRE_CSRF_HEADER is set and the header is missing")
        session = self.session()
        if demand is not None:
            step_up.check(demand, session.identity, session.read_at, self._skew_seconds)
        return session

    def session_if_any(self, load: Callable[[], Session]) -> Session | None:
        """As *load*, which is `session` or `api_session`; None if nobody is signed in.

        An ended session counts as none. A request with a cookie has to pass the same checks as
        elsewhere: another site is refused, and an outage of Redis doesn't turn a signed-in user
        into an anonymous one.
        """
        environ, browser = _current_request().environ, session_cookie.current()
        # The response depends on the cookie in any case, so caches must be told (`Vary`).
        browser.accessed = True
        browser.report_repeated()
        # What is meant for a user's session isn't done anonymously.
        may_be_anonymous = MEANT_FOR not in environ
        if browser.session_key is None and may_be_anonymous:
            refuse_unreadable(environ)
            return None
        try:
            return load()
        except SessionEnded:
            if may_be_anonymous:
                return None
            raise

    def _read_data(self, browser: SessionData, writes: bool) -> None:
        """At the first use of `flask.session`: find the session as any endpoint, and its data."""
        assert isinstance(browser, session_cookie.BrowserSession)  # noqa: S101 - For the types.
        if browser.loaded is None and not has_request_context():
            raise RuntimeError("flask.session is used outside of its request")
        found = browser.loaded or (self.session() if writes else self.session_if_any(self.session))
        if found is not None:
            try:
                self._interface.read_data(browser)
            except SealInvalid as error:
                raise _unreadable(error, browser) from error


def _unreadable(error: SealInvalid, browser: session_cookie.BrowserSession) -> BFFError:
    """Report a record that can't be opened; returns the error for the caller."""
    audit.record("seal_invalid", "failed", reason=error.detail, session_key=browser.session_key)
    if isinstance(error, SealKeyUnknown):
        log.error("a session is sealed with a key that AUTH0_SECRET lacks here")
        return error
    return SessionEnded("the record can't be opened")


def _current_request() -> Request:
    # The object behind Flask's proxy, through which each access costs as much as the check.
    return request._get_current_object()  # type: ignore[attr-defined, no-any-return]


def cross_site_reason(
    environ: Mapping[str, Any],
    method: str,
    our_origin: str,
    *,
    form_is_ours: bool = False,
    typed_may_pass: bool = True,
    writes_need_header: bool = False,
) -> str | None:
    """Why this request must be refused; None if it may pass.

    A foreign `Origin` is refused whatever Fetch Metadata says: behind a service worker, Firefox and
    WebKit call another site's request `same-origin`.

    Source: Fetch Metadata Request Headers (W3C), section 2.4; RFC 6454 for `Origin`.
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site not in (None, "same-origin", "none"):
        return f"Sec-Fetch-Site is {site[:20]}"
    if environ.get("HTTP_ORIGIN") not in (None, our_origin):
        return "Origin is not ours"
    if site == "none":
        return _reason_if_typed(method, typed_may_pass)
    has_header = environ.get("HTTP_X_CSRF") == "1" or form_is_ours
    if site is None and not has_header:
        return "neither Sec-Fetch-Site nor X-CSRF"
    if writes_need_header and not has_header and method not in SAFE_METHODS:
        return "X-CSRF missing"
    return None


def _reason_if_typed(method: str, may_pass: bool) -> str | None:
    if method not in SAFE_METHODS:
        return "typed in, but not a safe method"
    return None if may_pass else "typed in"
