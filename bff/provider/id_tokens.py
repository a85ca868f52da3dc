"""Is the ID token that came with a token answer the one that was to come?"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from bff.config import Config
from bff.core.errors import ProviderError
from bff.provider.discovery import Discovery
from bff.provider.http_transport import Deadline
from bff.provider.id_token import Expected, validated_claims
from bff.provider.token_response import TokenResponse

log = logging.getLogger("bff.provider")


class IDTokens:
    """Holds ID tokens against what is expected of them.

    Args:
        config: Issuer, client id, algorithms and the allowed skew.
        documents: The provider's keys.
        clock: UTC epoch seconds.
    """

    def __init__(self, config: Config, documents: Discovery, clock: Callable[[], float]) -> None:
        self._config = config
        self._documents = documents
        self._clock = clock

    def claims(self, answer: TokenResponse, deadline: Deadline, **expected: Any) -> dict[str, Any]:
        """The claims of the ID token in *answer*; *expected* as in `id_token.Expected`.

        Raises:
            IDTokenInvalid: There is none, or it failed a check.
            ProviderError: Its key can't be had.
        """
        whole = Expected(
            issuer=self._config.issuer,
            client_id=self._config.client_id,
            algorithms=self._config.id_token_algorithms,
            now=self._clock(),
            clock_skew_seconds=self._config.clock_skew_seconds,
            access_token=answer.access_token,
            **expected,
        )
        return validated_claims(
            answer.id_token,
            whole,
            lambda alg, kid: self._documents.find_key(alg, kid, deadline),
        )

    def refreshed(
        self, answer: TokenResponse, subject: str | None, deadline: Deadline
    ) -> TokenResponse:
        """Hold the ID token that a refresh may bring against the session (Core, 12.2).

        An outage is not a logout: if its key can't be had, it is dropped, and the rest goes on.

        Raises:
            IDTokenInvalid: It failed a check, or names another user than *subject*.
        """
        if answer.id_token is None:
            return answer
        try:
            self.claims(answer, deadline, subject=subject)
        except ProviderError as error:
            log.warning("a refreshed ID token can't be checked, dropped: %s", error.detail)
            return msgspec.structs.replace(answer, id_token=None)
        return answer
