"""Where does an API get the provider's public keys from, and how often?

From the issuer's discovery document: at the first token, again after a while, and when a token
names an unknown key. While there are keys, an outage of the provider has no effect.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
from joserfc.jwk import Key

from bff.core.errors import ProviderUnavailable
from bff.core.signing_keys import imported_key, matching_keys
from bff.core.unknown_keys import ANYONE_BURST, ANYONE_PAUSE_SECONDS, UnknownKeys

LIFETIME_SECONDS = 600
FIRST_PAUSE_SECONDS = 1
"""Between two fetches while there are no keys."""
TIMEOUT_SECONDS = 5

log = logging.getLogger(__name__)


def fetch_json(url: str) -> Any:
    """Get the JSON document at *url*, without redirects and with a timeout.

    Raises:
        requests.RequestException: No response, or its status isn't 200.
        ValueError: The response isn't JSON.
    """
    response = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    if response.status_code != 200:
        raise requests.HTTPError(f"{url} returned {response.status_code}")
    return response.json()


class IssuerKeys:
    """The signing keys of one issuer. Thread-safe.

    Args:
        issuer: Exactly as in the tokens' `iss`, trailing slash included.
        fetch: Gets a URL and returns the parsed JSON.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        issuer: str,
        fetch: Callable[[str], Any] = fetch_json,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: list[Key] = []
        self._began_at = self._tried_at = float("-inf")
        self._unknown = UnknownKeys(ANYONE_PAUSE_SECONDS, clock, ANYONE_BURST)

    def find(self, alg: str, kid: str | None) -> Iterator[Key]:
        """The keys that a token's header names; a caller that takes none gets those fetched anew.

        Without a `kid` there must be just one.

        Raises:
            ProviderUnavailable: There are no keys, and fetching them failed; or so many unknown
                keys were asked for that this one isn't looked up at the moment.
        """
        if not self._keys:
            self._load(lambda: self._age_seconds() > FIRST_PAUSE_SECONDS)
        elif self._age_seconds() > LIFETIME_SECONDS:
            self._load(lambda: self._age_seconds() > LIFETIME_SECONDS, wait=False)
        if not self._keys:
            raise ProviderUnavailable("the issuer's signing keys can't be loaded")
        yield from matching_keys(self._keys, alg, kid)
        called_at, permission = self._clock(), self._unknown.permission(kid)
        # Even without a fetch of its own, wait for one that is under way.
        self._load(lambda: permission == "fetch" and self._began_at <= called_at)
        yield from matching_keys(self._keys, alg, kid)
        if permission == "exhausted":
            raise ProviderUnavailable("too many unknown keys were asked for")

    def _age_seconds(self) -> float:
        return self._clock() - self._tried_at

    def _load(self, is_due: Callable[[], bool], *, wait: bool = True) -> None:
        """Fetch the keys in one thread, if still due; others wait, or go on with the old ones."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            if is_due():
                self._replace()
        finally:
            self._lock.release()

    def _replace(self) -> None:
        """Replace the keys; if that fails, the old ones stay in use."""
        self._began_at = self._clock()
        try:
            document = self._fetch(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            if document["issuer"] != self._issuer:
                raise ValueError("the discovery document names another issuer")
            entries = self._fetch(document["jwks_uri"])["keys"]
            keys = [key for entry in entries if (key := imported_key(entry)) is not None]
            if not keys:
                raise ValueError("there is no signing key")
            self._keys = keys
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            log.warning("the issuer's keys can't be loaded: %s", type(error).__name__)
        self._tried_at = self._clock()
