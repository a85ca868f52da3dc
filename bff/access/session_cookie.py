"""What is the session cookie, and what is `flask.session`?

The cookie holds a random id and nothing else. `flask.session` is for an application's own small
data; tokens are never in it. The mechanism is Flask-Session's Redis interface, hardened: the store
knows only a hash of the id, a request makes no round trip before it needs the session, a write
updates existing records only, nothing is unpickled, and a `__Host-` cookie is deleted with all its
attributes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Literal, cast

import flask
from flask import Flask, Request, Response
from flask_session.base import ServerSideSessionInterface
from flask_session.redis import RedisSessionInterface

from bff.access.cookie_header import cookie_values, cookie_values_of
from bff.access.device_binding import delete_cookie
from bff.access.session_data import SessionData, SessionDataStore
from bff.config import Config
from bff.core import audit
from bff.core.errors import SealInvalid
from bff.core.model import Session
from bff.sessions.lifecycle import COOKIE_ID_BYTES, Sessions, session_key

SHARED_NAME = "session"
"""Over plain http, of a copy: version 0.1.0 reads no other, and so may any application here."""

TOO_LATE = "flask.session was written after the response began, which nothing stores"


def cookie_name(config: Config) -> str:
    """The name of the session cookie; `__Host-Http-` means Secure, HttpOnly, host-only and Path=/.

    Source: draft-ietf-httpbis-layered-cookies, "Cookie Name Prefixes"; RFC 10017, 6.1.3.2.
    """
    return "__Host-Http-session" if config.https else f"session{config.cookie_suffix}"


class BrowserSession(SessionData):
    """`flask.session`: the session that the cookie names, loaded when the guard needs it.

    Attributes:
        session_key: The hash of the cookie's id; None without a cookie that could be ours.
        session_keys: The same for all cookies of our name: a browser that doesn't enforce the
            prefix (WebKitGTK 2.50) may send one that a sibling subdomain has set.
        repeated: There are several cookies of our name, which the audit log tells once a request.
        loaded: The session; None until it is loaded.
        cookie: What the response does with the browser's cookie.
    """

    loaded: Session | None = None
    cookie: Literal["keep", "set", "clear"] = "keep"
    _sealed: bytes | None = None
    _known: frozenset[str] = frozenset()
    _keep_shared = False

    def __init__(self, cookie_ids: list[str], shared_ids: Sequence[str] = ()) -> None:
        # Each is hashed once: this runs for every request of /api.
        self._ids_by_key: dict[str, str] = {}
        for one in dict.fromkeys((*cookie_ids, *shared_ids)):
            key = session_key(one)
            if key is not None:
                self._ids_by_key[key] = one
        self.session_keys = tuple(self._ids_by_key)
        self.session_key = self.session_keys[0] if self.session_keys else None
        super().__init__(sid=self._ids_by_key.get(self.session_key or ""))
        self.repeated = len(cookie_ids) > 1 or len(shared_ids) > 1
        self._cookie_ids, self._shared_ids = cookie_ids, shared_ids

    @property
    def _named(self) -> set[str]:
        """The keys of the cookies of our own name."""
        return {key for key, one in self._ids_by_key.items() if one in self._cookie_ids}

    @property
    def _shared(self) -> set[str]:
        """The keys of the cookies `SHARED_NAME`."""
        return {key for key, one in self._ids_by_key.items() if one in self._shared_ids}

    def report_repeated(self) -> None:
        """Record in the audit log that the browser sent several cookies of our name."""
        if self.repeated:
            self.repeated = False
            audit.record("cookie_repeated", "failed", session_key=self.session_key)

    def may_be_foreign(self, key: str) -> bool:
        """Whether *key* may be that of another application, since we have a cookie beside it."""
        return bool(self._named) and key not in self._named | self._known

    def recognise(self, key: str) -> None:
        """Take note that *key* is that of a session of this application."""
        self._known |= {key}

    @property
    def shared_is_foreign(self) -> bool:
        """Whether the cookie `SHARED_NAME` has no id in it; no sign-in overwrites it."""
        return self._keep_shared or (any(self._shared_ids) and not self._shared)

    @property
    def shared_is_ours(self) -> bool:
        """Whether the cookie `SHARED_NAME` is a copy of ours, or one of version 0.1.0."""
        return not (self._named | self._known).isdisjoint(self._shared)

    def begin(self, cookie_id: str, *, keep_shared: bool = False) -> None:
        """Give the browser the cookie of a new session.

        Args:
            cookie_id: The session's.
            keep_shared: The cookie `SHARED_NAME` was foreign when the sign-in began; a response to
                the provider's redirect may not see it.
        """
        self._keep_shared = keep_shared
        self.sid, self.session_key, self.cookie = cookie_id, session_key(cookie_id), "set"
        self._unload("begins")

    def clear_cookie(self) -> None:
        """Delete the browser's cookie."""
        self.cookie = "clear"
        self._unload("ends")

    def _unload(self, session_does: str) -> None:
        self.loaded, self._sealed = None, None
        self.drop(f"the request that {session_does} the session can't write to flask.session")

    def fill(self, session: Session, sealed_data: bytes | None) -> None:
        """Take over a session that was loaded, and its data, still sealed."""
        self.loaded, self._sealed, self.accessed = session, sealed_data, True

    def release(self) -> None:
        """Forget the session that was loaded: this request must not use it."""
        self.loaded, self._sealed = None, None

    @property
    def sealed(self) -> bytes | None:
        """The session's data as it was loaded, perhaps from the cache."""
        return self._sealed


def current() -> BrowserSession:
    """The browser session of the current request."""
    # The object behind Flask's proxy: reading `flask.session` would count as access each time.
    return cast(BrowserSession, flask.session._get_current_object())  # type: ignore[attr-defined]


class SessionCookieInterface(RedisSessionInterface):  # type: ignore[misc]
    """Flask-Session's interface on our own store."""

    session_class = BrowserSession

    def __init__(self, app: Flask, config: Config, sessions: Sessions) -> None:
        # Not the __init__ of the Redis class: it replaces a client that it doesn't know (a cluster,
        # for example) by one on localhost. Here the store has the client.
        ServerSideSessionInterface.__init__(
            self, app, key_prefix="", sid_length=COOKIE_ID_BYTES, serialization_format="json"
        )
        self._name = cookie_name(config)
        self._has_copy = not config.https
        self._secure = config.https
        self._max_age = config.session_absolute_seconds if config.session_persistent else None
        self._binds = config.device_binding != "off"
        self._sessions = sessions
        self._data = SessionDataStore(sessions)
        self.read_with: Callable[[SessionData, bool], None] | None = None
        """What the guard does at the first use of `flask.session`; it sets this itself."""

    def open_session(self, app: Flask, request: Request) -> BrowserSession:
        """Read the cookie only; no round trip, and an unknown id is never adopted."""
        if self._has_copy:
            opened = BrowserSession(*cookie_values_of(request.environ, self._name, SHARED_NAME))
        else:
            opened = BrowserSession(cookie_values(request.environ, self._name))
        opened.read_with = self.read_with
        return opened

    def save_session(self, app: Flask, session: BrowserSession, response: Response) -> None:
        """Set or delete the cookie if the endpoint decided so; write changed data."""
        if session.accessed or session.cookie != "keep":
            _vary_with_cookie(response)
        if session.cookie != "keep":
            value = session.sid if session.cookie == "set" else None
            self._write_cookie(response, self._name, value)
            if self._has_copy and _writes_copy(session):
                self._write_cookie(response, SHARED_NAME, value)
            if self._binds and session.cookie == "clear":
                delete_cookie(response)
        elif session.opened and session.loaded is not None:
            self._data.write(session, session.loaded.key)
        session.closed = session.closed or TOO_LATE

    def read_data(self, session: BrowserSession) -> None:
        """Read the data of the session, if that is loaded; raises as `SessionDataStore.read`."""
        if session.loaded is not None and not session.opened:
            self._data.read(session, session.loaded.key, session.sealed)

    def load(self, session: BrowserSession, *, slide: bool) -> Session | None:
        """The session of this browser, loaded once per request; None if it has ended.

        Raises:
            StoreUnavailable: Redis is away.
            SealInvalid: Its record can't be opened.
        """
        if session.loaded is None and session.session_key is not None:
            found = self._load(session, session.session_key, slide=slide)
            # Version 0.1.0 beside this one, after a sign-in, writes the shared cookie only.
            for key in session.session_keys:
                if found is None and session.may_be_foreign(key):
                    found = self._load(session, key, slide=slide)
            if found is not None:
                session.session_key = found[0].key
                session.fill(*found)
        return session.loaded

    def _load(
        self, session: BrowserSession, key: str, *, slide: bool
    ) -> tuple[Session, bytes | None] | None:
        try:
            found = self._sessions.load(key, slide=slide)
        except SealInvalid:
            if session.may_be_foreign(key):
                return None
            raise
        if found is not None:
            session.recognise(key)
        return found

    def regenerate(self, session: BrowserSession) -> None:
        """Not supported: only a sign-in creates an id (`Sessions.start`)."""
        raise NotImplementedError("a session gets its id at sign-in")

    def _get_store_id(self, sid: str) -> str:
        return session_key(sid) or ""

    def _generate_sid(self, session_id_length: int) -> str:
        return secrets.token_urlsafe(session_id_length)

    def _retrieve_session_data(self, store_id: str) -> dict[str, Any] | None:
        found = self._sessions.load(store_id, slide=False)
        return self._data.opened(store_id, found.sealed_data) if found else None

    def _upsert_session(
        self, session_lifetime: timedelta, session: BrowserSession, store_id: str
    ) -> None:
        self._data.write(session, store_id)

    def _delete_session(self, store_id: str) -> None:
        self._sessions.end(store_id, "deleted_by_application")

    def _write_cookie(self, response: Response, name: str, value: str | None) -> None:
        """Set or delete a cookie; deletion needs all attributes for `__Host-` (6265bis)."""
        response.set_cookie(
            name,
            value or "",
            max_age=self._max_age if value else 0,
            expires=None if value else 0,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="Strict",
        )


def _writes_copy(session: BrowserSession) -> bool:
    return not session.shared_is_foreign if session.cookie == "set" else session.shared_is_ours


def _vary_with_cookie(response: Response) -> None:
    # `Response.vary` alone would do, but it is slow.
    for name, value in response.headers:
        if len(name) == 4 and name.lower() == "vary":
            if "cookie" not in [word.strip() for word in value.lower().split(",")]:
                response.vary.add("Cookie")
            return
    response.headers.add("Vary", "Cookie")
