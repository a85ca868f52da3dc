"""How does an API ask whether an access token is valid? `POST /auth/introspect`.

For APIs in other languages, whose frameworks have settings for introspection. The API must be one
of `BFF_INTROSPECTION_CLIENTS`; without any the route is off. For a token that is not valid, for
whatever reason, the response is `{"active": false}` and nothing else. `?audience=…` names the API,
unless its audience is `AUTH0_AUDIENCE`. Source: RFC 7662; RFC 6749, 2.3.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from flask import Blueprint, Response, request
from pydantic import SecretStr
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from bff.config import Config
from bff.core import audit
from bff.core.errors import BodyTooLarge, RequestRefused, TokenInvalid
from bff.machine_api.audiences import AudienceVerifiers
from bff.machine_api.messages import json_response, not_configured
from bff.machine_api.wrong_keys import WrongKeys
from bff.resource_server.verification import AccessTokenVerifier

PATH = "/auth/introspect"
FORM_MAX_BYTES = 256 * 1024
"""More than elsewhere: an API passes on whatever it was sent as a token."""
FORM = "application/x-www-form-urlencoded"
SHOWN = ("iss", "sub", "aud", "exp", "iat")


class IntrospectionClients:
    """The APIs that may ask.

    Args:
        pairs: Returns `id:secret` of each.
    """

    def __init__(self, pairs: Callable[[], Sequence[SecretStr]]) -> None:
        self._pairs = pairs
        self.wrong_keys = WrongKeys()

    def __bool__(self) -> bool:
        return bool(self._pairs())

    def accept(self, client_id: str, secret: str) -> bool:
        """Whether this is one of them; it takes the same time for each and for none."""
        given = _digest(f"{client_id}:{secret}")
        # Not any(), which stops at the first match: every one is compared.
        known = [_digest(pair.get_secret_value()) for pair in self._pairs()]
        return sum(hmac.compare_digest(given, one) for one in known) > 0


def create_blueprint(config: Config, audiences: AudienceVerifiers) -> Blueprint:
    """The route for the clients in the settings, or 404 in its place if there are none."""
    blueprint = Blueprint("introspection", __name__)
    clients = IntrospectionClients(lambda: config.introspection_clients_now)
    if not clients:
        blueprint.add_url_rule(PATH, "off", not_configured, methods=["POST"])
        return blueprint

    def is_client(credentials: list[tuple[str, str]]) -> bool:
        return sum(clients.accept(*pair) for pair in credentials) > 0

    @blueprint.post(PATH)
    def introspect() -> Response:
        if request.mimetype != FORM:
            return _refused(400, "invalid_request")
        header = request.headers.get("Authorization")
        # Before the body is read: it can't make a wrong header right.
        if header is not None and not is_client(_credentials(header, {})):
            return _unknown_client(clients.wrong_keys)
        form = _form()
        if not is_client(_credentials(header, form)):
            return _unknown_client(clients.wrong_keys)
        if len(form.getlist("token")) != 1:
            return _refused(400, "invalid_request")
        try:
            verifier = audiences.for_request()
        except RequestRefused:
            return _refused(400, "invalid_request")
        return json_response(200, introspected(verifier, form["token"]))

    return blueprint


def introspected(verifier: AccessTokenVerifier, access_token: str) -> dict[str, Any]:
    """The members of the response (RFC 7662, section 2.2).

    Raises:
        StoreUnavailable: Redis can't say whether the token was revoked.
        ProviderError: The provider's keys can't be loaded.
    """
    try:
        claims = verifier.introspect(access_token)
    except TokenInvalid:
        return {"active": False}
    members: dict[str, Any] = {"active": True, "token_type": "Bearer"}
    if isinstance(confirmation := claims.get("cnf"), dict):
        # Whether the sender has the key, the API must see itself (RFC 9449, 6.2; RFC 8705, 3.2).
        members["cnf"] = confirmation
        members["token_type"] = "DPoP" if "jkt" in confirmation else "Bearer"
    members |= {name: claims[name] for name in SHOWN if name in claims}
    if isinstance(scope := claims.get("scope"), str):
        members["scope"] = scope
    # Auth0: its own dialect of access tokens has `azp` where RFC 9068 has `client_id`.
    client_id = claims.get("client_id", claims.get("azp"))
    return members | ({"client_id": client_id} if isinstance(client_id, str) else {})


def _form() -> MultiDict[str, str]:
    """The form in the body; raises BodyTooLarge."""
    request.max_content_length = FORM_MAX_BYTES
    try:
        return request.form
    except RequestEntityTooLarge as error:
        raise BodyTooLarge(f"more than {FORM_MAX_BYTES} bytes") from error


def _credentials(header: str | None, form: Mapping[str, str]) -> list[tuple[str, str]]:
    """The readings of client id and secret; none if they are missing, or in header and form.

    In a header they should be form-encoded before they are joined (RFC 6749, 2.3.1). Many clients
    don't do that, so both readings are tried.
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
    """A hash has a fixed length, so that the comparison doesn't show the length of *text*."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _unknown_client(wrong_keys: WrongKeys) -> Response:
    audit.record("request_refused", "refused", reason="introspection_client", status=401)
    wrong_keys.slow_down()
    return _refused(401, "invalid_client")


def _refused(status: int, error: str) -> Response:
    """An error as a client of RFC 7662 expects it.

    Section 2.3 there prescribes the body of RFC 6749, section 5.2, instead of problem+json.
    """
    response = json_response(status, {"error": error})
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="introspection"'
    return response
