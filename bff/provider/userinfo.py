"""Which claims does the UserInfo endpoint have of a user, and is it that very user?

Only what a profile shows comes from there. What a sign-in was checked by comes from its ID token,
which is signed and belongs to it. Source: OpenID Connect Core 1.0, section 5.3.
"""

from __future__ import annotations

from typing import Any

from bff.config import Config
from bff.core.errors import IDTokenInvalid, ProviderMisconfigured, ProviderUnavailable
from bff.provider.endpoints import EndpointClient
from bff.provider.http_transport import Deadline
from bff.provider.metadata import acceptable
from bff.provider.storable_claims import storable

OF_THE_SIGN_IN = frozenset(
    {
        "iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "at_hash", "c_hash", "sid",
        "auth_time", "acr", "amr", "act", "org_id", "org_name",
    }
)  # fmt: skip
"""They stay as the ID token of the sign-in had them."""


def followed(claims: dict[str, Any], config: Config) -> dict[str, Any]:
    """The claims of `BFF_PROFILE_CLAIMS` that may change during a session.

    One without a value counts as missing (OpenID Connect Core, 5.3.2), and what is missing stays:
    the ID tokens of many providers have fewer claims at a refresh.
    """
    return {
        name: storable(claims[name])
        for name in config.profile_claims
        if claims.get(name) not in (None, "") and name not in OF_THE_SIGN_IN
    }


def userinfo(
    client: EndpointClient, access_token: str, subject: str, deadline: Deadline
) -> dict[str, Any]:
    """What the profile shows of the user, as the endpoint says it.

    Raises:
        ProviderUnavailable: No response, or none that is a JSON object.
        ProviderMisconfigured: There is no such endpoint, or it has no https.
        IDTokenInvalid: The claims are not those of *subject* (section 5.3.2), so none may be used.
    """
    url = client.discovery.metadata(deadline).userinfo_endpoint
    if not isinstance(url, str) or not acceptable(url, client.config.issuer):
        raise ProviderMisconfigured("BFF_USERINFO needs a userinfo_endpoint, an https URL")
    found = client.userinfo(url, access_token, deadline)
    if not isinstance(found, dict):
        raise ProviderUnavailable("UserInfo answered with something that is no JSON object")
    if found.get("sub") != subject:
        raise IDTokenInvalid("UserInfo has another sub than the ID token, or none")
    return followed(found, client.config)
