"""What can be wrong with a signed token that a request brings?"""

from __future__ import annotations

from typing import Literal

from bff.core.errors.root import BFFError

Problem = Literal["invalid_request", "invalid_key", "invalid_issuer", "invalid_audience"]
"""The error codes of RFC 8935, section 2.4, that we use."""


class TokenMissing(BFFError):
    """The request carries no access token."""

    status, code = 401, "token_missing"
    message = "An access token is needed."
    hint = "Send it in the Authorization header, as Bearer."


class TokenInvalid(BFFError):
    """The access token is forged, expired, revoked or for another API; callers learn only that."""

    status, code = 401, "invalid_token"
    message = "The access token is not valid."
    hint = "Get a new one."


class ProofInvalid(BFFError):
    """The DPoP proof of a request is missing, forged, used before, or that of another request."""

    status, code = 401, "invalid_dpop_proof"
    message = "The proof of possession is not valid."
    hint = "Make a new one for this request, with the key that the access token is bound to."


class KeysTried(BFFError):
    """Too many wrong keys or tokens were tried; the right one is accepted all the same (429)."""

    status, code = 429, "too_many_wrong_keys"
    message = "Too many wrong keys were tried."
    hint = "Check the key, and try again in a moment."
    retry_after_seconds = 2


class ScopeMissing(BFFError):
    """The access token is valid, but doesn't allow this; the scope it needs is in `.scope`."""

    status, code = 403, "insufficient_scope"
    message = "The access token does not allow this."
    hint = "Get one with the scope that is named in WWW-Authenticate."

    def __init__(self, scope: str) -> None:
        super().__init__("a scope is missing")
        self.scope = scope


class TokenRefused(BFFError):
    """An ID token, a logout token or a security event token failed a check.

    Args:
        problem: The error code of RFC 8935, section 2.4.
        detail: Which check.
    """

    status, code = 400, "token_refused"
    message = "This token is not acceptable."

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
