"""Where are the provider's endpoints and keys at hand, and when are they fetched anew?"""

from __future__ import annotations

from collections.abc import Callable

from joserfc.jwk import Key

from bff.provider.cached_document import Cached
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
        issuer: To the letter.
        clock: Monotonic seconds.
    """

    def __init__(self, transport: Transport, issuer: str, clock: Callable[[], float]) -> None:
        self._transport = transport
        self._issuer = issuer
        self._metadata = Cached(self._fetch_metadata, METADATA_LIFETIME_SECONDS, clock)
        self._keys = Cached(self._fetch_keys, KEYS_LIFETIME_SECONDS, clock)

    @property
    def loaded(self) -> bool:
        """Whether both were fetched once."""
        return self._metadata.loaded and self._keys.loaded

    def metadata(self, deadline: Deadline, *, any_age: bool = False) -> Metadata:
        """The metadata; with *any_age* nothing is fetched that could be done without.

        Raises:
            ProviderError: There is none yet, and it can't be fetched.
        """
        return self._metadata.held(deadline) if any_age else self._metadata.get(deadline)

    def load(self, deadline: Deadline) -> None:
        """Have both at hand; raises ProviderError."""
        self._metadata.get(deadline)
        self._keys.get(deadline)

    def find_key(self, alg: str, kid: str | None, deadline: Deadline) -> Key | None:
        """The key from the list; an unknown one makes the list be fetched again, once.

        Source: OpenID Connect Core, 10.1.1.
        """
        key = self._keys.get(deadline).find(alg, kid)
        return key if key is not None else self._keys.renew(deadline).find(alg, kid)

    def key_finder(self, seconds: float) -> FindKey:
        """`find_key` for tokens that reach us by themselves; each look-up takes *seconds* at most.

        An unknown key makes the list be fetched again seldom only (`Cached.renew`), so that forged
        tokens don't become a storm at the provider.
        """
        return lambda alg, kid: self.find_key(alg, kid, Deadline(seconds))

    def _fetch_metadata(self, deadline: Deadline) -> Metadata:
        return fetch_metadata(self._transport, self._issuer, deadline)

    def _fetch_keys(self, deadline: Deadline) -> JWKS:
        url = self._metadata.get(deadline).jwks_uri
        return JWKS(self._transport.get_json(url, deadline))
