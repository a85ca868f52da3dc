"""Does the provider accept our client secret or key, and does it revoke?

It is asked with a made-up code and a made-up refresh token, so that nothing is issued or revoked.
A provider authenticates the client first (RFC 6749, 4.1.3): `invalid_grant` is said of the code,
`invalid_client` of the secret. Auth0 says `access_denied`, Keycloak `unauthorized_client`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from bff.cli.check.finding import Finding
from bff.config import Config
from bff.core.errors import (
    BFFError,
    ProviderError,
    ProviderMisconfigured,
    ProviderRejected,
)
from bff.provider import products
from bff.provider.client_certificate import METHODS
from bff.provider.endpoints import EndpointClient, TokenRequest
from bff.provider.metadata import Metadata
from bff.provider.token_response import OUR_FAULT, check_revoked

SUBJECT = "client secret"


def findings(client: EndpointClient, metadata: Metadata) -> list[Finding]:
    """Rows for the secret, for the revocation if the secret is not refused, for routes' clients."""
    found = [_secret(client, metadata)]
    if found[0].status != "failed":
        found.append(_revocation(client, metadata))
    rules = (route.token for route in client.config.routes)
    ids = dict.fromkeys(rule.client_id for rule in rules if rule.client_id and rule.client_secret)
    return found + [row for one in ids for row in _of_route(client, metadata, one)]


def _secret(client: EndpointClient, metadata: Metadata) -> Finding:
    made_up = {"code": _made_up(), "code_verifier": secrets.token_urlsafe(48)}
    try:
        request = TokenRequest(metadata.token_endpoint, key=client.proofs.key())
        client.exchange(request, made_up, client.deadline())
    except ProviderRejected as error:
        return _of_answer(error, metadata)
    except ProviderMisconfigured as error:
        meaning = f"the provider refuses this client: {error.detail}"
        return Finding(SUBJECT, "failed", meaning, _advice(client.config))
    except BFFError as error:
        meaning = f"the token endpoint gives no usable answer: {error.detail}"
        return Finding(SUBJECT, "failed", meaning, "Try it again; is the provider down?")
    return Finding(SUBJECT, "warning", "can't be seen: the provider took a made-up code")


def _of_answer(error: ProviderRejected, metadata: Metadata) -> Finding:
    # Entra looks at the form of the code first, and says `invalid_grant` of it.
    if error.error == "invalid_grant" and not products.is_entra(metadata):
        return Finding(SUBJECT, "ok", "the provider accepts it")
    unseen = f"can't be seen: the provider answers a made-up code with {error.error}"
    return Finding(SUBJECT, "warning", unseen, "Sign in once; the log says if it is refused")


def credential_variable(config: Config) -> str:
    """The variable that the secret or key comes from."""
    if config.client_auth == "private_key_jwt":
        return "AUTH0_CLIENT_PRIVATE_KEY_FILE"
    if config.client_auth in METHODS:
        return "AUTH0_CLIENT_CERTIFICATE_FILE"
    return "AUTH0_CLIENT_SECRET" + ("_FILE" if config.client_secret_file else "")


def _advice(config: Config) -> str:
    name = credential_variable(config)
    advice = f"Set {name} to what the provider has for the client of AUTH0_CLIENT_ID"
    if config.client_auth_is_set:
        return f"{advice}, and AUTH0_CLIENT_AUTH ({config.client_auth}) to how it is registered"
    return f"{advice}, which must be allowed to use authorization codes"


def _revocation(client: EndpointClient, metadata: Metadata) -> Finding:
    url = metadata.revocation_endpoint
    if url is None:
        none = "the provider has none: after a logout, refresh tokens stay valid until they expire"
        return Finding("revocation", "warning", none, "See docs/limits.md")
    try:
        response = client.revoke(url, _made_up(), client.deadline())
        check_revoked(response, client.dialect, client.clock())
    except ProviderRejected as error:
        return _of_refusal(client, error)
    except ProviderError as error:
        meaning = f"the endpoint gives no usable answer: {error.detail}"
        return Finding("revocation", "failed", meaning, "Try it again; is the provider down?")
    return Finding("revocation", "ok", "the endpoint is there, and accepts this client")


def _of_refusal(client: EndpointClient, error: ProviderRejected) -> Finding:
    code, status = error.error, error.provider_status
    if _is_refused(client, error):
        meaning = f"the endpoint refuses this client, so no logout revokes: {error.detail}"
        return Finding("revocation", "failed", meaning, _advice(client.config))
    if code == "unsupported_revocation":
        meaning = f"the endpoint isn't there, so no logout revokes (HTTP {status})"
        return Finding("revocation", "failed", meaning, "Ask who runs the provider")
    # A made-up token may be told from one that was ours (RFC 7009, 2.2.1).
    return Finding("revocation", "ok", f"the endpoint is there; of a made-up token it says {code}")


def _of_route(client: EndpointClient, metadata: Metadata, client_id: str) -> Iterator[Finding]:
    """A route's own client; it may use no codes, so its secret is shown by a revocation."""
    url = metadata.revocation_endpoint
    if url is None:
        return
    subject = f"client {client_id}"
    try:
        client.revoke(url, _made_up(), client.deadline(), client_id)
    except ProviderRejected as error:
        if _is_refused(client, error):
            meaning = f"the provider refuses it: {error.detail}"
            advice = "Correct its id in BFF_ROUTES_FILE, or its secret in the variable named there"
            yield Finding(subject, "failed", meaning, advice)
            return
    except ProviderError:
        return  # The row of the revocation says so.
    yield Finding(subject, "ok", "the provider accepts it")


def _is_refused(client: EndpointClient, error: ProviderRejected) -> bool:
    code = error.error
    return client.dialect.refuses_client(error.provider_status, code) or code in OUR_FAULT


def _made_up() -> str:
    return f"bff-check-{secrets.token_urlsafe(24)}"
