"""Who may call? Another site may not, and without a session nobody.

Cross-site refusal comes before the session is touched. It rests on Fetch Metadata, which a page
can't forge, and falls back to a header that only same-origin script can send. `SameSite=Strict`
alone would let sibling subdomains through. Source: DESIGN, section 3; RFC 10017, 6.1.3.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import request

from bff.access import session_cookie, step_up
from bff.config import Config
from bff.config.route import StepUp
from bff.core import audit
from bff.core.errors import CrossSite, SealInvalid, SessionEnded, SessionMissing
from bff.core.model import Session

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class SessionGuard:
    """Refuses what must not use the cookie, and finds the session of what may."""

    def __init__(self, config: Config, interface: session_cookie.SessionCookieInterface) -> None:
        self._origin = config.app_base_url
        self._require_header = config.require_csrf_header
        self._interface = interface
        self._skew_seconds = config.clock_skew_seconds

    def refuse_cross_site(self, *, form_is_ours: bool = False) -> None:
        """Refuse a request that another site made, or a program that doesn't prove otherwise.

        Args:
            form_is_ours: A form token of ours was checked; it stands in for the header.

        Raises:
            CrossSite: It is refused; the session was not looked at.
        """
        reason = cross_site_reason(
            request.environ, request.method, self._origin, form_is_ours=form_is_ours
        )
        if reason is not None:
            audit.record("request_refused", "refused", reason=f"cross_site: {reason}")
            raise CrossSite(reason)

    def session(self, *, slide: bool = True) -> Session:
        """The session that this request may use: one round trip.

        Raises:
            CrossSite: As above.
            SessionMissing: There is no cookie of ours.
            SessionEnded: The cookie names no live session.
            StoreUnavailable: Redis is away; nobody is let in, nobody is signed out.
        """
        self.refuse_cross_site()
        browser = session_cookie.current()
        if browser.session_key is None:
            raise SessionMissing
        try:
            record = self._interface.load(browser, slide=slide)
        except SealInvalid as error:
            audit.record(
                "seal_invalid", "failed", reason=error.detail, session_key=browser.session_key
            )
            raise SessionEnded("the record can't be opened") from error
        if record is None:
            raise SessionEnded("the cookie names no live session")
        return record

    def api_session(self, demand: StepUp | None = None) -> Session:
        """`session`, for the proxy: where configured, the header is demanded on top.

        Args:
            demand: How strong and how recent the sign-in must be.

        Raises:
            StepUpRequired: It is not; the session stays.

        Source: RFC 10017, 6.1.3.3.2; RFC 9470.
        """
        if self._require_header and request.environ.get("HTTP_X_CSRF") != "1":
            audit.record("request_refused", "refused", reason="cross_site: header missing")
            raise CrossSite("BFF_REQUIRE_CSRF_HEADER is set and the header is missing")
        session = self.session()
        if demand is not None:
            step_up.check(demand, session.identity, session.read_at, self._skew_seconds)
        return session


def cross_site_reason(
    environ: Mapping[str, Any], method: str, our_origin: str, *, form_is_ours: bool = False
) -> str | None:
    """Why this request must be refused; None if it may pass.

    Source: Fetch Metadata Request Headers (W3C), section 2.4; RFC 6454 for `Origin`.
    """
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site == "same-origin":
        return None
    if site == "none":
        return None if method in SAFE_METHODS else "typed in, but not a safe method"
    if site is not None:
        return f"Sec-Fetch-Site is {site[:20]}"
    if environ.get("HTTP_X_CSRF") != "1" and not form_is_ours:
        return "neither Sec-Fetch-Site nor X-CSRF"
    origin = environ.get("HTTP_ORIGIN")
    return None if origin in (None, our_origin) else "Origin is not ours"
