"""Which keys does a Shared Signals transmitter sign with, and where are they cached?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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
        """`jwks_uri` of the transmitter's metadata (Shared Signals Framework 1.0, 7.1 and 7.2)."""
        document = self._transport.get_json(metadata_url(self._issuer), deadline)
        found = document if isinstance(document, dict) else {}
        if found.get("issuer") != self._issuer:
            raise ProviderMisconfigured("the transmitter's metadata names another issuer")
        url = found.get("jwks_uri")
        if not isinstance(url, str) or not acceptable(url, self._issuer):
            raise ProviderMisconfigured("the transmitter's metadata has no https jwks_uri")
        return url


def metadata_url(issuer: str) -> str:
    """Where the metadata is: the well-known name goes between host and path."""
    parts = urlsplit(issuer)
    path = f"/.well-known/ssf-configuration{parts.path.rstrip('/')}"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
