"""Where does an API get the provider's public keys from, and how often?

From the issuer's discovery document: at the first token, again after a while, and when a token
names an unknown key. While there are keys, an outage of the provider has no effect.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import requests
from joserfc.jwk import Key

from bff.core.errors import ProviderUnavailable
from bff.core.signing_keys import imported_key, matching_key

LIFETIME_SECONDS = 600
PAUSE_SECONDS = 10
"""Between two fetches, so that made-up key ids cause hardly any load on the provider."""
FIRST_PAUSE_SECONDS = 1
"""The same, while there are no keys."""
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
        self._tried_at = float("-inf")

    def find(self, alg: str, kid: str | None) -> Key | None:
        """Find the key that a token's header names; without a `kid` there must be just one.

        Raises:
            ProviderUnavailable: There are no keys, and fetching them failed.
        """
        if not self._keys:
            self._load(FIRST_PAUSE_SECONDS, wait=True)
        elif self._age_seconds() > LIFETIME_SECONDS:
            self._load(LIFETIME_SECONDS, wait=False)
        if not self._keys:
            raise ProviderUnavailable("the issuer's signing keys can't be loaded")
        if matching_key(self._keys, alg, kid) is None:
            self._load(PAUSE_SECONDS, wait=True)
        return matching_key(self._keys, alg, kid)

    def _age_seconds(self) -> float:
        return self._clock() - self._tried_at

    def _load(self, older_than_seconds: float, *, wait: bool) -> None:
        """Fetch the keys in one thread; others wait for it, or go on with the old ones."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            # Another thread may just have fetched them.
            if self._age_seconds() > older_than_seconds:
                self._replace()
        finally:
            self._lock.release()

    def _replace(self) -> None:
        """Replace the keys; if that fails, the old ones stay in use."""
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
