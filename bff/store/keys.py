"""What is in Redis? Every key name, its type and its content.

In the order of docs/architecture/redis.md, which also has the lifetime of each key.
Every name begins with `BFF_REDIS_PREFIX` and a colon. `{hash}` is a hash tag: keys with the same
hash share a slot of a cluster. For a session it is the SHA-256 of the cookie's id, elsewhere
`hash` is a keyed hash (HMAC-SHA-256 under a key derived from `AUTH0_SECRET`). *Sealed* is
AES-256-GCM.
"""

from __future__ import annotations

import hashlib

from bff.core.keyed_hashes import KeyedHashes
from bff.resource_server.revoked_tokens import RevokedTokenKeys


class Keys:
    """The key names of one BFF.

    Args:
        prefix: `BFF_REDIS_PREFIX`.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    # ------------------------------------------------------------ one session
    def session(self, session_key: str) -> str:
        """`session:{hash}`, hash: the session record.

        Sealed: `tokens`, `identity`, `data` (`flask.session`). Plain: `generation`, `attempt`,
        `created_at`, `last_seen_at`, `idle_ends_at`, `absolute_ends_at`; of a session that is bound
        to its browser also `bound_at`, `device_key` (public) and `device_attempt`.
        """
        return self._name("session", _tag(session_key))

    def tombstone(self, session_key: str) -> str:
        """`tombstone:{hash}`, hash: the record of an ended session, until its tokens are revoked.

        As the session record, without `data`, `attempt` and those of the binding, with `reason` and
        `ended_at`. Or only `barred`: a sign-in in progress that ended before it had a record.
        """
        return self._name("tombstone", _tag(session_key))

    def recently_ended(self, session_key: str) -> str:
        """`over:{hash}`, string: `1`; the tombstone is gone, a process may still cache it."""
        return self._name("over", _tag(session_key))

    def lock(self, session_key: str) -> str:
        """`lock:{hash}`, string: the refresh lock; the random id of its owner."""
        return self._name("lock", _tag(session_key))

    def failure(self, session_key: str, token_name: str = "") -> str:
        """`failure:{hash}`, string: error code of the last refresh; it isn't repeated at once.

        For a token of a route, a hash of its name follows.
        """
        # The name may be long. Sixteen hex digits tell the names of one session apart.
        rest = [hashlib.sha256(token_name.encode()).hexdigest()[:16]] if token_name else []
        return self._name("failure", _tag(session_key), *rest)

    def browser(self, browser_key: str) -> str:
        """`browser:<hash>`, hash: the `session` of a browser, and `before`; `closed`, `successor`.

        Named by the SHA-256 of the browser's id, which only its cookie holds.
        """
        return self._name("browser", browser_key)

    def sign_in(self, name: str) -> str:
        """`sign-in:<hash>`, hash: `taken` while or since its code was sent; how many `tries`;
        whether it has `failed` for good.

        Named by the SHA-256 of its `state`.
        """
        return self._name("sign-in", name)

    # ------------------------------------------------------------ tokens of the BFF itself
    def client_token(self, name: str) -> str:
        """`client-token:{hash}`, hash: an access token of the BFF itself.

        Sealed: `token`. Plain: `attempt`. Named by what it is for: issuer, client id, token rule.
        """
        return self._name("client-token", _tag(name))

    def client_lock(self, name: str) -> str:
        """`client-lock:{hash}`, string: the lock for requesting it; the random id of its owner."""
        return self._name("client-lock", _tag(name))

    def client_failure(self, name: str) -> str:
        """`client-failure:{hash}`, string: error code of the last request for it."""
        return self._name("client-failure", _tag(name))

    # ------------------------------------------------------------ indexes
    def index(self, kind: str, name: str) -> str:
        """The sessions of one group, by the group's kind.

        - `user:<hash>`, sorted set: session hashes by absolute end; one user (`iss`, `sub`).
        - `email:<hash>`, sorted set: the same; one e-mail address (`iss`, address in lower case).
        - `sid:<hash>`, sorted set: the same; one session at the provider (`iss`, `sid`).
        """
        return self._name(kind, name)

    def deadlines(self) -> str:
        """`deadlines`, sorted set: session hashes by the instant of their next check for expiry."""
        return self._name("deadlines")

    # ------------------------------------------------------------ outbox
    def outbox_due(self) -> str:
        """`{outbox}:due`, sorted set: entry ids by the instant of their next attempt."""
        return self._name("{outbox}", "due")

    def outbox_entry(self, entry_id: str) -> str:
        """`{outbox}:entry:<id>`, hash: one session or set of tokens to revoke at the provider.

        Plain: `kind`, `reason`, `session_key`, `generation`, `into`, `created_at`, `attempts`,
        `last_error`, `last_at`. Sealed: `sealed_tokens`.
        """
        return self._name("{outbox}", "entry", entry_id)

    # ------------------------------------------------------------ revoked access tokens
    def revoked_tokens(self, names: KeyedHashes) -> RevokedTokenKeys:
        """The keys that APIs read, too; named with the deny-list key, which APIs have.

        - `deny:<hash>`, string: `1`; an access token that is revoked before it expires.
        - `watermark:<hash>`, string: instant; older sign-ins and tokens of a group are refused.
        - `{born_at}:<hash>`, string: instant; this Redis has a complete history since then.
        - `dpop:<hash>`, string: the id of its use; a proof of possession that came already.

        Args:
            names: Hashes with the deny-list key.
        """
        return RevokedTokenKeys(self._prefix, names)

    # ------------------------------------------------------------ what Redis has lost
    def history_cut(self) -> str:
        """`{born_at}:cut_at`, string: instant; Redis has lost something, older sessions end."""
        return self._name("{born_at}", "cut_at")

    def evictions(self) -> str:
        """`{born_at}:evicted`, string: JSON; how many evictions of each server were acted on."""
        return self._name("{born_at}", "evicted")

    def marks(self) -> str:
        """`{born_at}:marks`, sorted set: the newest mark of each process."""
        return self._name("{born_at}", "marks")

    def node_marks(self, number: int) -> str:
        """`node-marks:{n}`, sorted set: the same; one at each node of a cluster."""
        return self._name("node-marks", _tag(str(number)))

    def absent(self) -> str:
        """`{born_at}:none`, string: never written; a replica refuses to delete even that."""
        return self._name("{born_at}", "none")

    # ------------------------------------------------------------ messages of the provider
    def auth_time_seen(self, name: str) -> str:
        """`auth-time:<hash>`, string: `1`; a sign-in of this provider has carried `auth_time`."""
        return self._name("auth-time", name)

    def seen(self, name: str) -> str:
        """`seen:<hash>`, string: `1`; a message that has been processed, by its issuer and id."""
        return self._name("seen", name)

    def poll_lease(self) -> str:
        """`{signals}:poll`, string: a random id of who polls for security events, or `pause`."""
        return self._name("{signals}", "poll")

    def poll_failures(self) -> str:
        """`{signals}:failures`, string: how many polls in a row have failed."""
        return self._name("{signals}", "failures")

    def sent_revocations(self, name: str) -> str:
        """`revoked:<hash>`, sorted set: instants of revocations sent for one provider session."""
        return self._name("revoked", name)

    def _name(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))


def _tag(name: str) -> str:
    return f"{{{name}}}"
