"""How is the code of a sign-in exchanged, once, whoever holds the cookie of the sign-in?

A code is spent before it is sent, at all replicas. What comes of it decides whether the sign-in is
over: while the provider is away or the process is busy, the same address works later.
"""

from __future__ import annotations

import contextlib

from bff.core.errors import (
    AttemptUnknown,
    Overloaded,
    ProviderUnavailable,
    SignInSpent,
    StoreUnavailable,
)
from bff.core.model import LoginTransaction, SignIn
from bff.provider.oidc import Provider
from bff.store.sign_in_attempts import SignInAttempts


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


def may_work_later(error: Exception, transaction: LoginTransaction) -> bool:
    """Whether the callback that ended with *error* may come again with the same address.

    A silent sign-in comes back to the application instead. While another request sends the code,
    that one decides.
    """
    if isinstance(error, SignInSpent):
        return True
    later = (ProviderUnavailable, Overloaded, AttemptUnknown)
    return not transaction.silent and isinstance(error, later)
