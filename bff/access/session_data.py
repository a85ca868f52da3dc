"""What happens when code reads or writes `flask.session`? Nothing written to it is lost silently.

The data is read at the first use, whichever route that is in, and written after the response is
made. What can't be kept raises where it is written: without a session, in a route for machines,
after the response, or if it isn't JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any, Self

from flask_session.base import ServerSideSession

from bff.core.errors import SessionEnded, StoreUnavailable
from bff.core.exact_json import decoded, encoded
from bff.sessions.lifecycle import Sessions

WRITE_ATTEMPTS = 10
READS = (
    "__contains__", "__eq__", "__getitem__", "__iter__", "__len__", "__ne__", "__or__", "__repr__",
    "__reversed__", "__ror__", "copy", "get", "items", "keys", "values",
)  # fmt: skip
WRITES = (
    "__delitem__", "__ior__", "__setitem__", "clear", "pop", "popitem", "setdefault", "update",
)  # fmt: skip


class SessionData(ServerSideSession):  # type: ignore[misc]
    """`flask.session` as a mapping.

    Args:
        sid: The id in the session's cookie, if there is one.

    Attributes:
        opened: The data has been read, so it is written if it has changed.
        was_read: The data has been read at some time, or there can be none.
        read_with: Reads the data of this request's session, once; with True, raises if there is no
            session. Set when the request begins.
        refused: Why no code of this request may use it; empty if it may.
        closed: Why nothing can be written any more; empty if it can.
    """

    # Of the class, since hardly any of the requests of /api uses them.
    opened = was_read = False
    read_with: Callable[[Self, bool], None] | None = None
    refused = closed = ""
    _before: Mapping[str, Any] = MappingProxyType({})
    _sealed_before = b""

    def __init__(self, sid: str | None) -> None:
        super().__init__(sid=sid)

    def refuse_if_unusable(self) -> None:
        """Raise RuntimeError where the session must not be used at all."""
        if self.refused:
            raise RuntimeError(self.refused)

    def use(self, *, writes: bool) -> None:
        """Before any use: read the data, or raise if a write would be lost.

        Raises:
            RuntimeError: It can't be used here, or it is too late to write.
            BFFError: The guard refuses the request; or it writes and there is no session.
        """
        self.refuse_if_unusable()
        if writes and self.closed:
            raise RuntimeError(self.closed)
        # A response that is streamed may read it, too, if nothing did before.
        is_there = self.opened or (self.closed and self.was_read)
        if not is_there and self.read_with is not None:
            self.read_with(self, writes)

    def take(self, data: Mapping[str, Any], sealed: bytes | None) -> None:
        """Take over what Redis has: *data*, and how it is sealed there."""
        self._before, self._sealed_before = decoded(encoded(data, "flask.session")), sealed or b""
        dict.clear(self)
        dict.update(self, data)
        self.opened = self.was_read = True

    def drop(self, reason: str) -> None:
        """Forget the data without writing it; what is written from now on raises *reason*."""
        dict.clear(self)
        self.opened = self.modified = False
        self.closed, self.was_read = reason, True

    def changes(self) -> bool:
        """Whether it has changed, inside of values too, which `modified` doesn't tell."""
        return self.opened and self._plain() != self._before

    def _plain(self) -> dict[str, Any]:
        # `dict(self)` and `dict.copy` would ask the methods below, each of which is a use.
        return dict(dict.items(self))

    def to_write(self) -> tuple[bytes, bytes]:
        """The data as JSON, and as what it replaces is sealed.

        Raises:
            TypeError: A part would be read as something else than was written.
        """
        return encoded(self._plain(), "flask.session"), self._sealed_before

    def rebase(self, data: dict[str, Any], sealed: bytes | None) -> None:
        """Another request has written *data* meanwhile: apply this one's changes to it."""
        now, before = self._plain(), self._before
        merged = {k: v for k, v in data.items() if k in now or k not in before}
        merged |= {k: v for k, v in now.items() if k not in before or before[k] != v}
        self.take(data, sealed)
        dict.clear(self)
        dict.update(self, merged)


class SessionDataStore:
    """Reads and writes the data of sessions in Redis."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def read(self, data: SessionData, key: str, sealed: bytes | None) -> None:
        """Read the data of a session that is loaded.

        Args:
            data: Takes it over.
            key: The session.
            sealed: The data as it was loaded with the session.

        Raises:
            SessionEnded, StoreUnavailable, SealInvalid: As `SessionGuard.session`.
        """
        if self._sessions.caches:
            # The cache may be behind by a moment, and a write on top of that would be lost.
            found = self._sessions.load(key, slide=False)
            if found is None:
                raise SessionEnded("the session has ended during the request")
            sealed = found.sealed_data
        data.take(self.opened(key, sealed), sealed)

    def write(self, data: SessionData, key: str) -> None:
        """Write what has changed; what another request has written meanwhile stays.

        Raises:
            TypeError: It isn't JSON.
            StoreUnavailable: Redis is away, or too many write at once.
        """
        if not data.changes():
            return
        data.opened = False  # If it fails, the error's response must not write it again.
        for _ in range(WRITE_ATTEMPTS):
            new, replaces = data.to_write()
            # Updates existing records only, so a session that has ended meanwhile is not revived.
            if self._sessions.write_data(key, new, replaces=replaces):
                return
            found = self._sessions.load(key, slide=False)
            if found is None:
                return  # It has ended, and its data with it.
            data.rebase(self.opened(key, found.sealed_data), found.sealed_data)
        raise StoreUnavailable("other requests of the session keep writing to flask.session")

    def opened(self, key: str, sealed: bytes | None) -> dict[str, Any]:
        """The data that is sealed in *sealed*; raises SealInvalid."""
        return {} if sealed is None else decoded(self._sessions.open_data(key, sealed))


def _used_first(name: str, *, writes: bool) -> Callable[..., Any]:
    method = getattr(ServerSideSession, name)

    @wraps(method)
    def used(self: SessionData, *args: Any, **named: Any) -> Any:
        self.use(writes=writes)
        return method(self, *args, **named)

    return used


for _name in READS + WRITES:
    setattr(SessionData, _name, _used_first(_name, writes=_name in WRITES))
