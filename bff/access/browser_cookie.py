"""Which browser sends this request, signed in or not?

A cookie has a random id that opens nothing. By it a sign-in finds the browser's session, whose own
cookie is `SameSite=Strict` and is not sent with a link of another site, nor from the provider. Tabs
that begin at the same moment each get an id, so a browser may have several until one of these
sign-ins is finished. A logout deletes them.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from flask import Request, Response

from bff.access.cookie_header import all_cookies
from bff.config import Config

_ID_BYTES = 32
_ID = re.compile(r"[A-Za-z0-9_-]{43}")
_NAME_CHARACTERS = 8
IDS_MAX = 32
"""More than the tabs that open at the same moment; the rest of a longer list is ignored."""


class BrowserCookie:
    """Reads and writes the ids of the browser that sends the current request.

    Args:
        config: Whether cookies are `Secure`, and whether they outlive the browser.
    """

    def __init__(self, config: Config) -> None:
        self._secure = config.https
        self._prefix = "__Host-browser-" if config.https else f"browser{config.cookie_suffix}-"
        self._max_age = config.session_absolute_seconds if config.session_persistent else None

    def ids(self, request: Request) -> list[str]:
        """The ids that the browser has, the smallest first."""
        found = {
            value
            for name, value in all_cookies(request.environ).items()
            if name.startswith(self._prefix) and _ID.fullmatch(value) and name == self._name(value)
        }
        return sorted(found)[:IDS_MAX]

    def new_id(self) -> str:
        """An id for a browser that has none: 256 random bits."""
        return secrets.token_urlsafe(_ID_BYTES)

    def set(self, response: Response, browser_id: str) -> None:
        """Give the browser *browser_id*."""
        self._write(response, browser_id, self._max_age)

    def delete(self, response: Response, browser_id: str) -> None:
        """Delete *browser_id*; deletion needs all attributes for `__Host-`."""
        self._write(response, browser_id, 0)

    def _write(self, response: Response, browser_id: str, max_age: int | None) -> None:
        response.set_cookie(
            self._name(browser_id), browser_id if max_age != 0 else "", max_age=max_age,
            expires=0 if max_age == 0 else None, path="/",
            secure=self._secure, httponly=True, samesite="Lax",
        )  # fmt: skip

    def _name(self, browser_id: str) -> str:
        # One name for each id, so that the responses to two tabs don't overwrite each other's.
        return self._prefix + hashlib.sha256(browser_id.encode()).hexdigest()[:_NAME_CHARACTERS]
