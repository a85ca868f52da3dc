"""Which keys does a Shared Signals transmitter sign with, and what else does its metadata say?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from joserfc.jwk import Key

from bff.core.errors import ProviderMisconfigured
from bff.core.unknown_keys import ANYONE_BURST, ANYONE_PAUSE_SECONDS, UnknownKeys
from bff.provider.cached_document import CachedDocument
from bff.provider.http_transport import Deadline, Transport
from bff.provider.jwks import JWKS
from bff.provider.key_lookup import KeyLookup
from bff.provider.metadata import acceptable

KEYS_LIFETIME_SECONDS = 600.0


class TransmitterKeys:
    """The keys of one transmitter, fetched when they are needed.

    Args:
        issuer: Exactly as in its metadata.
        jwks_url: Where its keys are; None uses its metadata.
        timeout_seconds: For a whole lookup.
        transport: The connections to it.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None,
        timeout_seconds: float,
        transport: Transport,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._timeout_seconds = timeout_seconds
        self._transport = transport
        keys = CachedDocument(self._fetch_keys, KEYS_LIFETIME_SECONDS, clock)
        self._lookup = KeyLookup(keys, UnknownKeys(ANYONE_PAUSE_SECONDS, clock, ANYONE_BURST))

    def find_keys(self, alg: str, kid: str | None) -> Iterator[Key]:
        """The keys that a token's header names; raises as `KeyLookup.find`."""
        return self._lookup.find(alg, kid, Deadline(self._timeout_seconds))

    def _fetch_keys(self, deadline: Deadline) -> JWKS:
        url = self._jwks_url or self._listed_url(deadline)
        try:
            return JWKS(self._transport.get_json(url, deadline))
        finally:
            self._transport.close()  # The next lookup is minutes away.

    def _listed_url(self, deadline: Deadline) -> str:
        document = fetch_metadata(self._transport, self._issuer, deadline)
        return endpoint_of(document, "jwks_uri", self._issuer)


def fetch_metadata(transport: Transport, issuer: str, deadline: Deadline) -> dict[str, Any]:
    """The metadata of the transmitter *issuer*.

    Raises:
        ProviderUnavailable: No response, or none that is JSON.
        ProviderMisconfigured: It names another issuer.

    Source: Shared Signals Framework 1.0, sections 7.1 and 7.2.
    """
    document = transport.get_json(metadata_url(issuer), deadline)
    found: dict[str, Any] = document if isinstance(document, dict) else {}
    if found.get("issuer") != issuer:
        raise ProviderMisconfigured("the transmitter's metadata names another issuer")
    return found


def endpoint_of(metadata: dict[str, Any], name: str, issuer: str) -> str:
    """The address *name* in the transmitter's metadata.

    Raises:
        ProviderMisconfigured: There is none with https.
    """
    url = metadata.get(name)
    if not isinstance(url, str) or not acceptable(url, issuer):
        raise ProviderMisconfigured(f"the transmitter's metadata has no https {name}")
    return url


def metadata_url(issuer: str) -> str:
    """Where the metadata is: the well-known name goes between host and path."""
    parts = urlsplit(issuer)
    path = f"/.well-known/ssf-configuration{parts.path.rstrip('/')}"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
