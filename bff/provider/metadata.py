"""What is in the provider's discovery document, and which endpoints in it are accepted?

The document must name the configured issuer exactly. With another one, even one that differs by a
slash, it is rejected: a server could otherwise supply endpoints in the name of another provider
(RFC 9700, 4.4; OpenID Connect Discovery 1.0, 4.3).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

from bff.config import LOOPBACK_HOSTS
from bff.config.host_name import netloc_as_sent
from bff.core.dpop import ALGORITHM
from bff.core.errors import ProviderMisconfigured, ProviderUnavailable
from bff.provider.http_transport import Deadline, Transport

NONE: frozenset[str] = frozenset()


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the discovery document that we use (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    revocation_endpoint: str | None = None
    end_session_endpoint: str | None = None
    userinfo_endpoint: Any = None
    """Checked only where it is used (`userinfo`)."""
    pushed_authorization_request_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False
    token_endpoint_auth_methods_supported: Any = None
    revocation_endpoint_auth_methods_supported: Any = None
    mtls_endpoint_aliases: Any = None
    dpop_signing_alg_values_supported: Any = None

    @property
    def supports_dpop(self) -> bool:
        """Whether it says that it accepts our proofs (RFC 9449, 5.1)."""
        announced = self.dpop_signing_alg_values_supported
        return _is_list(announced) and ALGORITHM in announced

    def mtls_alias(self, url: str) -> str:
        """The address in place of the endpoint *url* for a client with a TLS certificate.

        Raises:
            ProviderMisconfigured: It is no https URL.

        Source: RFC 8705, section 5.
        """
        aliases = self.mtls_endpoint_aliases if isinstance(self.mtls_endpoint_aliases, dict) else {}
        name = next((one for one in ENDPOINTS if getattr(self, one) == url), "")
        alias = aliases.get(name)
        if alias is None:
            return url
        if not isinstance(alias, str) or not acceptable(alias, self.issuer):
            raise ProviderMisconfigured(f"the alias of {name} for mTLS must be an https URL")
        return alias

    def auth_methods(self, *, revocation: bool = False) -> frozenset[str]:
        """How clients may authenticate at an endpoint; empty if the document doesn't say.

        What it doesn't say of the revocation endpoint, it says of the token endpoint.
        """
        own = self.revocation_endpoint_auth_methods_supported if revocation else None
        found = own or self.token_endpoint_auth_methods_supported
        return frozenset(one for one in found if isinstance(one, str)) if _is_list(found) else NONE


ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "revocation_endpoint",
             "end_session_endpoint", "pushed_authorization_request_endpoint")  # fmt: skip


def fetch_metadata(transport: Transport, issuer: str, deadline: Deadline) -> Metadata:
    """Fetch and check the document of *issuer*.

    Raises:
        ProviderUnavailable: No response, or not a discovery document.
        ProviderMisconfigured: It names another issuer, or an endpoint without https.

    Source: OpenID Connect Discovery 1.0, sections 4.1 to 4.3.
    """
    return checked_metadata(transport.get_json(metadata_url(issuer), deadline), issuer)


def metadata_url(issuer: str) -> str:
    """Where the document of *issuer* is."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def checked_metadata(document: Any, issuer: str) -> Metadata:
    """The metadata in *document*; raises like `fetch_metadata`."""
    if isinstance(document, dict):
        # Some providers write null, "", false or [] for what they don't have.
        document = {name: one for name, one in document.items() if one}
    try:
        metadata = msgspec.convert(document, Metadata)
    except msgspec.ValidationError as error:
        raise ProviderUnavailable(f"the discovery document is not one: {error}") from error
    if metadata.issuer != issuer:
        raise ProviderMisconfigured(
            f"the provider calls itself {metadata.issuer[:200]!r}, configured is {issuer!r}"
        )
    for name in ENDPOINTS:
        value = getattr(metadata, name)
        if value is not None and not acceptable(value, issuer):
            raise ProviderMisconfigured(f"{name} of the provider must be an https URL")
    return metadata


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def acceptable(url: str, issuer: str) -> bool:
    """https; plain http only on the loopback, and only if the issuer is there, too."""
    try:
        parts = urlsplit(url)
        url.encode()  # JSON can express half a character, and a redirect can't.
        netloc_as_sent(parts)
    except ValueError:
        return False
    if parts.username or parts.password or parts.fragment:
        return False
    if any(character <= " " or character == "\\" for character in url):
        return False
    plain = issuer.startswith("http://") and parts.hostname in LOOPBACK_HOSTS
    return parts.scheme == "https" or (parts.scheme == "http" and plain)
