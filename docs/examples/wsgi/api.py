"""A WSGI API without a framework that refuses access tokens revoked by a logout.

ISSUER=… AUDIENCE=… REDIS_URL=… DENY_LIST_KEY=$(bff deny-list-key) gunicorn api:application
"""

import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from bff.resource_server import AccessRefused, TokenGuard

guard = TokenGuard(
    issuer=os.environ["ISSUER"],
    audience=os.environ["AUDIENCE"],
    redis_url=os.environ["REDIS_URL"],
    redis_prefix=os.environ.get("REDIS_PREFIX", "bff"),
    deny_key=os.environ["DENY_LIST_KEY"],
)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """For callers with an active token."""
    try:
        claims = guard.verify(environ.get("HTTP_AUTHORIZATION"))
    except AccessRefused as refused:
        status = f"{refused.status} {HTTPStatus(refused.status).phrase}"
        start_response(status, list(refused.headers.items()))
        return [refused.body]
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [claims["sub"].encode()]
