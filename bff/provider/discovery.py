"""Where are the provider's metadata and keys cached, and when are they fetched again?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from joserfc.jwk import Key

from bff.core.signing_keys import FindKeys
from bff.core.unknown_keys import ANYONE_BURST, ANYONE_PAUSE_SECONDS, UnknownKeys
from bff.provider.cached_document import CachedDocument
from bff.provider.http_transport import Deadline, Transport
from bff.provider.jwks import JWKS
from bff.provider.key_lookup import OWN_PAUSE_SECONDS, KeyLookup
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
        self._own = KeyLookup(self._keys, UnknownKeys(OWN_PAUSE_SECONDS, clock))
        anyones = UnknownKeys(ANYONE_PAUSE_SECONDS, clock, ANYONE_BURST)
        self._anyones = KeyLookup(self._keys, anyones)

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

    def find_keys(self, alg: str, kid: str | None, deadline: Deadline) -> Iterator[Key]:
        """The keys for a token that came from the token endpoint; as `KeyLookup.find`."""
        return self._own.find(alg, kid, deadline)

    def key_finder(self, seconds: float) -> FindKeys:
        """`KeyLookup.find` for tokens that anyone can send; each takes *seconds* at most.

        Forged ones can cost the provider few fetches, and the tokens of the token endpoint none.
        """
        return lambda alg, kid: self._anyones.find(alg, kid, Deadline(seconds))

    def _fetch_metadata(self, deadline: Deadline) -> Metadata:
        return fetch_metadata(self._transport, self._issuer, deadline)

    def _fetch_keys(self, deadline: Deadline) -> JWKS:
        url = self._metadata.get(deadline).jwks_uri
        return JWKS(self._transport.get_json(url, deadline))
