"""Which session does a browser have?

One at a time. A finished sign-in takes the browser and learns which session had it before; a logout
closes it, and a sign-in that was under way finds it closed. Each is one step in Redis, so of two
sign-ins that finish at once, the later one learns of the earlier one's session.

Tabs that begin at the same moment may know the browser by several names. A sign-in that finds two
of them closes the larger one in favour of the smaller one, its *successor*, so all lead to one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from bff.store import scripts
from bff.store.connection import Database

CLOSED_SECONDS = 86_400
"""Longer than any sign-in is under way, or stalls."""


def browser_key(browser_id: str) -> str:
    """The name by which the store knows a browser; the id itself is only in its cookie."""
    return hashlib.sha256(browser_id.encode()).hexdigest()


class BrowserClosed(Exception):  # noqa: N818 - It is caught one call above.
    """The browser was signed out since the sign-in began."""


class Browsers:
    """The current session of each browser. Every method raises StoreUnavailable.

    Args:
        database: Where they are.
        lifetime_seconds: Longer than any session lives.
    """

    def __init__(self, database: Database, *, lifetime_seconds: int) -> None:
        self._database = database
        self._lifetime_seconds = lifetime_seconds

    def take(self, own: str, others: Collection[str], session_key: str) -> set[str]:
        """Make *session_key* the session of a browser; returns those that it had before.

        Args:
            own: The name by which the sign-in was begun.
            others: More names of the same browser; those that a logout has closed are ignored.
            session_key: The new session.

        Raises:
            BrowserClosed: A logout was faster.
        """
        names, before = {own, *others}, set[str]()
        # First, since another name, which a newer sign-in began by, may come before it.
        if len(names) > 1 and self._last_of(own)[1]:
            raise BrowserClosed
        own_names, signed_out = {own}, set[str]()
        while True:
            root = min(names)
            is_taken, value = self._take(root, session_key)
            if not is_taken and not value:
                if root in own_names:
                    raise BrowserClosed
                signed_out.add(root)
                names.remove(root)
                continue
            successors = {root: value} if not is_taken else {}
            if is_taken:
                before.add(value)
                successors = {name: self._close(name, root, before) for name in names - {root}}
            own_names |= {new for name, new in successors.items() if name in own_names}
            found = set(successors.values()) - names - signed_out - {""}
            if is_taken and not found:
                return before - {session_key, ""}
            names |= found

    def _take(self, name: str, session_key: str) -> tuple[bool, str]:
        """Whether it was taken, and the session before; else the successor."""
        key = self._database.keys.browser(name)
        # Like the session's record, this waits for no replica: without one, each sign-in would
        # take half of the time-out longer.
        state, value = self._database.run(
            scripts.BROWSER_TAKE, [key], session_key, self._lifetime_seconds
        )
        return state == b"taken", value.decode()

    def _close(self, name: str, successor: str, sessions: set[str]) -> str:
        """Close *name*, add its session to *sessions*, and return its successor."""
        key = self._database.keys.browser(name)
        session, found = self._database.run_safely(
            scripts.BROWSER_CLOSE, [key], successor, CLOSED_SECONDS
        )
        sessions.add(session.decode())
        return str(found.decode())

    def close(self, names: Collection[str]) -> set[str]:
        """Let no sign-in that is under way take the browser; returns its sessions."""
        todo, done, sessions = set(names), set[str](), set[str]()
        while todo - done:
            name = (todo - done).pop()
            done.add(name)
            todo.add(self._close(name, "", sessions) or name)
        return sessions - {""}

    def has(self, name: str, session_key: str) -> bool:
        """Whether *session_key* is still the session of the browser."""
        return self.session(name) == session_key

    def session(self, name: str) -> str | None:
        """The session of the browser; None if it was signed out, or has none."""
        session, is_closed = self._last_of(name)
        return session if session and not is_closed else None

    def _last_of(self, name: str) -> tuple[str, bool]:
        """The session by *name* or its last successor; and whether a logout has closed that."""
        successor = name
        while successor:
            key = self._database.keys.browser(successor)
            session, closed, following = self._database.command(
                "HMGET", key, "session", "closed", "successor"
            )
            successor = following.decode() if following else ""
        return session.decode() if session else "", closed is not None

    def id_to_keep(self, browser_ids: Collection[str]) -> str | None:
        """By which of its ids a browser must be known for its session to be found by it.

        That one in whose favour `take` has closed the others, since their successors are stored for
        a day only. None if a logout has closed them all.
        """
        if len(browser_ids) == 1:  # Nothing to choose, and so no round trip.
            return next(iter(browser_ids))
        by_name = {browser_key(one): one for one in browser_ids}
        leading = sorted(name for name in by_name if not self._last_of(name)[1])
        open_names = [name for name in leading if not self.is_closed(name)]
        return by_name.get(next(iter(open_names or leading), ""))

    def is_closed(self, name: str) -> bool:
        """Whether a sign-in can't be begun by this name any more."""
        return bool(self._database.command("HEXISTS", self._database.keys.browser(name), "closed"))
