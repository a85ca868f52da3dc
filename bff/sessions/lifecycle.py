"""What is the life of a session? It is started, loaded, listed, and ended.

Endpoints and commands come in here, and there is no other door to end a session. How an end goes on
is the matter of `bff/revocation`; `bff/tokens` keeps access tokens valid meanwhile.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from contextlib import AbstractContextManager

import msgspec

from bff.config import Config
from bff.core.errors import SealInvalid, SessionUnknown, SignInTooOld
from bff.core.model import Group, Session, SignIn
from bff.core.sealing import Sealer
from bff.revocation.revocation import Revocation
from bff.sessions.cache import SessionCache
from bff.store import Stores
from bff.store.record_results import LoadedSession
from bff.tokens.pending_writes import PendingWrites

COOKIE_ID_BYTES = 32
_COOKIE_ID = re.compile(r"[A-Za-z0-9_-]{43}")


def session_key(cookie_id: str) -> str | None:
    """The hash under which the store knows *cookie_id*; None if it can't be one of ours."""
    if not _COOKIE_ID.fullmatch(cookie_id):
        return None
    return hashlib.sha256(cookie_id.encode()).hexdigest()


class Sessions:
    """Starts, loads, lists and ends sessions.

    Args:
        config: Idle and absolute lifetimes.
        stores: Where the sessions are.
        sealer: Makes the ids that users see.
        revocation: Ends sessions.
        pending_writes: Takes the tokens of a sign-in that can't be stored.
        cache: What this process has cached; None if each request reads from Redis.
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
        self._records = stores.records
        self._sealer = sealer
        self._revocation = revocation
        self._pending_writes = pending_writes
        self._cache = cache

    def start(
        self,
        sign_in: SignIn,
        *,
        old_session_key: str | None = None,
        browser: str = "",
        authenticated_after: int | None = None,
    ) -> str:
        """Make a session for a finished sign-in; the one the browser had before ends.

        Args:
            sign_in: Who, and the tokens.
            old_session_key: The hash of the session that the browser had, if any.
            browser: The browser's label in the list of devices.
            authenticated_after: An instant of our own clock after which the provider has certainly
                authenticated the user (it was asked for `max_age=0` then).

        Returns:
            The id for the cookie: 256 random bits that are stored nowhere else.

        Raises:
            SignInTooOld: It is from before an end of all this user's sessions.
            StoreUnavailable: Redis is away; the tokens are revoked as soon as it is back.
        """
        identity = msgspec.structs.replace(sign_in.identity, browser=browser)
        sign_in = msgspec.structs.replace(sign_in, identity=identity)
        try:
            return self._start(sign_in, old_session_key, authenticated_after)
        except Exception:
            self._pending_writes.revoke(sign_in.tokens, "sign_in_not_stored")
            raise

    def _start(
        self, sign_in: SignIn, old_session_key: str | None, authenticated_after: int | None
    ) -> str:
        cookie_id = secrets.token_urlsafe(COOKIE_ID_BYTES)
        old = self._readable(old_session_key)
        same_user = old is not None and _same_user(old, sign_in)
        session = self._new_session(cookie_id, sign_in)
        # First the index, then the watermark, then the record: an end of all sessions either
        # finds this one in the index, or has raised the watermark before this looks at it.
        self._stores.indexes.add(session)
        self._refuse_too_old(session, authenticated_after)
        if not self._records.create(session):
            raise SignInTooOld("all sessions of the user were ended during the sign-in")
        if old is not None and same_user:
            # Only now the old refresh tokens pass on: had the new record had them from the start,
            # a failure just before this line would revoke them under the old session.
            self._revocation.end_into(old.key, session.key)
        elif old_session_key is not None:
            self._revocation.end(old_session_key, "signed_in_as_another")
        return cookie_id

    def _refuse_too_old(self, session: Session, authenticated_after: int | None) -> None:
        """Refuse a sign-in that the provider authenticated before the newest watermark.

        The provider's clock may lag behind ours, so that even a new sign-in looks old. If we asked
        for a new authentication after the watermark, the checks of the ID token have shown that
        there was one, whatever the clocks say.
        """
        watermark_at = self._stores.watermarks.newest(session.identity)
        if watermark_at is None:
            return
        auth_time = session.identity.auth_time
        if auth_time is not None and auth_time >= watermark_at:
            return
        certain_since = (authenticated_after or 0) - self._config.clock_skew_seconds
        if certain_since >= watermark_at:
            return
        self._stores.indexes.remove(session.key, session.identity)
        raise SignInTooOld("older than the end of all sessions")

    def _new_session(self, cookie_id: str, sign_in: SignIn) -> Session:
        now = self._stores.database.now()
        absolute_ends_at = int(now) + self._config.session_absolute_seconds
        if sign_in.session_ends_at is not None:
            absolute_ends_at = min(absolute_ends_at, sign_in.session_ends_at)
        key = session_key(cookie_id)
        assert key is not None  # noqa: S101 - We made it ourselves, one line up in `_start`.
        return Session(
            key=key,
            generation=1,
            tokens=sign_in.tokens,
            identity=sign_in.identity,
            created_at=int(now),
            last_seen_at=int(now),
            idle_ends_at=min(int(now) + self._config.session_idle_seconds, absolute_ends_at),
            absolute_ends_at=absolute_ends_at,
            read_at=now,
        )

    def _readable(self, key: str | None) -> Session | None:
        """The old session, if it is live and can be opened."""
        try:
            found = self._records.load(key, slide=False) if key else None
        except SealInvalid:
            return None
        return found[0] if found else None

    def load(self, key: str, *, slide: bool = True) -> LoadedSession | None:
        """The live session and the sealed data of `flask.session`: one round trip at most.

        With *slide*, as for a request of its user, it may come from this process's cache.

        Raises:
            StoreUnavailable: Redis is away, which is not a sign-out.
        """
        if slide and self._cache is not None:
            return self._cache.load(key)
        return self._records.load(key, slide=slide)

    def end(self, key: str, reason: str) -> bool:
        """End one session: it is over at every replica when this returns.

        Its refresh tokens are revoked at the provider, by now or later by the drain.

        Returns:
            Whether there was such a session.

        Raises:
            StoreUnavailable: It may live on; the caller must say so.
        """
        return self._revocation.end(key, reason)

    def end_these(self, keys: list[str], reason: str) -> int:
        """End these sessions and no others, as `end`; returns how many there were."""
        return self._revocation.end_these(keys, reason)

    def end_group(self, group: Group, reason: str, *, before_at: float | None = None) -> int:
        """End a group's sessions as `end`, and refuse sign-ins and access tokens from before.

        Args:
            group: Of a user, an e-mail address, a session at the provider, or of all users.
            reason: Why, as a short word for the audit log.
            before_at: For an event that is told late: when it happened, by the provider's clock.
                Only sessions from before then are ended.

        Returns:
            How many sessions there were.
        """
        return self._revocation.end_group(group, reason, before_at=before_at)

    def ending_together(self) -> AbstractContextManager[None]:
        """Let several ends that share one response wait for the caches together, when it closes."""
        return self._revocation.together()

    def end_named(self, group: Group, public_id: str, reason: str) -> int:
        """End the one session of *group* that is shown as *public_id*; returns how many that were.

        Raises:
            SessionUnknown: None of the group's is.
        """
        for session in self.of_group(group):
            if public_id in self.public_ids(session):
                return int(self._revocation.end(session.key, reason))
        raise SessionUnknown

    def of_user(self, session: Session) -> list[Session]:
        """All live sessions of the user of *session*, the newest first."""
        return self.of_group(Group.of_user(*session.identity.user))

    def of_group(self, group: Group) -> list[Session]:
        """All live sessions of *group* that can be read, the newest first."""
        found = [self._readable(key) for key in self._stores.indexes.members(group)]
        return sorted((s for s in found if s), key=lambda s: s.created_at, reverse=True)

    def public_id(self, session: Session) -> str:
        """A name for a session that may be shown to its user and gives nothing away."""
        return self._sealer.keyed_hash("device", session.key)[:32]

    def public_ids(self, session: Session) -> list[str]:
        """Every name that `public_id` may have given, under each of our keys."""
        return [h[:32] for h in self._sealer.keyed_hashes("device", session.key)]

    def write_data(self, key: str, data: bytes) -> bool:
        """Write the data of `flask.session`; false if the session is gone."""
        return self._records.write_data(key, data)

    def open_data(self, key: str, sealed: bytes) -> bytes:
        """Open the data of `flask.session`; raises SealInvalid."""
        return self._records.open_data(key, sealed)


def _same_user(old: Session, sign_in: SignIn) -> bool:
    before, now = old.identity, sign_in.identity
    return (before.issuer, before.subject) == (now.issuer, now.subject)
