"""Which key of an issuer does a token's header name, and when are the keys fetched for it again?"""

from __future__ import annotations

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

    def find(self, alg: str, kid: str | None, deadline: Deadline) -> Key | None:
        """The key in the JWKS; if it isn't there, the JWKS is fetched once more.

        Raises:
            ProviderError: It can't be fetched, or not now, so that the old one decides nothing.

        Source: OpenID Connect Core, 10.1.1.
        """
        key = self._keys.get(deadline).find(alg, kid)
        if key is not None:
            return key
        permission = self._unknown.permission(kid)
        if permission == "fetch":
            return self._keys.renew(deadline).find(alg, kid)
        key = self._keys.latest(deadline).find(alg, kid)
        if key is None and permission == "exhausted":
            raise ProviderUnavailable("too many unknown keys were asked for")
        return key
