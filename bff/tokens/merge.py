"""What do a session's tokens become when the provider gives new ones?

Nothing that still opens an API is dropped: an access token that is replaced is remembered until it
expires, so that it can be denied when the session ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from bff.core.model import IssuedTokens, RevokedAccessToken, RouteToken, Tokens
from bff.store import DenyList


def refreshed(old: Tokens, answer: IssuedTokens, now: float, deny_list: DenyList) -> Tokens:
    """*old* after an ordinary refresh."""
    return msgspec.structs.replace(
        old,
        access_token=answer.access_token,
        expires_at=answer.expires_at,
        issued_at=answer.issued_at,
        scope=old.scope if answer.scope is None else answer.scope,
        refresh_token=answer.refresh_token or old.refresh_token,
        id_token=answer.id_token if old.id_token and answer.id_token else old.id_token,
        replaced=(*_alive(old.replaced, now), deny_list.entry(old)),
    )


def with_route_token(
    old: Tokens,
    token: RouteToken | None,
    refresh_token: str | None,
    now: float,
    deny_list: DenyList,
) -> Tokens:
    """*old* with *token* in the place of the one that its rule had before; others that ran out go.

    Args:
        old: What the session had.
        token: What a route got; None if it must not be used.
        refresh_token: A new one, if the provider rotated.
        now: Redis's clock.
        deny_list: Names what is replaced.
    """
    kept = old.route_tokens
    if token is not None:
        kept = tuple(t for t in kept if t.name != token.name and t.expires_at > now)
    gone = (deny_list.entry(t) for t in old.route_tokens if t not in kept)
    return msgspec.structs.replace(
        old,
        refresh_token=refresh_token or old.refresh_token,
        route_tokens=kept if token is None else (*kept, token),
        replaced=(*_alive(old.replaced, now), *_alive(gone, now)),
    )


def _alive(dead: Iterable[RevokedAccessToken], now: float) -> Iterator[RevokedAccessToken]:
    return (one for one in dead if one.expires_at > now)
