"""How does an API require a valid access token, in Flask or anywhere else?

Flask is imported by what is for Flask, when it is used: other APIs need not have it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

from bff.core.errors import BFFError, ProofInvalid, StoreUnavailable
from bff.core.keyed_hashes import KeyedHashes
from bff.resource_server import request_url
from bff.resource_server.access_refused import REALM, AccessRefused
from bff.resource_server.dpop_proof import PresentedProof
from bff.resource_server.issuer_keys import IssuerKeys
from bff.resource_server.revoked_tokens import RevokedTokenKeys, RevokedTokens, SendCommands
from bff.resource_server.schemes import DPoPMode, Schemes
from bff.resource_server.verification import AccessTokenVerifier, ExpectedAccessToken

if TYPE_CHECKING:
    from flask import Response
    from flask.typing import ResponseReturnValue

CONNECTIONS_MAX = 16
WAITS = 2
"""Upper bound for the wait for a free connection, in time-outs; then the response is 503."""

P = ParamSpec("P")

log = logging.getLogger(__name__)


class TokenGuard:
    """Requires a valid access token for requests. One per API and process.

    Args:
        issuer: The provider, exactly as in the tokens' `iss`; Auth0's ends with a slash.
        audience: The identifier of this API; it must be in `aud`.
        redis_url: The Redis of the BFF, its primary: a replica may lag behind a logout.
        deny_key: What `python -m bff deny-list-key` prints. A secret.
        redis_prefix: The BFF's `BFF_REDIS_PREFIX`.
        redis_client: Instead of `redis_url`, for Sentinel or Cluster.
        redis_timeout_seconds: Upper bound for one lookup.
        keys: The provider's keys; from its discovery document by default.
        dpop: Whether tokens that are bound to a key (RFC 9449) are taken: `off`, `allowed` beside
            others, or `required`. As Bearer they are refused in any case.
        base_url: What comes before each path where clients call this API, such as
            `https://api.example.com/orders`; a proof names it. Without it, `Host` says so.

    Raises:
        ValueError: `audience`, `redis_url` or `deny_key` is missing or malformed, or `dpop` or
            `base_url` is.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        redis_url: str = "",
        deny_key: str = "",
        redis_prefix: str = "bff",
        redis_client: redis.Redis | None = None,
        redis_timeout_seconds: float = 1.0,
        keys: IssuerKeys | None = None,
        dpop: DPoPMode = "off",
        base_url: str = "",
    ) -> None:
        if not deny_key or not (redis_url or redis_client):
            # An empty variable must not make the API accept revoked tokens.
            raise ValueError("deny_key and redis_url are needed; or see without_deny_list()")
        names = KeyedHashes.from_text(deny_key)
        client = redis_client or connect(redis_url, redis_timeout_seconds)
        revoked_tokens = RevokedTokens(sender(client), RevokedTokenKeys(redis_prefix, names))
        self._verifier = _verifier(issuer, audience, keys, revoked_tokens)
        self._take(dpop, base_url)

    @classmethod
    def without_deny_list(
        cls,
        *,
        issuer: str,
        audience: str,
        keys: IssuerKeys | None = None,
        dpop: DPoPMode = "off",
        base_url: str = "",
    ) -> TokenGuard:
        """A guard that checks the JWT alone: a logout doesn't make a token invalid."""
        guard = cls.__new__(cls)
        guard._verifier = _verifier(issuer, audience, keys, None)
        guard._take(dpop, base_url)
        return guard

    def _take(self, dpop: DPoPMode, base_url: str) -> None:
        self._schemes = Schemes(dpop, REALM)
        self._base_url = request_url.base(base_url) if base_url else ""

    def verify(
        self,
        authorization: str | None,
        scope: str = "",
        *,
        dpop: str | Sequence[str] | None = None,
        method: str = "",
        url: str = "",
    ) -> Mapping[str, Any]:
        """The claims of a request's token, which is valid and allows *scope*. For any framework.

        Args:
            authorization: The request's `Authorization` header.
            scope: Scopes, separated by spaces; Auth0's `permissions` count, too.
            dpop: The values of all its `DPoP` header fields, so that two are seen. This and the
                next two are for APIs that take tokens that are bound to a key.
            method: Its method.
            url: As the client called it, with its path not decoded; with `base_url`, path and query
                are enough.

        Raises:
            AccessRefused: The request may not proceed; it has the response to send.
        """
        try:
            token, presented = self._schemes.token(authorization), None
            if self._schemes.is_dpop(authorization):
                presented = self._presented(dpop, method, url)
            return self._verifier.verify(token, scope, presented)
        except BFFError as error:
            log.info("refused: %s %s", error.code, error.detail)
            raise AccessRefused(error, self._schemes.challenge(error, authorization)) from error

    def _presented(self, dpop: str | Sequence[str] | None, method: str, url: str) -> PresentedProof:
        fields = (dpop,) if isinstance(dpop, str) else tuple(dpop or ())
        try:
            called = request_url.placed(url, self._base_url) if url else ""
        except ValueError as error:
            raise ProofInvalid("what the API says of its URL is none") from error
        return PresentedProof(fields=fields, method=method, url=called)

    # ------------------------------------------------------------ in Flask
    @property
    def claims(self) -> Mapping[str, Any]:
        """The claims of the current request's token, after it was verified."""
        from flask import g

        return cast(Mapping[str, Any], g.bff_access_token_claims)

    def required(
        self, scope: str = ""
    ) -> Callable[[Callable[P, ResponseReturnValue]], Callable[P, ResponseReturnValue]]:
        """Decorate a view: it requires a valid token that allows *scope*.

        Args:
            scope: Scopes, separated by spaces; Auth0's `permissions` count, too.
        """

        import flask  # noqa: F401  Without it, the API fails at its start, not at a request.

        def decorate(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
                refused = self.refusal(scope)
                return view(*args, **kwargs) if refused is None else refused

            return guarded

        return decorate

    def refusal(self, scope: str = "") -> Response | None:
        """None if the request may proceed, else the error response; for `before_request`.

        401 for a missing or invalid token or proof, 403 for a missing scope, 503 without Redis or
        the provider's keys, since validity is unknown then.
        """
        from flask import Response, g, request

        authorization, dpop, url = request.headers.get("Authorization"), None, ""
        if self._schemes.is_dpop(authorization):
            dpop, url = request.headers.getlist("DPoP"), request_url.of_wsgi(request.environ)
        try:
            g.bff_access_token_claims = self.verify(
                authorization, scope, dpop=dpop, method=request.method, url=url
            )
        except AccessRefused as refused:
            return Response(refused.body, refused.status, refused.headers)
        return None


def _verifier(
    issuer: str, audience: str, keys: IssuerKeys | None, revoked_tokens: RevokedTokens | None
) -> AccessTokenVerifier:
    if not audience:
        # None would stand for any audience, so an ID token would be accepted, too.
        raise ValueError("audience is needed: the identifier of this API")
    find_keys = (keys or IssuerKeys(issuer)).find
    expected = ExpectedAccessToken(issuer=issuer, audience=audience)
    return AccessTokenVerifier(expected, find_keys, revoked_tokens)


def connect(url: str, timeout_seconds: float) -> redis.Redis:
    """Make a client that replaces a broken connection once, at once.

    All threads share a few connections: a lookup is short, so waiting for a connection is faster
    than opening one for each of many concurrent requests.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS_MAX,
        timeout=WAITS * timeout_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
    return redis.Redis(connection_pool=pool)


def sender(client: redis.Redis) -> SendCommands:
    """A function that sends commands in one round trip."""

    def send(*commands: tuple[str | bytes | float, ...]) -> list[Any]:
        try:
            with client.pipeline(transaction=False) as pipeline:
                for words in commands:
                    pipeline.execute_command(*words)  # type: ignore[no-untyped-call]
                return list(pipeline.execute())
        except (RedisError, RedisClusterException) as error:
            # The class only: a message may quote a command's arguments.
            raise StoreUnavailable(type(error).__name__) from error

    return send
