"""Which OpenID provider do we talk to, and how is the client for it made?

`oidc.Provider` is the standard; `auth0.Auth0Provider` holds Auth0's differences and nothing else.
From the outside in: `oidc` (the calls) uses `metadata`, `keys`, `id_token`, `answers` and
`client_auth` (what each message must look like), and those use `cached`, `credentials` and `http`
(how long something is held, how long a call may take).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from bff.config import Config
from bff.provider.auth0 import Auth0Provider
from bff.provider.oidc import Provider

__all__ = ["Auth0Provider", "Provider", "create_provider"]


def create_provider(config: Config, clock: Callable[[], float] = time.time) -> Provider:
    """Make the client for the configured provider; nothing is sent yet (see `warm_up`).

    `AUTH0_DOMAIN` gives Auth0's dialect. Everything else, the demo's provider too, goes by the
    standard, which covers what Auth0 does as long as the tenant lists its logout endpoint.

    Raises:
        ConfigError: A file with our secrets or keys can't be used.
    """
    _keep_secrets_out_of_logs()
    return (Auth0Provider if config.auth0_domain else Provider)(config, clock)


def _keep_secrets_out_of_logs() -> None:
    """Authlib writes the PKCE verifier at DEBUG, so that level is closed for it."""
    logger = logging.getLogger("authlib")
    if logger.level < logging.INFO:
        logger.setLevel(logging.INFO)
