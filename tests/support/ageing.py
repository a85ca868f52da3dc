"""How does a test make one session older, without waiting?

It opens the record in Redis with the cluster's key and writes it back older.
"""

from __future__ import annotations

import hashlib
import time

import msgspec

from bff.core.model import Identity, Tokens
from bff.core.sealing import Sealer
from tests.support.cluster import Cluster

ACCESS_SECONDS = 300


def session_key(cookie: str | None) -> str:
    """The key of a cookie's session: the hash of its value."""
    assert cookie, "the browser has no session cookie"
    return hashlib.sha256(cookie.encode()).hexdigest()


def record_name(cluster: Cluster, cookie: str | None) -> str:
    """The key of a cookie's record in Redis."""
    return f"{cluster.prefix}:session:{{{session_key(cookie)}}}"


def age_access_token(
    cluster: Cluster,
    cookie: str | None,
    seconds_left: int,
    *,
    routes_too: bool = False,
    noticed: bool = True,
) -> None:
    """Make the session's access token expire in *seconds_left*, for the BFF.

    Args:
        cluster: The installation.
        cookie: The cookie of the session.
        seconds_left: From now on.
        routes_too: Also the tokens of routes.
        noticed: Wait until no process has an older record in its cache.
    """
    ends_at = int(time.time()) + seconds_left
    times = {"expires_at": ends_at, "issued_at": ends_at - ACCESS_SECONDS}
    tokens = stored_tokens(cluster, cookie)
    routes = tuple(
        msgspec.structs.replace(one, **times) if routes_too else one for one in tokens.route_tokens
    )
    aged = msgspec.structs.replace(tokens, route_tokens=routes, **times)
    sealed = Sealer([cluster.secret]).seal(msgspec.json.encode(aged), _context(cookie))
    cluster.store().hset(record_name(cluster, cookie), "tokens", sealed)
    if noticed:
        cluster.wait_for_caches()


def stored_tokens(cluster: Cluster, cookie: str | None) -> Tokens:
    """The tokens of the session, opened with the BFF's key."""
    sealed = cluster.store().hget(record_name(cluster, cookie), "tokens")
    assert isinstance(sealed, bytes), "there is no such session"
    opened = Sealer([cluster.secret]).open(sealed, _context(cookie))
    return msgspec.json.decode(opened, type=Tokens)


def _context(cookie: str | None) -> str:
    return f"session {session_key(cookie)} tokens"


def run_out(cluster: Cluster, cookie: str | None) -> None:
    """Make the session time out by idleness."""
    now = int(time.time())
    cluster.store().hset(record_name(cluster, cookie), "idle_ends_at", now - 1)
    cluster.store().zadd(f"{cluster.prefix}:deadlines", {session_key(cookie): now - 1})


def age_sign_in(cluster: Cluster, cookie: str | None, seconds: int | None) -> None:
    """Make the sign-in at the provider *seconds* old; None: of unknown age."""
    store, name = cluster.store(), record_name(cluster, cookie)
    sealer, context = Sealer([cluster.secret]), f"session {session_key(cookie)} identity"
    sealed = store.hget(name, "identity")
    assert isinstance(sealed, bytes), "there is no such session"
    identity = msgspec.json.decode(sealer.open(sealed, context), type=Identity)
    auth_time = None if seconds is None else int(time.time()) - seconds
    aged = msgspec.structs.replace(identity, auth_time=auth_time)
    store.hset(name, "identity", sealer.seal(msgspec.json.encode(aged), context))
