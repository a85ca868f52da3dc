"""How does a test write a hundred thousand sessions to Redis within seconds?

With the BFF's own records and indexes, whose commands are collected and sent in large pipelines.
No reply is checked; that is safe, since the ids are random.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from bff.config import Config
from bff.core.model import Identity, Session, Tokens
from bff.core.sealing import Sealer
from bff.sessions.lifecycle import session_key
from bff.store import Database, Indexes, SessionRecords, connect
from bff.store.connection import Script

PIPELINE = 2000


class BatchingDatabase(Database):
    """Collects commands, and sends them in pipelines."""

    def __init__(self, real: Database) -> None:
        super().__init__(real.client, real.prefix)
        self._real = real
        self._known: set[str] = set()
        self._words: list[tuple[str | bytes | float, ...]] = []

    def run(self, script: Script, keys: list[str], *args: str | bytes | float) -> Any:
        """Collect it; the reply is made up."""
        if script.sha not in self._known:
            self._real.command("SCRIPT LOAD", script.source)
            self._known.add(script.sha)
        return self.command("EVALSHA", script.sha, len(keys), *keys, *args)

    def command(self, *words: str | bytes | float) -> Any:
        """Collect it."""
        self._words.append(words)
        if len(self._words) >= PIPELINE:
            self.flush()
        return b"1"

    def flush(self) -> None:
        """Send what was collected."""
        words, self._words = self._words, []
        self._real.commands(*words)


class Crowd:
    """Writes sessions into the Redis of a BFF with these settings."""

    def __init__(self, config: Config) -> None:
        sealer = Sealer([key.get_secret_value() for key in config.secrets])
        self._config = config
        self._database = connect(config)
        self._batching = BatchingDatabase(self._database)
        self._indexes = Indexes(self._batching, sealer)
        self._records = SessionRecords(
            self._batching,
            sealer,
            idle_seconds=config.session_idle_seconds,
            token_lifetime_seconds=config.refresh_token_lifetime_seconds,
        )

    def close(self) -> None:
        """Close the connections."""
        self._database.client.close()

    def of_user(self, subject: str, count: int) -> list[str]:
        """Write *count* sessions of one user; returns the ids for the cookies."""
        ids = [self._add(subject, f"{subject} {number}") for number in range(count)]
        self._batching.flush()
        return ids

    def of_others(self, count: int) -> None:
        """Write *count* sessions of as many users."""
        for _ in range(count):
            name = secrets.token_hex(8)
            self._add(f"auth0|other-{name}", name)
        self._batching.flush()

    def _add(self, subject: str, sid: str) -> str:
        cookie_id, now = secrets.token_urlsafe(32), int(time.time())
        session = Session(
            key=session_key(cookie_id) or "",
            generation=1,
            tokens=Tokens(
                access_token=f"access-{cookie_id}",
                issued_at=now,
                expires_at=now + 3600,
                refresh_token=f"refresh-{cookie_id}",
            ),
            identity=Identity(
                issuer=self._config.issuer,
                subject=subject,
                sid=sid,
                auth_time=now,
                claims={"sub": subject, "email": f"{subject[6:]}@example.com"},
            ),
            created_at=now,
            last_seen_at=now,
            idle_ends_at=now + self._config.session_idle_seconds,
            absolute_ends_at=now + self._config.session_absolute_seconds,
            read_at=now,
        )
        self._indexes.add(session)
        self._records.create(session)
        return cookie_id
