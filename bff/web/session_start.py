"""How does a finished sign-in become the one session of its browser?"""

from __future__ import annotations

import contextlib

from flask import Response, after_this_request, request

from bff.access import session_cookie
from bff.access.browser_cookie import BrowserCookie
from bff.access.device_binding import DeviceBinding
from bff.access.user_agent import browser_label
from bff.core.errors import StoreUnavailable
from bff.core.model import LoginTransaction, SignIn
from bff.sessions.lifecycle import Sessions


def browser_id_for_sign_in(sessions: Sessions, browser: BrowserCookie) -> str:
    """The browser's id; a new one if it has none, or if a logout has closed it."""
    try:
        for browser_id in browser.ids(request):
            if not sessions.is_browser_closed(browser_id):
                return browser_id
    except StoreUnavailable:
        pass  # A new id does: the callback finds the browser's session by the others, too.
    return browser.new_id()


def begin_session(
    sessions: Sessions,
    sign_in: SignIn,
    transaction: LoginTransaction,
    browser: BrowserCookie,
    binding: DeviceBinding | None = None,
) -> None:
    """Start the session of a finished sign-in, and give its cookie to the browser.

    With a *binding*, the browser may bind the session to a key of its own.

    Raises:
        SignInTooOld: The sign-in is from before an end of all this user's sessions.
        SignInSuperseded: The browser was signed out meanwhile.
        StoreUnavailable: Redis is away; the tokens will be revoked.
    """
    known_by = browser.ids(request)
    own = transaction.browser_id or browser.new_id()
    browser_ids = [own, *(one for one in known_by if one != own)]
    cookie_id = sessions.start(
        sign_in,
        old_session_key=transaction.old_session_key,
        browser_ids=browser_ids,
        browser=browser_label(request.user_agent.string),
        authenticated_after=transaction.started_at if transaction.max_age == 0 else None,
        known_watermark_at=transaction.watermark_at,
    )
    # The same in every tab: two tabs that know both ids must not delete each other's.
    kept = sessions.browser_id_to_keep(browser_ids)
    if sessions.is_current(cookie_id, browser_ids):
        session_cookie.current().begin(cookie_id, keep_shared=transaction.keep_shared_cookie)
        if binding is not None:
            _offer_binding(binding)

    @after_this_request
    def keep_one_id(response: Response) -> Response:
        if kept is not None:
            # Also if the browser has it: a persistent one must last as long as the new session.
            browser.set(response, kept)
        for browser_id in known_by:
            if browser_id != kept:
                browser.delete(response, browser_id)
        return response


def _offer_binding(binding: DeviceBinding) -> None:
    key = session_cookie.current().session_key
    assert key is not None  # noqa: S101 - The session has just begun.
    # Without Redis's clock the session stays unbound; the sign-in has succeeded all the same.
    with contextlib.suppress(StoreUnavailable):
        registration = binding.registration(key)

        @after_this_request
        def offer(response: Response) -> Response:
            response.headers["Secure-Session-Registration"] = registration
            return response
