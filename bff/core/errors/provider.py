"""What can go wrong between us and the provider?"""

from __future__ import annotations

from collections.abc import Sequence

from bff.core.errors.root import BFFError


class ProviderError(BFFError):
    """Branch: errors between us and the provider. Never raised itself."""

    status, code = 502, "provider_error"
    message = "The sign-in service could not be used."


class ProviderUnavailable(ProviderError):
    """No usable response: connection refused, timeout, 5xx, 429, unreadable. No session ends by it.

    `maybe_acted` is true if the request was sent, so that the provider may have acted on it;
    `asked_seconds` is the provider's own `Retry-After`.
    """

    status, code = 503, "provider_unavailable"
    message = "The sign-in service does not answer at the moment."
    hint = "Nobody was signed out by it. Please try again in a moment."
    retry_after_seconds = 5

    def __init__(
        self, detail: str = "", *, retry_after_seconds: int | None = None, maybe_acted: bool = False
    ) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self.maybe_acted = maybe_acted
        self.asked_seconds = retry_after_seconds or 0


class ProviderRejected(ProviderError):
    """The provider rejected a request; the OAuth error code is in `.error` (RFC 6749, 5.2)."""

    code = "provider_rejected"

    def __init__(self, error: str, status: int, detail: str = "") -> None:
        super().__init__(detail or f"{error} (HTTP {status})")
        self.error = error
        self.provider_status = status


class RouteTokenRefused(BFFError):
    """The provider issues no token for this route's API, or one that must not be used.

    The session goes on: other routes may work.
    """

    status, code = 403, "route_token_refused"
    message = "You may not use this part of the application."
    hint = "Ask the people who run this application whether you should have access."


class TokenNotBound(BFFError):
    """The route demands a token that is bound to our key, and the provider issued a bearer token.

    Perhaps before DPoP was switched on: then the next renewal brings a bound one.
    """

    status, code = 502, "token_not_bound"
    message = "This part of the application can't be used safely at the moment."
    hint = "Sign in again. If it happens again, tell the people who run this application."


class ProviderMisconfigured(ProviderError):
    """`invalid_client` and similar: our registration is wrong. No session ends by it."""

    code = "provider_misconfigured"
    message = "This application is not set up correctly with its sign-in service."
    hint = "Please tell the people who run this application."
    set_by = "AUTH0_DOMAIN or OIDC_ISSUER, AUTH0_CLIENT_ID; python -m bff check"


class ClientRefused(ProviderMisconfigured):
    """The provider rejects our secret or key; the request had no effect (RFC 6749, 5.2)."""

    set_by = (
        "AUTH0_CLIENT_ID, AUTH0_CLIENT_SECRET, AUTH0_CLIENT_SECRET_FILE, AUTH0_CLIENT_AUTH, "
        "AUTH0_CLIENT_PRIVATE_KEY_FILE, AUTH0_CLIENT_CERTIFICATE_FILE; python -m bff check"
    )

    def __init__(self, error: str, status: int) -> None:
        super().__init__(f"{error} (HTTP {status})")
        self.error = error
        self.provider_status = status


class TokenResponseUnusable(ProviderUnavailable):
    """A 200 that is no token response. Refresh tokens in it must still be revoked."""

    def __init__(self, detail: str, refresh_tokens: Sequence[str] = ()) -> None:
        super().__init__(detail, maybe_acted=True)
        self.refresh_tokens = tuple(refresh_tokens)


class TransmitterUnavailable(ProviderUnavailable):
    """The transmitter of security events gave no usable response; what it has, it keeps."""

    code = "transmitter_unavailable"
    message = "The transmitter of security events does not answer at the moment."


class TransmitterRefused(ProviderError):
    """The transmitter refuses the request (4xx), or would send us elsewhere (3xx).

    `asked_seconds` is its own `Retry-After`; `status_received` the status.
    """

    code = "transmitter_refused"
    message = "The transmitter of security events refuses us."
    set_by = "BFF_SSF_TOKEN, BFF_SSF_ISSUER, BFF_SSF_POLL_URL"

    def __init__(self, detail: str, status_received: int, asked_seconds: int = 0) -> None:
        super().__init__(detail)
        self.status_received = status_received
        self.asked_seconds = asked_seconds
