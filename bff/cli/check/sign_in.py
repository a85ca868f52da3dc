"""Would a sign-in come back to us, for the right API, and with a refresh token?

The provider gets the authorization request of a sign-in with `prompt=none` and no cookie. An error
that it sends to our callback shows that it knows the address; to another one it must not redirect,
so it shows a page (RFC 6749, 4.1.2.1). The same without `prompt` shows whether it knows the API.
With pushed requests they are pushed, and expire unused.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from bff.cli.check.finding import Finding
from bff.config import Config
from bff.core.errors import BFFError, ProviderMisconfigured, ProviderRejected
from bff.core.model import Identity, LoginTransaction
from bff.provider import products
from bff.provider.endpoints import EndpointClient
from bff.provider.metadata import Metadata
from bff.provider.oidc import Provider
from bff.provider.token_response import INTERACTION

CALLBACK = "callback address"
OF_THE_ADDRESS = frozenset({"invalid_redirect_uri", "invalid_request"})
"""What a push says of an address that isn't registered (RFC 9126, 2.3; RFC 7591, 3.2.2)."""
ERROR_PAGE = "with a page"
OF_THE_API = frozenset({"invalid_target", "access_denied", ERROR_PAGE})
"""RFC 8707, 2; Auth0 says `access_denied` of an unknown API."""


@dataclass(frozen=True, slots=True)
class Response:
    """What the provider made of the request."""

    callback: bool | None
    """Whether it knows our callback; None if that can't be seen."""
    error: str = ""
    """What it says of the rest; empty if it would ask the user now."""
    shown: str = ""
    """How it answered."""


class NoTokens:
    """Takes the refresh tokens of rejected responses, of which there are none here."""

    def discard(
        self, refresh_token: str, client_id: str | None, owner: Identity | None = None
    ) -> None:
        """Do nothing."""


def findings(client: EndpointClient, metadata: Metadata) -> list[Finding]:
    """Rows for callback, API and refresh token."""
    config, response = client.config, Response(None)
    try:
        response = _response(client, metadata, prompt="none")
        if response.callback and not response.error and config.audience is not None:
            # Without a session, some look at the API only if they may ask the user.
            asked = _response(client, metadata)
            error = ERROR_PAGE if asked.callback is False else asked.error
            response = replace(response, error=error)
        found = [*_callback(config, response), *_refused(config, response)]
    except ProviderMisconfigured as error:
        found = [_not_pushed(metadata, error)]
    except BFFError as error:
        meaning = f"the provider gives no usable answer: {error.detail}"
        found = [Finding(CALLBACK, "failed", meaning, "Try it again; is the provider down?")]
    return [*found, *_api(config, metadata, response), _refresh_token(config, metadata)]


# ---------------------------------------------------------------- the request
def _response(client: EndpointClient, metadata: Metadata, **parameters: str) -> Response:
    transaction = LoginTransaction(
        state=secrets.token_urlsafe(16),
        nonce=secrets.token_urlsafe(16),
        code_verifier=secrets.token_urlsafe(48),
        return_to="/",
        started_at=int(time.time()),
    )
    provider = Provider(client, NoTokens())
    try:
        url = provider.authorization_url(transaction, parameters)
    except ProviderRejected as error:
        known = False if error.error in OF_THE_ADDRESS else None
        return Response(known, error.error, f"{error.error} (HTTP {error.provider_status})")
    page = client.page(url, client.deadline())
    return _read(page, metadata.authorization_endpoint, client.config.redirect_uri)


def _read(page: requests.Response, endpoint: str, redirect_uri: str) -> Response:
    status = page.status_code
    if 400 <= status < 500:
        return Response(False, shown=f"a page with HTTP {status}")
    if not page.is_redirect:
        return Response(None, shown=f"a page with HTTP {status}")
    target = urlsplit(urljoin(endpoint, page.headers["Location"]))
    said = parse_qs(target.query) | parse_qs(target.fragment)
    if target._replace(query="", fragment="").geturl() == redirect_uri:
        error = said.get("error", [""])[0]
        return Response(True, "" if error in INTERACTION else error)
    # Some have a page of their own for it.
    is_error = bool({"error", "authError"} & said.keys()) or "error" in target.path.lower()
    return Response(False if is_error else None, shown=f"a redirect to {target.path}")


# ---------------------------------------------------------------- what it means
def _callback(config: Config, response: Response) -> list[Finding]:
    address = config.redirect_uri
    if response.callback:
        return [Finding(CALLBACK, "ok", f"the provider knows {address}")]
    if response.callback is None:
        if response.error:
            return []  # A row of its own says what was refused first.
        unseen = f"can't be seen: the provider answers with {response.shown}"
        return [Finding(CALLBACK, "warning", unseen, f"Sign in once; {address} must be registered")]
    pushing = ". It may also demand pushed requests (BFF_PAR)" if config.par == "off" else ""
    refused = f"the provider doesn't accept {address} for this client: {response.shown}"
    register = (
        "Register the address at the provider, for the client of AUTH0_CLIENT_ID; or set "
        f"APP_BASE_URL to the one that is registered{pushing}"
    )
    return [Finding(CALLBACK, "failed", refused, register)]


def _not_pushed(metadata: Metadata, error: ProviderMisconfigured) -> Finding:
    if metadata.pushed_authorization_request_endpoint is None:
        advice = "Set BFF_PAR to auto, or switch pushed requests on at the provider"
        return Finding("pushed requests", "failed", error.detail, advice)
    unseen = f"can't be seen: the provider refuses this client: {error.detail}"
    return Finding(CALLBACK, "warning", unseen)


def _refused(config: Config, response: Response) -> list[Finding]:
    error = response.error
    if not error or response.callback is False or _is_of_the_api(config, error):
        return []
    advice = {
        "invalid_scope": "Set AUTH0_SCOPE to scopes that this client may have",
        "unauthorized_client": "Allow the client of AUTH0_CLIENT_ID to use authorization codes",
    }.get(error, "Look into the provider's log; AUTH0_SCOPE and BFF_LOGIN_PARAMETERS are in it")
    return [Finding("sign-in", "failed", f"the provider refuses the request: {error}", advice)]


def _is_of_the_api(config: Config, error: str) -> bool:
    return error in OF_THE_API and config.audience is not None


def _api(config: Config, metadata: Metadata, response: Response) -> list[Finding]:
    if config.audience is not None:
        if _is_of_the_api(config, response.error):
            meaning = f"the provider refuses {config.audience}: {response.error}"
            advice = "Set AUTH0_AUDIENCE to the identifier of an API that the provider knows"
            return [Finding("audience", "failed", meaning, advice)]
        if not response.callback:
            return []  # The row of the callback says why nothing can be seen.
        return [Finding("audience", "ok", f"the provider doesn't refuse {config.audience}")]
    of_session = [r.prefix for r in config.routes if r.token.is_of_session]
    if not of_session or products.is_keycloak(metadata):
        return [Finding("audience", "ok", "none is asked for, and none is needed")]
    meaning = f"no API is named, so access tokens may be none that {of_session[0]} can check"
    advice = "Set AUTH0_AUDIENCE to the identifier of the API (Auth0: else the token is opaque)"
    return [Finding("audience", "warning", meaning, advice)]


def _refresh_token(config: Config, metadata: Metadata) -> Finding:
    asked = {"offline_access", "online_access"} & set(config.scope.split())
    if asked or products.is_keycloak(metadata):
        how = f"asked for ({asked.pop()})" if asked else "issued without being asked for"
        unseen = "rotation and its overlap can't be seen from here: docs/auth0.md says how to set"
        return Finding("refresh token", "ok", f"{how}; {unseen}")
    meaning = "none is asked for: a session ends in effect when its access token expires"
    return Finding("refresh token", "warning", meaning, "Add offline_access to AUTH0_SCOPE")
