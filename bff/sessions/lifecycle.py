"""How is a session started, loaded, listed and ended?

Endpoints and commands end sessions through `Sessions` only. The steps of an end are in
`bff/revocation`, the renewal of a session's access tokens in `bff/tokens`.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager

import msgspec

from bff.config import Config
from bff.core.errors import SessionUnknown, SignInSuperseded, SignInTooOld
from bff.core.model import Ended, Group, Session, SignIn
from bff.core.sealing import Sealer
from bff.revocation.revocation import Revocation
from bff.sessions.cache import SessionCache
from bff.sessions.sign_in_age import SignInAge
from bff.sessions.user_limit import UserLimit
from bff.store import Stores
from bff.store.browsers import BrowserClosed, browser_key
from bff.store.record_results import LoadedSession
from bff.tokens.pending_writes import PendingWrites

COOKIE_ID_BYTES = 32
_COOKIE_ID = re.compile(r"[A-Za-z0-9_-]{43}")


def session_key(cookie_id: str) -> str | None:
    """The key of a session, the SHA-256 of its cookie's id; None if the id can't be ours."""
    if not _COOKIE_ID.fullmatch(cookie_id):
        return None
    return hashlib.sha256(cookie_id.encode()).hexdigest()


class Sessions:
    """Starts, loads, lists and ends sessions.

    Args:
        config: Idle and absolute lifetimes.
        stores: Session records, their indexes, watermarks.
        sealer: Makes the public ids of sessions.
        revocation: Ends sessions.
        pending_writes: Revokes the tokens of a sign-in that can't be stored.
        cache: This process's session cache; None if each request reads from Redis.
    """

    def __init__(
        self,
        config: Config,
        stores: Stores,
        sealer: Sealer,
        revocation: Revocation,
        pending_writes: PendingWrites,
        cache: SessionCache | None = None,
    ) -> None:
        self._config = config
        self._stores = stores
        self._age = SignInAge(stores, config.clock_skew_seconds)
        self._records = stores.records
        self._sealer = sealer
        self._revocation = revocation
        self._pending_writes = pending_writes
        self._cache, self.caches = cache, cache is not None
        self._user_limit = UserLimit(stores, revocation, config.sessions_per_user_max)

    def start(
        self,
        sign_in: SignIn,
        *,
        old_session_key: str | None = None,
        browser_ids: Sequence[str] = (),
        browser: str = "",
        authenticated_after: int | None = None,
        known_watermark_at: int = 0,
    ) -> str:
        """Make a session for a finished sign-in, and end those that the browser had before.

        Args:
            sign_in: The user and the tokens.
            old_session_key: The session that the browser had when the sign-in began, if any.
            browser_ids: By which the browser is known; the first is that of this sign-in.
            browser: The browser's label in the list of devices.
            authenticated_after: When the provider was asked for a new authentication (`max_age=0`),
                by our own clock; None if it wasn't.
            known_watermark_at: The newest end of all sessions that was known by then.

        Returns:
            The id for the cookie: 256 random bits that are stored nowhere else.

        Raises:
            SignInTooOld: The sign-in is older than an end of all sessions of this user.
            SignInSuperseded: The browser was signed out meanwhile.
            StoreUnavailable: Redis is down; the tokens are revoked as soon as it is back.
        """
        identity = msgspec.structs.replace(sign_in.identity, browser=browser)
        sign_in = msgspec.structs.replace(sign_in, identity=identity)
        cookie_id = secrets.token_urlsafe(COOKIE_ID_BYTES)
        try:
            new, count = self._stored(cookie_id, sign_in, authenticated_after, known_watermark_at)
            self._end_others_of_browser(new, old_session_key, browser_ids)
            self._user_limit.enforce(new, count)
        except SignInSuperseded:
            raise  # The session was stored and has ended, and its tokens with it.
        except Exception:
            self._pending_writes.revoke(sign_in.tokens.owned_by(identity), "sign_in_not_stored")
            raise
        return cookie_id

    def _stored(
        self, cookie_id: str, sign_in: SignIn, authenticated_after: int | None, known_at: int
    ) -> tuple[Session, int]:
        session = self._new_session(cookie_id, sign_in)
        # First index, then watermark, then record: an end of all sessions either finds this one in
        # the index, or has raised the watermark before it is read here.
        count = self._stores.indexes.add(session)
        try:
            self._age.refuse_too_old(session.identity, authenticated_after, known_at)
        except SignInTooOld:
            self._stores.indexes.remove(session.key, session.identity)
            raise
        if not self._records.create(session):
            raise SignInTooOld("all sessions of the user were ended during the sign-in")
        return session, count

    def _end_others_of_browser(
        self, session: Session, old_session_key: str | None, browser_ids: Sequence[str]
    ) -> None:
        """One browser has one session: *session*, which is stored already."""
        others = {old_session_key} if old_session_key else set()
        if browser_ids:
            own, *more = map(browser_key, browser_ids)
            try:
                others |= self._stores.browsers.take(own, more, session.key)
            except BrowserClosed as error:
                self._revocation.end(session.key, "superseded")
                raise SignInSuperseded from error
        for other in others:
            self._end_for(session, other)

    def is_current(self, cookie_id: str, browser_ids: Sequence[str]) -> bool:
        """Whether the browser still has this session, or another sign-in was finished meanwhile.

        That one waits for the caches to know of the end of this session before its response. So a
        response that is sent when this is true reaches the browser before that one's.
        """
        key = session_key(cookie_id)
        return key is not None and self._stores.browsers.has(browser_key(browser_ids[0]), key)

    def browser_id_to_keep(self, browser_ids: Collection[str]) -> str | None:
        """By which of its ids a browser must be known from now on; None if it was signed out."""
        return self._stores.browsers.id_to_keep(browser_ids)

    def is_signed_in(self, session_key: str | None, browser_ids: Sequence[str]) -> bool:
        """Whether a browser has a valid session, by its cookie or the ids by which it is known."""
        by_browser = [self._stores.browsers.session(browser_key(one)) for one in browser_ids]
        return any(self._readable(key) for key in (session_key, *by_browser))

    def _end_for(self, session: Session, old_key: str) -> None:
        old = self._readable(old_key)
        if old is not None and old.identity.user == session.identity.user:
            # Only now the old refresh tokens move to the new record. If it had them from the start,
            # a failure before this line would leave them in both, and the sweep of the new session,
            # whose cookie the browser never got, would revoke them for the old one.
            self._revocation.end_into(old_key, session.key)
        else:
            self._revocation.end(old_key, "signed_in_as_another")

    def _new_session(self, cookie_id: str, sign_in: SignIn) -> Session:
        now = self._stores.database.now()
        absolute_ends_at = int(now) + self._config.session_absolute_seconds
        if sign_in.session_ends_at is not None:
            absolute_ends_at = min(absolute_ends_at, sign_in.session_ends_at)
        key = session_key(cookie_id)
        assert key is not None  # noqa: S101 - `start` has just made it.
        return Session(
            key=key,
            generation=1,
            tokens=sign_in.tokens,
            identity=msgspec.structs.replace(sign_in.identity, began_at=now),
            created_at=int(now),
            last_seen_at=int(now),
            idle_ends_at=min(int(now) + self._config.session_idle_seconds, absolute_ends_at),
            absolute_ends_at=absolute_ends_at,
            read_at=now,
        )

    def _readable(self, key: str | None) -> Session | None:
        """The session, if it is valid and its seal can be opened; leaves its idle end as it is."""
        found = self._records.load_all([key]) if key else []
        return found[0] if found else None

    def load(self, key: str, *, slide: bool = True) -> LoadedSession | None:
        """The valid session and the sealed data of `flask.session`: one round trip at most.

        With *slide*, which counts as activity of the user and moves the idle end, the session may
        come from this process's cache.

        Raises:
            StoreUnavailable: Redis is down; the user is still signed in.
        """
        if slide and self._cache is not None:
            return self._cache.load(key)
        return self._records.load(key, slide=slide)

    def end(self, key: str, reason: str) -> bool:
        """End one session: every replica refuses it when this returns.

        Its refresh tokens are revoked at the provider, now or later by the drain.

        Returns:
            Whether there was such a session.

        Raises:
            StoreUnavailable: It may not have ended; the caller must report that.
        """
        return self._revocation.end(key, reason)

    def end_browser(
        self, browser_ids: Collection[str], reason: str, *, ended: Collection[str] = ()
    ) -> int:
        """End the sessions of a browser, as `end`, and its sign-ins under way; returns how many.

        Args:
            browser_ids: By which the browser is known.
            reason: Why, as a short word for the audit log.
            ended: Sessions that were ended already; a second end would wait for a provider again.
        """
        keys = self._stores.browsers.close([browser_key(one) for one in browser_ids])
        return sum(self._revocation.end(key, reason) for key in keys.difference(ended))

    def is_browser_closed(self, browser_id: str) -> bool:
        """Whether a sign-in by this id would be refused; raises StoreUnavailable."""
        return self._stores.browsers.is_closed(browser_key(browser_id))

    def end_these(self, keys: list[str], reason: str) -> int:
        """End the sessions with these keys, as `end` does; returns how many there were."""
        return self._revocation.end_these(keys, reason)

    def end_group(self, group: Group, reason: str, *, before_at: float | None = None) -> int:
        """End a group's sessions, and refuse older sign-ins and access tokens; returns how many.

        Args:
            group: Of a user, an e-mail address, a session at the provider, or of all users.
            reason: Why, as a short word for the audit log.
            before_at: When an event happened that is reported late, by the provider's clock.
                Only sessions from before then are ended.
        """
        return self._revocation.end_group(group, reason, before_at=before_at)

    def end_everyone(self, reason: str, within_seconds: float) -> Ended:
        """End all sessions, as `end_group`; what takes longer than that goes on by itself."""
        return self._revocation.end_everyone(reason, within_seconds)

    def ending_together(self) -> AbstractContextManager[None]:
        """A context in which several ends wait for the session caches once, when it closes."""
        return self._revocation.together()

    def end_named(self, group: Group, public_id: str, reason: str) -> int:
        """End the session of *group* with this *public_id*; returns 1, or 0 if it has just ended.

        Raises:
            SessionUnknown: The group has no such session.
        """
        for session in self.of_group(group):
            if public_id in self.public_ids(session):
                return int(self._revocation.end(session.key, reason))
        raise SessionUnknown

    def of_user(self, session: Session) -> list[Session]:
        """All valid sessions of the user of *session*, the newest first."""
        return self.of_group(Group.of_user(*session.identity.user))

    def of_group(self, group: Group) -> list[Session]:
        """All valid sessions of *group* that can be opened, the newest first."""
        found = self._records.load_all(self._stores.indexes.members(group))
        return sorted(found, key=lambda session: session.created_at, reverse=True)

    def public_id(self, session: Session) -> str:
        """An id that may be shown: neither the session's key nor its cookie follows from it."""
        return self._sealer.keyed_hash("device", session.key)[:32]

    def public_ids(self, session: Session) -> list[str]:
        """The public ids under each of our keys, since a page may still show an older one."""
        return [h[:32] for h in self._sealer.keyed_hashes("device", session.key)]

    def write_data(self, key: str, data: bytes, *, replaces: bytes | None = None) -> bool:
        """Write the data of `flask.session`, as `SessionRecords.write_data`."""
        return self._records.write_data(key, data, replaces=replaces)

    def open_data(self, key: str, sealed: bytes) -> bytes:
        """Open the data of `flask.session`; raises SealInvalid."""
        return self._records.open_data(key, sealed)
