"""How is the code of a sign-in exchanged, once, whoever holds the cookie of the sign-in?

A code is spent before it is sent, at all replicas. What comes of it decides whether the sign-in is
over: while the provider is away or the process is busy, the same address works later.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from bff.core.errors import (
    AttemptUnknown,
    Overloaded,
    ProviderUnavailable,
    SignInSpent,
    StoreUnavailable,
)
from bff.core.model import LoginTransaction, SignIn
from bff.core.work_slots import Waiting
from bff.provider.oidc import Provider
from bff.store.sign_in_attempts import SignInAttempts

POLL_SECONDS = 0.1
RESPONSE_SECONDS = 0.3
"""Until the response of the request that has finished the sign-in is at the browser."""


class CodeExchange:
    """Exchanges codes.

    Args:
        provider: Issued them.
        attempts: Which sign-ins are spent.
    """

    def __init__(self, provider: Provider, attempts: SignInAttempts) -> None:
        self._provider = provider
        self._attempts = attempts

    def sign_in(self, code: str, transaction: LoginTransaction) -> SignIn:
        """Exchange *code*.

        Raises:
            SignInSpent: It was sent already.
            AttemptUnknown: Redis is away.
            ProviderError, IDTokenInvalid, AuthTimeMissing, Overloaded: As `Provider.exchange_code`.
        """
        try:
            self._attempts.take(transaction.state)
        except StoreUnavailable as error:
            raise AttemptUnknown(error.detail) from error
        try:
            return self._provider.exchange_code(code, transaction)
        except (ProviderUnavailable, Overloaded):
            with contextlib.suppress(StoreUnavailable):
                self._attempts.give_back(transaction.state)
            raise

    def fail(self, transaction: LoginTransaction) -> None:
        """Tell those who wait that the sign-in whose code was sent has failed for good."""
        with contextlib.suppress(StoreUnavailable):
            self._attempts.fail(transaction.state)

    def wait_for_other(
        self, transaction: LoginTransaction, is_signed_in: Callable[[], bool]
    ) -> bool:
        """Whether the user is signed in, as soon as the request that has sent the code is over.

        A browser requests one address twice at a time, if a service worker has switched on
        navigation preload and doesn't use it, and shows one of the responses.
        """
        waited = False
        while not is_signed_in():
            if not self._is_under_way(transaction):
                return is_signed_in()
            waited = True
            with Waiting():
                time.sleep(POLL_SECONDS)
        if waited:
            with Waiting():
                time.sleep(RESPONSE_SECONDS)
        return True

    def _is_under_way(self, transaction: LoginTransaction) -> bool:
        try:
            return self._attempts.is_under_way(transaction.state)
        except StoreUnavailable:
            return False


def may_work_later(error: Exception, transaction: LoginTransaction) -> bool:
    """Whether the callback that ended with *error* may come again with the same address.

    A silent sign-in comes back to the application instead. While another request sends the code,
    that one decides.
    """
    if isinstance(error, SignInSpent):
        return True
    later = (ProviderUnavailable, Overloaded, AttemptUnknown)
    return not transaction.silent and isinstance(error, later)
