"""How does an API ask the BFF whether an access token is alive? `POST /auth/introspect`.

For APIs in other languages, with the introspection settings that their frameworks have. Who asks
must be one of `BFF_INTROSPECTION_CLIENTS`; the route is off without any. A token that isn't alive,
whatever the reason, is `{"active": false}` and nothing else. `?audience=…` names the API that
asks, unless it is that of `AUTH0_AUDIENCE`. Source: RFC 7662; RFC 6749, 2.3.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from flask import Blueprint, Response, request
from pydantic import SecretStr
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from bff.core import audit
from bff.core.errors import BodyTooLarge, NotFound, RequestRefused, TokenInvalid
from bff.resource_server.verification import AccessTokenVerifier

BODY_MAX_BYTES = 256 * 1024
FORM = "application/x-www-form-urlencoded"
SHOWN = ("iss", "sub", "aud", "exp", "iat")


class IntrospectionClients:
    """Those who may ask.

    Args:
        pairs: `id:secret` each.
    """

    def __init__(self, pairs: Sequence[SecretStr]) -> None:
        self._digests = [_digest(pair.get_secret_value()) for pair in pairs]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def know(self, client_id: str, secret: str) -> bool:
        """Whether this is one of them; takes the same time whichever it is, and if it is none."""
        given = _digest(f"{client_id}:{secret}")
        # Not any(), which stops at the first: all are compared.
        return sum(hmac.compare_digest(given, known) for known in self._digests) > 0


def create_blueprint(
    pairs: Sequence[SecretStr], verifier: Callable[[], AccessTokenVerifier]
) -> Blueprint:
    """The route, or 404 in its place if nobody may ask.

    Args:
        pairs: Who may ask, as `id:secret`.
        verifier: Gives what judges tokens for the API that asks.
    """
    blueprint = Blueprint("introspection", __name__)
    clients = IntrospectionClients(pairs)

    @blueprint.post("/auth/introspect")
    def introspect() -> Response:
        if not clients:
            raise NotFound("no introspection clients are configured")
        form = _form()
        if form is None:
            return _refused(400, "invalid_request")
        credentials = _credentials(request.headers.get("Authorization"), form)
        if not sum(clients.know(*pair) for pair in credentials):
            audit.record("request_refused", "refused", reason="introspection_client", status=401)
            return _refused(401, "invalid_client")
        if len(form.getlist("token")) != 1:
            return _refused(400, "invalid_request")
        try:
            judge = verifier()
        except RequestRefused:
            return _refused(400, "invalid_request")
        return _answer(200, described(judge, form["token"]))

    return blueprint


def described(verifier: AccessTokenVerifier, access_token: str) -> dict[str, Any]:
    """The answer of RFC 7662, section 2.2.

    Raises:
        StoreUnavailable: Redis is away, so that nothing can be said.
        ProviderError: The provider's keys can't be had, likewise.
    """
    try:
        claims = verifier.verify(access_token)
    except TokenInvalid:
        return {"active": False}
    answer: dict[str, Any] = {"active": True, "token_type": "Bearer"}
    answer |= {name: claims[name] for name in SHOWN if name in claims}
    if isinstance(scope := claims.get("scope"), str):
        answer["scope"] = scope
    # Auth0's own dialect has `azp` where RFC 9068 has `client_id`.
    client_id = claims.get("client_id", claims.get("azp"))
    return answer | ({"client_id": client_id} if isinstance(client_id, str) else {})


def _form() -> MultiDict[str, str] | None:
    """The form, None if the body is none; raises BodyTooLarge."""
    if request.mimetype != FORM:
        return None
    request.max_content_length = BODY_MAX_BYTES
    try:
        return request.form
    except RequestEntityTooLarge as error:
        raise BodyTooLarge(f"more than {BODY_MAX_BYTES} bytes") from error


def _credentials(header: str | None, form: Mapping[str, str]) -> list[tuple[str, str]]:
    """Client id and secret as they may be meant; none if there are none, or two kinds at once.

    In a header they should be form-encoded before they are joined (RFC 6749, 2.3.1), which many
    clients don't do; so both readings are tried.
    """
    in_form = "client_secret" in form
    if header is None:
        return [(form.get("client_id", ""), form["client_secret"])] if in_form else []
    scheme, _, encoded = header.partition(" ")
    if in_form or scheme.lower() != "basic":
        return []
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return []
    client_id, _, secret = text.partition(":")
    return [(client_id, secret), (unquote_plus(client_id), unquote_plus(secret))]


def _digest(text: str) -> bytes:
    """Of one length, so that the comparison doesn't tell the length either."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _refused(status: int, error: str) -> Response:
    """RFC 6749, section 5.2; RFC 7662, section 2.3."""
    response = _answer(status, {"error": error})
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="introspection"'
    return response


def _answer(status: int, body: dict[str, Any]) -> Response:
    response = Response(json.dumps(body), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
