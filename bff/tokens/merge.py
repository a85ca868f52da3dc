"""What do a session's tokens become when the provider issues new ones?

A replaced access token stays on the list `replaced` until it expires, so that it can be denied when
the session ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from bff.core.model import IssuedTokens, RevokedAccessToken, RouteToken, Tokens
from bff.store import DenyList


def refreshed(old: Tokens, issued: IssuedTokens, now: float, deny_list: DenyList) -> Tokens:
    """*old* after an ordinary refresh."""
    return msgspec.structs.replace(
        old,
        access_token=issued.access_token,
        expires_at=issued.expires_at,
        issued_at=issued.issued_at,
        scope=old.scope if issued.scope is None else issued.scope,
        refresh_token=issued.refresh_token or old.refresh_token,
        refresh_expires_at=_refresh_expires_at(old, issued),
        id_token=issued.id_token if old.id_token and issued.id_token else old.id_token,
        jkt=issued.jkt,
        replaced=(*_unexpired(old.replaced, now), deny_list.entry(old)),
    )


def with_route_token(
    old: Tokens,
    token: RouteToken | None,
    refreshed_by: IssuedTokens | None,
    now: float,
    deny_list: DenyList,
) -> Tokens:
    """*old* with *token* in place of its rule's earlier one, without expired ones of other rules.

    Args:
        old: What the session had.
        token: The route's new token; None if it must not be used.
        refreshed_by: What spent the session's refresh token; None if nothing did.
        now: Redis's clock.
        deny_list: Computes the deny-list entries of replaced tokens.
    """
    kept = old.route_tokens
    if token is not None:
        kept = tuple(t for t in kept if t.name != token.name and t.expires_at > now)
    gone = (deny_list.entry(t) for t in old.route_tokens if t not in kept)
    if refreshed_by is not None:
        old = msgspec.structs.replace(
            old,
            refresh_token=refreshed_by.refresh_token or old.refresh_token,
            refresh_expires_at=_refresh_expires_at(old, refreshed_by),
        )
    return msgspec.structs.replace(
        old,
        route_tokens=kept if token is None else (*kept, token),
        replaced=(*_unexpired(old.replaced, now), *_unexpired(gone, now)),
    )


def _refresh_expires_at(old: Tokens, issued: IssuedTokens) -> int:
    """As it was told last; but the old end says nothing of another refresh token."""
    if issued.refresh_expires_at is not None:
        return issued.refresh_expires_at
    is_same = issued.refresh_token in (None, old.refresh_token)
    return old.refresh_expires_at if is_same else 0


def _unexpired(revoked: Iterable[RevokedAccessToken], now: float) -> Iterator[RevokedAccessToken]:
    return (one for one in revoked if one.expires_at > now)
