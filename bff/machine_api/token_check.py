"""How does a gateway check the access token of each request? `GET /auth/check-token`.

Made for nginx's `auth_request`: 204 lets the request through, 401 and 403 refuse it. 503, when
Redis or the provider's keys are away, is an error for nginx, so it refuses the request as well.
`?scope=read:items` also requires a scope; `?audience=…` names another API than `AUTH0_AUDIENCE`.
The route needs no authentication: it only says whether the token is valid, which any API would
tell the token's holder. Only the gateway needs to reach it all the same.
"""

from __future__ import annotations

import re

from flask import Blueprint, Response, request

from bff.core.errors import BFFError, RequestRefused
from bff.machine_api import authentication
from bff.machine_api.audiences import AudienceVerifiers
from bff.resource_server.bearer import bearer_token

SCOPES_MAX_CHARACTERS = 1000
# RFC 6749, section 3.3. The scope becomes part of a header, so no other character is allowed.
_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


def create_blueprint(audiences: AudienceVerifiers) -> Blueprint:
    """The route; it reads no cookie.

    Args:
        audiences: Has the verifier for the API that asks.
    """
    blueprint = Blueprint("token_check", __name__)
    blueprint.register_error_handler(BFFError, authentication.error_response)

    @blueprint.get("/auth/check-token")
    def check_token() -> Response:
        scope = _scope()
        verifier = audiences.for_request()
        verifier.verify(bearer_token(request.headers.get("Authorization")), scope)
        return Response(status=204, headers={"Cache-Control": "no-store"})

    return blueprint


def _scope() -> str:
    scope = request.args.get("scope", "")
    if len(scope) > SCOPES_MAX_CHARACTERS or not (scope == "" or _SCOPES.fullmatch(scope)):
        raise RequestRefused("scope is none")
    return scope
