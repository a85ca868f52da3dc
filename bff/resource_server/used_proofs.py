"""Which DPoP proofs has this process taken already? For APIs without a deny-list.

Other processes don't know, so a copied proof may be used once at each of them, in the minute in
which it counts. Source: RFC 9449, 11.1.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from itertools import takewhile

from bff.core.errors import ProofInvalid
from bff.resource_server.dpop_proof import LIFETIME_SECONDS, ProofName

PROOFS_MAX = 100_000
"""Some 35 MB; 550 requests each second. Only who has the key of a valid token gets one in here."""

log = logging.getLogger(__name__)


class UsedProofs:
    """Remembers proofs for as long as they could be used again. Thread-safe.

    Args:
        clock: Monotonic seconds.
        proofs_max: How many; beyond that, the oldest is forgotten.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, proofs_max: int = PROOFS_MAX
    ) -> None:
        self._clock = clock
        self._proofs_max = proofs_max
        self._used_at: dict[ProofName, float] = {}
        self._forgets = False
        self._lock = threading.Lock()

    def use(self, proof: ProofName) -> None:
        """Note that a checked proof is used now; raises ProofInvalid if it was before."""
        with self._lock:
            now = self._clock()
            for name in self._expired(now):
                del self._used_at[name]
            if proof in self._used_at:
                raise ProofInvalid("used before")
            if len(self._used_at) >= self._proofs_max:
                self._forget_oldest()
            self._used_at[proof] = now

    def _expired(self, now: float) -> list[ProofName]:
        """The oldest come first, so the first that hasn't expired is the last to look at."""
        return list(
            takewhile(lambda name: now - self._used_at[name] > LIFETIME_SECONDS, self._used_at)
        )

    def _forget_oldest(self) -> None:
        del self._used_at[next(iter(self._used_at))]
        if not self._forgets:
            self._forgets = True
            log.warning(
                "more DPoP proofs than %d in %d seconds: the oldest are forgotten, and could be "
                "used again. Logged once", self._proofs_max, LIFETIME_SECONDS,
            )  # fmt: skip
