"""Which provider do we talk to, in which dialect, and how is the client for it made?

`dialect` is the standard, `auth0` and `cognito` are exceptions; the choice is made here.
The other modules:

    oidc, revocation_endpoint              all that other packages request of the provider
    authorization_request, route_grants    the parameters of requests
    endpoints, client_auth,
    client_certificate                     sending one request, with one of our secrets or keys
    token_response, id_token               what a response means, and what of it is stored
    logout_token, security_event           tokens that the provider and a transmitter send us
    transmitter, signal_poll,
    signal_streams                         what we request of a transmitter
    discovery, jwks, transmitter_keys      their metadata and keys, cached
    products                               what the metadata shows of the product
    http_transport, ended_exchange,
    idle_connections                       connections and deadlines
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from bff.config import Config
from bff.provider.auth0 import Auth0Dialect
from bff.provider.cognito import CognitoDialect, is_cognito
from bff.provider.dialect import Dialect
from bff.provider.endpoints import EndpointClient


def create_endpoint_client(
    config: Config,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> EndpointClient:
    """Make the client for the configured provider; nothing is sent yet.

    `AUTH0_DOMAIN` chooses Auth0's dialect, `OIDC_ISSUER` Cognito's or the standard. An Auth0
    tenant works with `OIDC_ISSUER` as well, but for what `auth0` overrides.

    Args:
        config: The settings.
        clock: UTC epoch seconds.
        monotonic: Seconds that never go back, for the age of what is cached.

    Raises:
        ConfigError: A file with our secrets or keys can't be used.
    """
    _keep_secrets_out_of_logs()
    return EndpointClient(config, _dialect(config), clock, monotonic)


def _dialect(config: Config) -> Dialect:
    if config.auth0_domain:
        return Auth0Dialect()
    return CognitoDialect() if is_cognito(config.issuer) else Dialect()


def _keep_secrets_out_of_logs() -> None:
    """Authlib logs the PKCE verifier at DEBUG, so that level is off for it."""
    logger = logging.getLogger("authlib")
    if logger.level < logging.INFO:
        logger.setLevel(logging.INFO)
