"""How does a route of a Flask API ask for an access token that is alive?"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, cast

import redis
from flask import Response, g, make_response, request
from flask.typing import ResponseReturnValue
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry

from bff.core.errors import BFFError, ProviderUnavailable, StoreUnavailable
from bff.core.keyed_hashes import KeyedHashes
from bff.resource_server.bearer import bearer_token, challenge
from bff.resource_server.issuer_keys import IssuerKeys
from bff.resource_server.revoked_tokens import Ask, RevokedTokenKeys, RevokedTokens
from bff.resource_server.verification import AccessTokenVerifier, Expected

REALM = "api"
KEYS_UNAVAILABLE = "keys_unavailable"
CONNECTIONS_MAX = 16
WAITS = 2
"""So many time-outs may pass before a connection is free; then it is 503."""

P = ParamSpec("P")

log = logging.getLogger(__name__)


class TokenGuard:
    """Lets requests through whose access token is alive. One per API and process.

    Args:
        issuer: The provider, exactly as in the tokens' `iss`; Auth0's ends with a slash.
        audience: This API's identifier; it must be in `aud`.
        redis_url: The Redis of the BFF, its primary: a replica may lag behind a logout.
        deny_key: What `python -m bff deny-list-key` prints. A secret.
        redis_prefix: The BFF's `BFF_REDIS_PREFIX`.
        redis_client: Used instead of `redis_url` where that says too little (Sentinel, Cluster).
        redis_timeout_seconds: How long one look may take.
        keys: Where the provider's keys come from; its discovery document by default.

    Raises:
        ValueError: `redis_url` or `deny_key` is missing, or is none.
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
    ) -> None:
        if not deny_key or not (redis_url or redis_client):
            # An empty variable must not open the API to dead tokens.
            raise ValueError("deny_key and redis_url are needed; or see without_deny_list()")
        names = KeyedHashes.from_text(deny_key)
        client = redis_client or connect(redis_url, redis_timeout_seconds)
        revoked_tokens = RevokedTokens(asking(client), RevokedTokenKeys(redis_prefix, names))
        self._verifier = _verifier(issuer, audience, keys, revoked_tokens)

    @classmethod
    def without_deny_list(
        cls, *, issuer: str, audience: str, keys: IssuerKeys | None = None
    ) -> TokenGuard:
        """A guard that checks the JWT alone: a token lives until it expires, logout or not."""
        guard = cls.__new__(cls)
        guard._verifier = _verifier(issuer, audience, keys, None)
        return guard

    @property
    def claims(self) -> Mapping[str, Any]:
        """The claims of the request being served, once it was let through."""
        return cast(Mapping[str, Any], g.bff_access_token_claims)

    def required(
        self, scope: str = ""
    ) -> Callable[[Callable[P, ResponseReturnValue]], Callable[P, ResponseReturnValue]]:
        """Decorate a view: it runs for tokens that are alive and allow *scope*.

        Args:
            scope: What the token must allow, blank-separated; Auth0's `permissions` count as well.
        """

        def decorate(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
            @wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
                refused = self.refusal(scope)
                return view(*args, **kwargs) if refused is None else refused

            return guarded

        return decorate

    def refusal(self, scope: str = "") -> Response | None:
        """None if the request may go on, else its answer; for `before_request`.

        401 for a token that is missing or not alive, 403 for a missing scope, 503 if Redis or the
        provider's keys are away, so that nothing can be said.
        """
        try:
            token = bearer_token(request.headers.get("Authorization"))
            g.bff_access_token_claims = self._verifier.verify(token, scope)
        except BFFError as error:
            log.info("refused: %s %s", error.code, error.detail)
            return _answer(error)
        return None


def _verifier(
    issuer: str, audience: str, keys: IssuerKeys | None, revoked_tokens: RevokedTokens | None
) -> AccessTokenVerifier:
    find_key = (keys or IssuerKeys(issuer)).find
    return AccessTokenVerifier(Expected(issuer=issuer, audience=audience), find_key, revoked_tokens)


def connect(url: str, timeout_seconds: float) -> redis.Redis:
    """A client that waits no longer than that, and replaces a dead connection once and at once.

    It shares few connections between all threads: one look is short, and a crowd of requests that
    each open a connection first are slower than a crowd that waits.
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


def asking(client: redis.Redis) -> Ask:
    """Sends commands in one round trip."""

    def ask(*commands: tuple[str | bytes | float, ...]) -> list[Any]:
        try:
            with client.pipeline(transaction=False) as pipeline:
                for words in commands:
                    pipeline.execute_command(*words)  # type: ignore[no-untyped-call]
                return list(pipeline.execute())
        except (RedisError, RedisClusterException) as error:
            # The class only: a message may quote a command's arguments.
            raise StoreUnavailable(type(error).__name__) from error

    return ask


def _answer(error: BFFError) -> Response:
    """RFC 9457 and RFC 6750; why a token is dead stays in the log."""
    code = KEYS_UNAVAILABLE if isinstance(error, ProviderUnavailable) else error.code
    problem = {
        "type": "about:blank",
        "title": error.message,
        "status": error.status,
        "code": code,
    }
    response = make_response(json.dumps(problem), error.status)
    response.content_type = "application/problem+json"
    response.headers["Cache-Control"] = "no-store"
    if (asked_for := challenge(error, REALM)) is not None:
        response.headers["WWW-Authenticate"] = asked_for
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response
