"""How does a gateway ask for every request whether its token is alive? `GET /auth/check-token`.

Made for nginx's `auth_request`: 204 lets the request through, 401 and 403 refuse it, and 503, when
nothing can be said, is an error to nginx, which refuses it too. `?scope=read:items` asks for more,
`?audience=…` for another API than that of `AUTH0_AUDIENCE`.
Anybody may call it. It tells the holder of a token whether that token lives, which its holder could
learn from any API; still, only the gateway needs to reach it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from flask import Blueprint, Response, request

from bff.core.errors import BFFError, RequestRefused
from bff.machine_api import authentication
from bff.resource_server.bearer import bearer_token
from bff.resource_server.verification import AccessTokenVerifier

SCOPES_MAX_CHARACTERS = 1000
# RFC 6749, section 3.3. They go into a header, so nothing else may be in them.
_SCOPES = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")


def create_blueprint(verifier: Callable[[], AccessTokenVerifier]) -> Blueprint:
    """The route; it looks at no cookie.

    Args:
        verifier: Gives what judges tokens for the API that asks.
    """
    blueprint = Blueprint("token_check", __name__)
    blueprint.register_error_handler(BFFError, _refused)

    @blueprint.get("/auth/check-token")
    def check_token() -> Response:
        scope = _scope()
        verifier().verify(bearer_token(request.headers.get("Authorization")), scope)
        return Response(status=204, headers={"Cache-Control": "no-store"})

    return blueprint


def _scope() -> str:
    scope = request.args.get("scope", "")
    if len(scope) > SCOPES_MAX_CHARACTERS or not (scope == "" or _SCOPES.fullmatch(scope)):
        raise RequestRefused("scope is none")
    return scope


def _refused(error: BFFError) -> Response:
    return authentication.problem(error)
