"""How does an API reject access tokens that were revoked by a logout?

    guard = TokenGuard(
        issuer="https://example.eu.auth0.com/",
        audience="https://api.example.com",
        redis_url="redis://redis.internal:6379/0",
        deny_key=os.environ["DENY_LIST_KEY"],  # printed by: bff deny-list-key
    )

In Flask:

    @app.get("/items")
    @guard.required(scope="read:items")
    def items():
        return list_of(guard.claims["sub"])

Anywhere else: `guard.verify(authorization, scope)` returns the claims, or raises AccessRefused,
which has the response to send.

It needs joserfc, redis and requests, and none of the BFF's settings. It only reads Redis: `GET` and
`EXISTS` on `<prefix>:deny:*`, `<prefix>:watermark:*` and `<prefix>:{born_at}:*`. Only where tokens
that are bound to a key (`dpop=…`) are taken, it writes, too: `SET` on `<prefix>:dpop:*`.
"""

from bff.resource_server.access_refused import AccessRefused
from bff.resource_server.issuer_keys import IssuerKeys
from bff.resource_server.token_guard import TokenGuard

__all__ = ["AccessRefused", "IssuerKeys", "TokenGuard"]
