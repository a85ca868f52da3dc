"""How does a gateway check the access token of each request? `GET /auth/check-token`.

Made for nginx's `auth_request`: 204 lets the request through, 401 and 403 refuse it. 503, when
Redis or the provider's keys are away, is an error for nginx, so it refuses the request as well.
`?scope=read:items` also requires a scope; `?audience=…` names another API than `AUTH0_AUDIENCE`.

With `?dpop=allowed` or `required`, tokens that are bound to a key (RFC 9449) are taken with their
proof. By it the gateway says that it tells the client's method and target, as for `/auth/verify`,
and lets no client write them. `?base_url=https://api.example.com` is then the API's address as
clients call it. A bound token is never valid as Bearer.

The route needs no authentication: it only says whether the token is valid, which any API would
tell the token's holder. Only the gateway needs to reach it all the same.
"""

from __future__ import annotations

import re

from flask import Blueprint, Response, g, request

from bff.core.errors import BFFError, RequestRefused
from bff.machine_api import authentication
from bff.machine_api.audiences import AudienceVerifiers
from bff.resource_server import request_url
from bff.resource_server.dpop_proof import PresentedProof
from bff.resource_server.schemes import Schemes

SCOPES_MAX_CHARACTERS = 1000
# RFC 6749, section 3.3. The scope becomes part of a header, so no other character is allowed.
_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


_METHOD = ("X-Original-Method", "X-Forwarded-Method")
_TARGET = ("X-Original-URI", "X-Forwarded-Uri")


def create_blueprint(audiences: AudienceVerifiers) -> Blueprint:
    """The route; it reads no cookie.

    Args:
        audiences: Has the verifier for the API that asks.
    """
    blueprint = Blueprint("token_check", __name__)
    blueprint.register_error_handler(BFFError, _refusal)

    @blueprint.get("/auth/check-token")
    def check_token() -> Response:
        scope = _scope()
        verifier = audiences.for_request()
        g.schemes, base_url = _schemes()
        authorization = request.headers.get("Authorization")
        token = g.schemes.token(authorization)
        presented = _presented(base_url) if g.schemes.is_dpop(authorization) else None
        verifier.verify(token, scope, presented)
        return Response(status=204, headers={"Cache-Control": "no-store"})

    return blueprint


def _scope() -> str:
    scope = request.args.get("scope", "")
    if len(scope) > SCOPES_MAX_CHARACTERS or not (scope == "" or _SCOPES.fullmatch(scope)):
        raise RequestRefused("scope is none")
    return scope


def _schemes() -> tuple[Schemes, str]:
    """What the gateway's configuration says: the schemes, and the API's address."""
    modes, bases = request.args.getlist("dpop"), request.args.getlist("base_url")
    if len(modes) > 1 or len(bases) > 1:
        raise RequestRefused("dpop or base_url comes twice")
    try:
        schemes = Schemes((modes or ["off"])[0], authentication.REALM)
        base_url = request_url.base((bases or [""])[0]) if schemes.takes_dpop else ""
    except ValueError as error:
        raise RequestRefused(f"dpop or base_url: {error}") from error
    return schemes, base_url


def _presented(base_url: str) -> PresentedProof:
    try:
        url = request_url.placed(_original(*_TARGET), base_url)
    except ValueError as error:
        raise RequestRefused("the original target is none") from error
    fields = tuple(request.headers.getlist("DPoP"))
    method = _original(*_METHOD)
    return PresentedProof(fields=fields, method=method, url=url, checked_by="check-token")


def _original(nginx: str, others: str) -> str:
    """The client's method or target; refused if two headers tell different ones, or none does."""
    told = {one for name in (nginx, others) if (one := request.headers.get(name, ""))}
    if len(told) != 1:
        raise RequestRefused(f"{nginx}: {len(told)} values")
    return told.pop()


def _refusal(error: BFFError) -> Response:
    response = authentication.error_response(error)
    schemes: Schemes | None = g.get("schemes")
    if schemes is not None:
        challenge = schemes.challenge(error, request.headers.get("Authorization"))
        if challenge is not None:
            response.headers["WWW-Authenticate"] = challenge
    return response
