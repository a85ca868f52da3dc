"""Which product is the provider, as far as its metadata shows, and which settings don't fit it?

Nothing announces what is recognised here, so an address tells the product. If it is another one
after all, a warning is wrong, or a logout doesn't lead back to the application; nothing else.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from bff.config import Config
from bff.provider.metadata import Metadata


def is_keycloak(metadata: Metadata) -> bool:
    """Whether it is Keycloak."""
    path = urlsplit(metadata.authorization_endpoint).path
    return "/realms/" in path and path.endswith("/protocol/openid-connect/auth")


def is_hydra(metadata: Metadata) -> bool:
    """Whether it is Ory Hydra, which accepts a return address only with `id_token_hint`."""
    return urlsplit(metadata.end_session_endpoint or "").path.endswith("/oauth2/sessions/logout")


def is_entra(metadata: Metadata) -> bool:
    """Whether it is Microsoft Entra ID."""
    return urlsplit(metadata.authorization_endpoint).path.endswith("/oauth2/v2.0/authorize")


def warnings(metadata: Metadata, config: Config) -> list[str]:
    """What to tell an operator at the start."""
    found = []
    if is_keycloak(metadata) and "offline_access" in config.scope.split():
        found.append(
            "Keycloak ends the user's online session at a sign-in with offline_access: no single "
            "sign-on, no prompt=none and no back-channel logout. Remove it from AUTH0_SCOPE; "
            "there are refresh tokens without it"
        )
    if is_hydra(metadata) and not config.id_token_hint:
        found.append(
            "Ory Hydra leads back to this application after a logout only with "
            "BFF_LOGOUT_ID_TOKEN_HINT=true; without it, the logout ends at Hydra's own page"
        )
    if config.dpop != "off" and not metadata.supports_dpop:
        so = "no token is bound" if config.dpop == "auto" else "it may issue none but bearer tokens"
        found.append(
            f"The provider doesn't announce DPoP with ES256, so with BFF_DPOP={config.dpop} {so}; "
            "switch DPoP on there, or BFF_DPOP off"
        )
    return found + (_of_client_auth(metadata, config) if config.client_auth_is_set else [])


def _of_client_auth(metadata: Metadata, config: Config) -> list[str]:
    """The setting stands over the metadata, so an endpoint may refuse it."""
    return [
        f"AUTH0_CLIENT_AUTH is {config.client_auth}, which the provider doesn't announce for its "
        f"{name} endpoint"
        for name, is_revocation in (("token", False), ("revocation", True))
        if (announced := metadata.auth_methods(revocation=is_revocation))
        and config.client_auth not in announced
    ]
