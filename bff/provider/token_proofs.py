"""Which requests to the provider prove a key (DPoP), with which key and which nonce?

Every request for an access token, unless it is for a route with `dpop = "never"`. The answer says
whether the token is bound to the key; `BFF_DPOP=required` takes no other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import requests

from bff.config import Config
from bff.config.route import TokenRule
from bff.core.dpop import BoundToken, DPoPKey, DPoPKeys, usable_nonce
from bff.core.errors import ProviderError, ProviderRejected, ProviderUnavailable
from bff.provider.discovery import Discovery
from bff.provider.expected_token import Expected
from bff.provider.http_transport import Deadline, Transport, json_of
from bff.provider.token_response import TokenResponse

NONCE_DEMANDED = "use_dpop_nonce"
"""RFC 9449, section 8."""

log = logging.getLogger("bff.provider")
_T = TypeVar("_T")


class TokenProofs:
    """The proofs that go to the provider; safe for threads.

    Args:
        config: `BFF_DPOP`, and the secrets that the keys are derived from.
        discovery: The provider's metadata.
        clock: UTC epoch seconds.
    """

    def __init__(self, config: Config, discovery: Discovery, clock: Callable[[], float]) -> None:
        self._mode = config.dpop
        self._timeout_seconds = config.provider_timeout_seconds
        self._discovery = discovery
        self._keys = DPoPKeys((one.get_secret_value() for one in config.secrets), clock)
        self._nonce = ""
        self._userinfo_nonce = ""
        self._warned = False

    # ------------------------------------------------------------ which key
    def key(self, rule: TokenRule | None = None) -> DPoPKey | None:
        """The key for a new access token; None if it is to be a bearer token.

        Args:
            rule: The token's; None for the session's own.

        Raises:
            ProviderError: There is no metadata yet, and it can't be fetched.
        """
        if self._mode == "off" or (rule is not None and rule.dpop == "never"):
            return None
        if self._mode == "auto":
            deadline = Deadline(self._timeout_seconds)
            if not self._discovery.metadata(deadline, any_age=True).supports_dpop:
                return None
        return self._keys.newest

    def key_of_code(self, jkt: str) -> DPoPKey | None:
        """The key that the code of a sign-in is bound to, also after a rotation of the secret.

        Args:
            jkt: `LoginTransaction.dpop_jkt`.
        """
        return self._keys.of(jkt) or self.key()

    def jkt_of_sign_in(self) -> str:
        """The thumbprint that a sign-in begins with; empty if no proofs are sent.

        Also without metadata: the authorization request, which needs it too, tells why.
        """
        try:
            key = self.key()
        except ProviderError:
            return ""
        return key.jkt if key else ""

    def expected(self, key: DPoPKey | None, *, any_type: bool) -> Expected:
        """What a request that has proved *key* may get."""
        if key is None:
            return Expected(any_type=any_type)
        required = self._mode == "required"
        return Expected(any_type=any_type, jkt=key.jkt, only_bound=required)

    # ------------------------------------------------------------ the token endpoint
    def at_token_endpoint(self, key: DPoPKey, url: str) -> str:
        """A new proof for one request to the token endpoint."""
        return key.proof("POST", url, nonce=self._nonce)

    def note_nonce(self, response: requests.Response) -> None:
        """Keep the nonce that the token endpoint wants next, if it says one (section 8.2)."""
        self._nonce = usable_nonce(response.headers.get("DPoP-Nonce")) or self._nonce

    def with_nonce(self, ask: Callable[[], _T]) -> _T:
        """What *ask* returns; asked once more if the provider demands a nonce and gives one.

        Source: RFC 9449, section 8: such a request had no effect.
        """
        before = self._nonce
        try:
            return ask()
        except ProviderRejected as error:
            if error.error != NONCE_DEMANDED:
                raise
            if self._nonce == before:
                raise ProviderUnavailable("a nonce is demanded, and none was given") from error
        try:
            return ask()
        except ProviderRejected as error:
            if error.error != NONCE_DEMANDED:
                raise
            raise ProviderUnavailable("a nonce is demanded again and again") from error

    def note_downgrade(self, expected: Expected, response: TokenResponse) -> None:
        """Warn once if a proof was sent and a bearer token came, which `auto` accepts."""
        if expected.jkt and not response.jkt and not self._warned and not expected.any_type:
            self._warned = True
            log.warning(
                "the provider issues bearer tokens though proofs are sent (BFF_DPOP is auto): "
                "switch DPoP on for the API or the application there"
            )

    # ------------------------------------------------------------ UserInfo
    def get_json(
        self, transport: Transport, url: str, token: BoundToken, deadline: Deadline
    ) -> Any:
        """What *url* answers to a request with a bound token, of any JSON type.

        Raises:
            ProviderUnavailable: No response, or one that is no 200 with JSON; or the token is bound
                to a key that isn't configured any more.

        Source: RFC 9449, sections 7.1 and 9.
        """
        key = self._keys.of(token.jkt)
        if key is None:
            raise ProviderUnavailable("the access token is bound to a key of an older secret")
        before = self._userinfo_nonce
        response = self._get(transport, url, token, key, deadline)
        if response.status_code == 401 and self._userinfo_nonce != before:
            response = self._get(transport, url, token, key, deadline)
        return json_of(response, url)

    def _get(
        self, transport: Transport, url: str, token: BoundToken, key: DPoPKey, deadline: Deadline
    ) -> requests.Response:
        proof = key.proof("GET", url, access_token=token, nonce=self._userinfo_nonce)
        fields = {"Accept": "application/json", "Authorization": f"DPoP {token}", "DPoP": proof}
        response = transport.get(url, deadline, **fields)
        nonce = usable_nonce(response.headers.get("DPoP-Nonce"))
        self._userinfo_nonce = nonce or self._userinfo_nonce
        return response
