"""Which keys of an issuer does a token's header name, and when are they fetched for it again?"""

from __future__ import annotations

from collections.abc import Iterator

from joserfc.jwk import Key

from bff.core.errors import ProviderUnavailable
from bff.core.unknown_keys import UnknownKeys
from bff.provider.cached_document import CachedDocument
from bff.provider.http_transport import Deadline
from bff.provider.jwks import JWKS

OWN_PAUSE_SECONDS = 1.0
"""Between two fetches for the same unknown key id, for tokens of the token endpoint. Only the
provider causes these fetches, and users wait for the new key."""


class KeyLookup:
    """Finds the keys for tokens of one kind of sender.

    Args:
        keys: The issuer's, shared by all lookups.
        unknown: Limits the fetches for the sake of these tokens.
    """

    def __init__(self, keys: CachedDocument[JWKS], unknown: UnknownKeys) -> None:
        self._keys = keys
        self._unknown = unknown

    def find(self, alg: str, kid: str | None, deadline: Deadline) -> Iterator[Key]:
        """The keys in the JWKS; a caller that takes none gets those of a JWKS that is fetched anew.

        Raises:
            ProviderError: It can't be fetched, or not now, so that the old one decides nothing.

        Source: OpenID Connect Core, 10.1.1.
        """
        yield from self._keys.get(deadline).find(alg, kid)
        permission = self._unknown.permission(kid)
        is_due = permission == "fetch"
        jwks = self._keys.renew(deadline) if is_due else self._keys.latest(deadline)
        yield from jwks.find(alg, kid)
        if permission == "exhausted":
            raise ProviderUnavailable("too many unknown keys were asked for")
