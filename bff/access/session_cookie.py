"""What is the session cookie, and what is `flask.session`?

Flask-Session's Redis interface is the mechanism, hardened where it fails (LIBRARIES, section 2):
the store knows only a hash of the id, opening costs no round trip before somebody needs the
session, a write happens only over a record that exists, nothing is unpickled, and a `__Host-`
cookie is deleted with all its attributes. The cookie holds a random id and nothing else; tokens
never travel in `flask.session`, which is for an application's own small data.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any, Literal, cast

import flask
import msgspec
from flask import Flask, Request, Response
from flask_session.base import ServerSideSession, ServerSideSessionInterface
from flask_session.redis import RedisSessionInterface
from werkzeug.http import parse_cookie

from bff.config import Config
from bff.core.model import Session
from bff.sessions.lifecycle import COOKIE_ID_BYTES, Sessions, session_key


def cookie_name(config: Config) -> str:
    """The session cookie's name; `__Host-Http-` is Secure, HttpOnly, host-only and Path=/.

    Source: draft-ietf-httpbis-layered-cookies, "Cookie Name Prefixes"; RFC 10017, 6.1.3.2.
    """
    return "__Host-Http-session" if config.https else "session"


class BrowserSession(ServerSideSession):  # type: ignore[misc]
    """`flask.session`: what this browser's cookie names, loaded when the guard asks for it.

    Attributes:
        session_key: The hash of the cookie's id; None if there is no cookie that could be ours.
        record: The live session; None until it was loaded.
        cookie: What the answer does with the browser's cookie.
    """

    def __init__(self, cookie_id: str | None) -> None:
        super().__init__(sid=cookie_id)
        self.session_key = session_key(cookie_id) if cookie_id else None
        self.record: Session | None = None
        self.cookie: Literal["keep", "set", "clear"] = "keep"

    @property
    def used_key(self) -> str | None:
        """The hash of the session that this request has used; None if it has used none."""
        return self.record.key if self.record else None

    def begin(self, cookie_id: str) -> None:
        """Give the browser a new session."""
        self.sid, self.session_key, self.cookie = cookie_id, session_key(cookie_id), "set"
        self.forget()

    def clear_cookie(self) -> None:
        """Take the cookie from the browser."""
        self.cookie = "clear"
        self.forget()

    def forget(self) -> None:
        """Drop what was loaded, so that nothing of it is written again."""
        self.record = None
        dict.clear(self)
        self.modified = False

    def show(self, record: Session, data: dict[str, Any]) -> None:
        """Become the session that was loaded."""
        self.record, self.accessed = record, True
        dict.update(self, data)


def current() -> BrowserSession:
    """The browser session of the request being served."""
    # The proxy's real object: `flask.session` itself would count as access at every look.
    return cast(BrowserSession, flask.session._get_current_object())  # type: ignore[attr-defined]


class SessionCookieInterface(RedisSessionInterface):  # type: ignore[misc]
    """Flask-Session's interface over our own store."""

    session_class = BrowserSession

    def __init__(self, app: Flask, config: Config, sessions: Sessions) -> None:
        # Not the Redis class's own __init__: that replaces a client it doesn't know (a cluster,
        # say) by one on localhost. The client is the store's.
        ServerSideSessionInterface.__init__(
            self, app, key_prefix="", sid_length=COOKIE_ID_BYTES, serialization_format="json"
        )
        self._name = cookie_name(config)
        self._secure = config.https
        self._max_age = config.session_absolute_seconds if config.session_persistent else None
        self._sessions = sessions

    def open_session(self, app: Flask, request: Request) -> BrowserSession:
        """Look at the cookie only; no round trip, and an id of the client's is never adopted."""
        # `Request.cookies` would read through all fields of the request to find this one.
        return BrowserSession(parse_cookie(request.environ).get(self._name))

    def save_session(self, app: Flask, session: BrowserSession, response: Response) -> None:
        """Set or clear the cookie where a route decided so; write data that was changed."""
        if session.accessed or session.cookie != "keep":
            _vary_with_cookie(response)
        if session.cookie != "keep":
            self._write_cookie(response, session.sid if session.cookie == "set" else None)
        elif session.modified and session.record is not None:
            session.modified = False
            self._upsert_session(timedelta(), session, session.record.key)

    def load(self, session: BrowserSession, *, slide: bool) -> Session | None:
        """The live session of this browser, asked for once in a request; None if it has ended.

        Raises:
            StoreUnavailable: Redis is away.
            SealInvalid: Its record can't be opened.
        """
        if session.record is None and session.session_key is not None:
            found = self._sessions.load(session.session_key, slide=slide)
            if found is not None:
                record, sealed_data = found
                session.show(record, self._opened(record.key, sealed_data))
        return session.record

    def regenerate(self, session: BrowserSession) -> None:
        """Not offered: a new id comes with a new sign-in, through `Sessions.start`."""
        raise NotImplementedError("a session gets its id at sign-in")

    def _get_store_id(self, sid: str) -> str:
        return session_key(sid) or ""

    def _generate_sid(self, session_id_length: int) -> str:
        return secrets.token_urlsafe(session_id_length)

    def _retrieve_session_data(self, store_id: str) -> dict[str, Any] | None:
        found = self._sessions.load(store_id, slide=False)
        return self._opened(store_id, found[1]) if found else None

    def _upsert_session(
        self, session_lifetime: timedelta, session: BrowserSession, store_id: str
    ) -> None:
        # Update if it exists: a session that ended meanwhile is not revived.
        self._sessions.write_data(store_id, msgspec.json.encode(dict(session)))

    def _delete_session(self, store_id: str) -> None:
        self._sessions.end(store_id, "deleted_by_application")

    def _opened(self, key: str, sealed_data: bytes | None) -> dict[str, Any]:
        if sealed_data is None:
            return {}
        return msgspec.json.decode(self._sessions.open_data(key, sealed_data), type=dict[str, Any])

    def _write_cookie(self, response: Response, value: str | None) -> None:
        """Set the cookie, or delete it; deletion of `__Host-` repeats all attributes (6265bis)."""
        response.set_cookie(
            self._name,
            value or "",
            max_age=self._max_age if value else 0,
            expires=None if value else 0,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )


def _vary_with_cookie(response: Response) -> None:
    # `Response.vary` alone would do, but most answers have none yet, and it costs more than them.
    if any(name.lower() == "vary" for name, _ in response.headers):
        response.vary.add("Cookie")
    else:
        response.headers.add("Vary", "Cookie")
