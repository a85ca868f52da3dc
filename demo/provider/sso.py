"""Which users are signed in at the provider, in which browsers?

The end of such a session revokes no refresh token: Auth0's stay valid, and the BFF has to revoke
them.
"""

import secrets
from collections.abc import Callable, Iterable
from threading import RLock

from demo.provider.records import Client, SSOSession, User
from demo.provider.settings import UserSettings


class SSOSessions:
    """The users, and the browsers' sessions by the value of their cookie."""

    def __init__(
        self,
        users: Iterable[UserSettings],
        session_seconds: int,
        lock: RLock,
        now: Callable[[], float],
    ) -> None:
        self._lock = lock
        self._now = now
        self._session_seconds = session_seconds
        self._users = {u.sub: User(settings=u, password=u.password) for u in users}
        self._sessions: dict[str, SSOSession] = {}

    def user(self, sub_or_email: str) -> User | None:
        """The user with this subject or e-mail address."""
        wanted = sub_or_email.strip().lower()
        for user in self._users.values():
            if sub_or_email == user.sub or wanted == user.settings.email.lower():
                return user
        return None

    def check_password(self, username: str, password: str) -> User | None:
        """The user, if name and password are correct."""
        user = self.user(username)
        return user if user and user.check_password(password) else None

    def of_cookie(self, cookie: str | None) -> SSOSession | None:
        """The session of this cookie, unless it has expired."""
        with self._lock:
            session = self._sessions.get(cookie or "")
            return session if session and session.expires_at > self._now() else None

    def sign_in(self, user: User, old_cookie: str | None) -> tuple[str, SSOSession]:
        """Start a session, or renew the sign-in of the same user in the same browser.

        Returns:
            A new value for the cookie, and the session; the same user keeps the `sid`.
        """
        with self._lock:
            old = self.of_cookie(old_cookie)
            self._sessions.pop(old_cookie or "", None)
            session = old if old and old.user is user else self._new_session(user)
            session.auth_time = int(self._now())
            # Only the password was entered now.
            session.acr, session.amr = None, ()
            cookie = secrets.token_urlsafe(32)
            self._sessions[cookie] = session
            return cookie, session

    def _new_session(self, user: User) -> SSOSession:
        return SSOSession(
            user=user,
            sid=secrets.token_urlsafe(24),
            auth_time=0,
            expires_at=self._now() + self._session_seconds,
        )

    def add_client(self, session: SSOSession, client: Client) -> None:
        """Record that the user signed in to this client in this session."""
        with self._lock:
            session.clients[client.client_id] = client

    def matching(self, sid: str | None = None, sub: str | None = None) -> list[SSOSession]:
        """The sessions with this `sid`, or of this user."""
        with self._lock:
            return [
                session
                for session in self._sessions.values()
                if (sid and session.sid == sid) or (sub and session.user.sub == sub)
            ]

    def end(self, ended: Iterable[SSOSession]) -> None:
        """End these sessions; ending one twice is fine."""
        with self._lock:
            gone = {session.sid for session in ended}
            self._sessions = {c: s for c, s in self._sessions.items() if s.sid not in gone}
