"""Where are the provider's metadata and keys cached, and when are they fetched again?"""

from __future__ import annotations

from collections.abc import Callable

from joserfc.jwk import Key

from bff.provider.cached_document import CachedDocument
from bff.provider.http_transport import Deadline, Transport
from bff.provider.jwks import JWKS
from bff.provider.jws import FindKey
from bff.provider.metadata import Metadata, fetch_metadata

METADATA_LIFETIME_SECONDS = 3600.0
KEYS_LIFETIME_SECONDS = 600.0


class Discovery:
    """Metadata and keys of one issuer, each with a lifetime.

    Args:
        transport: Fetches them.
        issuer: Exactly as in the discovery document.
        clock: Monotonic seconds.
    """

    def __init__(self, transport: Transport, issuer: str, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._issuer = issuer
        self._metadata = CachedDocument(self._fetch_metadata, METADATA_LIFETIME_SECONDS, clock)
        self._keys = CachedDocument(self._fetch_keys, KEYS_LIFETIME_SECONDS, clock)

    @property
    def loaded(self) -> bool:
        """Whether both were fetched at least once."""
        return self._metadata.loaded and self._keys.loaded

    def metadata(self, deadline: Deadline, *, any_age: bool = False) -> Metadata:
        """The metadata; with *any_age* it is fetched only if there is none yet.

        Raises:
            ProviderError: There is none yet, and it can't be fetched.
        """
        return self._metadata.of_any_age(deadline) if any_age else self._metadata.get(deadline)

    def load(self, deadline: Deadline) -> None:
        """Fetch what is missing or due; raises ProviderError."""
        self._metadata.get(deadline)
        self._keys.get(deadline)

    def find_key(self, alg: str, kid: str | None, deadline: Deadline) -> Key | None:
        """The key in the JWKS; if it isn't there, the JWKS is fetched once more.

        Source: OpenID Connect Core, 10.1.1.
        """
        key = self._keys.get(deadline).find(alg, kid)
        return key if key is not None else self._keys.renew(deadline).find(alg, kid)

    def key_finder(self, seconds: float) -> FindKey:
        """`find_key` for tokens that others send us; each lookup takes *seconds* at most.

        A pause between fetches (`CachedDocument.renew`) limits what forged tokens with unknown keys
        can cost the provider.
        """
        return lambda alg, kid: self.find_key(alg, kid, Deadline(seconds))

    def _fetch_metadata(self, deadline: Deadline) -> Metadata:
        return fetch_metadata(self._transport, self._issuer, deadline)

    def _fetch_keys(self, deadline: Deadline) -> JWKS:
        url = self._metadata.get(deadline).jwks_uri
        return JWKS(self._transport.get_json(url, deadline))
