"""Which programs may call a route of the machine API, and what does a refused one receive?

No cookie is read and no request is redirected. A route takes a fixed secret, or an access token of
the provider with a scope; its errors are always JSON that no cache may store. Source: RFC 6750
(401 and 403 with `WWW-Authenticate`).
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable

from flask import Blueprint, Response, g, request

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, TokenInvalid, TokenMissing
from bff.core.problem import problem_response, set_headers
from bff.core.request_id import request_id
from bff.machine_api.wrong_keys import WrongKeys
from bff.resource_server.bearer import bearer_token, challenge
from bff.resource_server.verification import AccessTokenVerifier

log = logging.getLogger(__name__)

REALM = "machines"
STATIC_KEY = "key"


class AdminAuth:
    """Authenticates a caller of the admin API or of Global Token Revocation.

    Args:
        config: The static key; audience and scope of access tokens.
        verifier: Verifies access tokens for that audience.
    """

    def __init__(self, config: Config, verifier: AccessTokenVerifier) -> None:
        self._config = config
        self._key = config.key_reader("admin_key")
        self._scope = config.admin_scope or ""
        self._verifier = verifier if config.admin_audience and config.admin_scope else None

    @property
    def configured(self) -> bool:
        """Whether there is a key or an audience; the routes are off otherwise."""
        return self._config.admin_key is not None or self._verifier is not None

    def admit(self) -> None:
        """Authenticate the caller and remember it for `caller()`.

        Raises:
            TokenMissing: The request has neither key nor token (401).
            TokenInvalid: It has something else, or a token that is not valid (401).
            ScopeMissing: The token is valid, but lacks the scope (403).
            StoreUnavailable: Redis can't say whether the token was revoked.
            ProviderError: The provider's keys can't be loaded.
        """
        authorization = request.headers.get("Authorization")
        key = self._key()
        if key and is_secret(authorization, key):
            g.machine = STATIC_KEY
            return
        token = bearer_token(authorization)
        if self._verifier is None:
            raise TokenInvalid("not the key")
        claims = self._verifier.verify(token, self._scope)
        g.machine = (claims["iss"], claims["sub"])


class SharedSecretAuth:
    """Authenticates the only caller of a route by a fixed secret.

    Args:
        secret: Returns the caller's `Authorization` header, with or without `Bearer` before it.
        name: Names the secret in the log.
    """

    def __init__(self, secret: Callable[[], str], name: str) -> None:
        self._secret = secret
        self._name = name

    def admit(self) -> None:
        """Authenticate the caller.

        Raises:
            TokenMissing: There is no `Authorization` header (401).
            TokenInvalid: It is not the secret (401).
        """
        authorization = request.headers.get("Authorization")
        if authorization is None:
            raise TokenMissing
        if not is_secret(authorization, self._secret()):
            raise TokenInvalid(f"not {self._name}")


def caller() -> str | tuple[str, str]:
    """The caller that `AdminAuth` admitted: `key`, or issuer and subject of the access token."""
    name: str | tuple[str, str] = g.machine
    return name


def is_secret(authorization: str | None, secret: str) -> bool:
    """Whether an `Authorization` header is *secret*, with or without `Bearer` before it.

    The comparison takes constant time, so the delay doesn't show how much of a guess is right.
    """
    # WSGI gives the header's bytes as Latin-1.
    given = (authorization or "").encode("latin-1", "replace").strip()
    if given[:7].lower() == b"bearer ":
        given = given[7:].lstrip()
    return hmac.compare_digest(given, secret.encode())


def protect(blueprint: Blueprint, auth: AdminAuth | SharedSecretAuth) -> None:
    """Authenticate every request to *blueprint*; its errors are JSON, its responses not stored."""
    wrong_keys = WrongKeys()

    def authenticate() -> None:
        try:
            auth.admit()
        except BFFError as error:
            outcome: audit.Outcome = "failed" if error.status >= 500 else "refused"
            reason = f"{error.code}: {error.detail}" if error.detail else error.code
            audit.record("request_refused", outcome, reason=reason, status=error.status)
            if isinstance(error, TokenInvalid):
                wrong_keys.slow_down()
            raise

    blueprint.before_request(authenticate)
    blueprint.register_error_handler(BFFError, error_response)
    blueprint.after_request(_not_stored)


def error_response(error: BFFError) -> Response:
    """The response for *error*: always JSON, whatever `Accept` says."""
    reference = request_id()
    error.log(log, reference)
    response = problem_response(error, reference)
    set_headers(response, error, challenge(error, REALM))
    return response


def _not_stored(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
