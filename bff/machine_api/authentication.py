"""Which programs may call the routes for machines, and how are they answered?

No cookie is looked at there and nobody is redirected. The admin API takes a static key, or an
access token of the provider with a scope; what else a caller may be is for the route to say. All
answers are JSON that nobody stores. Source: RFC 6750 (401 and 403 with `WWW-Authenticate`).
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, g, request

from bff.config import Config
from bff.core import audit
from bff.core.errors import BFFError, RequestRefused, TokenInvalid
from bff.core.problem import problem_response, set_headers
from bff.machine_api.messages import read_body
from bff.resource_server.bearer import bearer_token, challenge
from bff.resource_server.verification import AccessTokenVerifier

log = logging.getLogger(__name__)

REALM = "machines"
BODY_MAX_BYTES = 64 * 1024
STATIC_KEY = "key"


class Admins:
    """Admits who may use the admin API and Global Token Revocation.

    Args:
        config: The static key; audience and scope of access tokens.
        verifier: Judges access tokens for that audience.
    """

    def __init__(self, config: Config, verifier: AccessTokenVerifier) -> None:
        self._key = config.admin_key.get_secret_value() if config.admin_key else None
        self._scope = config.admin_scope or ""
        self._verifier = verifier if config.admin_audience and config.admin_scope else None

    @property
    def configured(self) -> bool:
        """Whether anybody can be admitted at all; the routes are off otherwise."""
        return self._key is not None or self._verifier is not None

    def admit(self) -> None:
        """Let the request pass; the caller's name is then in `caller()`.

        Raises:
            TokenMissing: It carries nothing (401).
            TokenInvalid: What it carries is neither the key nor an acceptable token (401).
            ScopeMissing: The token is good, but not for this (403).
            StoreUnavailable: It can't be told whether the token is dead.
            ProviderError: The provider's keys can't be had.
        """
        authorization = request.headers.get("Authorization")
        if self._key is not None and is_secret(authorization, self._key):
            g.machine = STATIC_KEY
            return
        token = bearer_token(authorization)
        if self._verifier is None:
            raise TokenInvalid("not the key")
        claims = self._verifier.verify(token, self._scope)
        g.machine = (claims["iss"], claims["sub"])


def caller() -> str | tuple[str, str]:
    """Who was admitted: the static key, or issuer and subject of a token."""
    name: str | tuple[str, str] = g.machine
    return name


def is_secret(authorization: str | None, secret: str) -> bool:
    """Whether an `Authorization` header is *secret*, with or without `Bearer` before it.

    Compared in constant time, so that an answer's delay doesn't tell how much of a guess is right.
    """
    # WSGI gives the header's bytes as Latin-1.
    given = (authorization or "").encode("latin-1", "replace").strip()
    if given[:7].lower() == b"bearer ":
        given = given[7:].lstrip()
    return hmac.compare_digest(given, secret.encode())


def protect(blueprint: Blueprint, admit: Callable[[], None]) -> None:
    """Make all routes of *blueprint* routes for machines: admission first, JSON only, not stored.

    Args:
        blueprint: Its routes.
        admit: Raises BFFError for a request that may not pass.
    """

    def admitted() -> None:
        try:
            admit()
        except BFFError as error:
            outcome: audit.Outcome = "failed" if error.status >= 500 else "refused"
            reason = f"{error.code}: {error.detail}" if error.detail else error.code
            audit.record("request_refused", outcome, reason=reason, status=error.status)
            raise

    blueprint.before_request(admitted)
    blueprint.register_error_handler(BFFError, problem)
    blueprint.after_request(_not_stored)


def problem(error: BFFError) -> Response:
    """The response for *error*: always JSON, whatever `Accept` says."""
    reference = audit.request_id()
    log.info("%s %s: %s [%s]", error.status, error.code, error.detail, reference)
    response = problem_response(error, reference)
    set_headers(response, error, challenge(error, REALM))
    return response


def parsed_json(text: bytes) -> Any:
    """*text* as JSON; an object that has a name twice is none, since two readers may differ.

    Raises:
        RequestRefused: It is no JSON in UTF-8.
    """
    try:
        return json.loads(text.decode(), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise RequestRefused(f"no JSON: {type(error).__name__}") from error


def json_object() -> dict[str, Any]:
    """The JSON object in the request's body.

    Raises:
        RequestRefused: It is something else, or not announced as `application/json`.
        BodyTooLarge: It is too long.
    """
    found = parsed_json(read_body(BODY_MAX_BYTES, "application/json"))
    if not isinstance(found, dict):
        raise RequestRefused("no JSON object")
    return found


def text_of(value: object, max_characters: int) -> str:
    """*value* if it is a text that can be a name: not empty, not too long, sound Unicode.

    Raises:
        RequestRefused: It is something else.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= max_characters:
        raise RequestRefused("a value is no text, empty or too long")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RequestRefused("a value has half a character in it") from error
    return value


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _not_stored(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
