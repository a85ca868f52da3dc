"""Which errors exist, and what does a caller get to see of each?

One tree. A leaf sets `status`, a stable `code` that programs may branch on, a public `message`
and, for people, a `hint` that says what to do next. The `detail` given when raising goes to the
log only.
"""

from __future__ import annotations

from collections.abc import Iterable


class BFFError(Exception):
    """Root of the tree; never raised itself.

    Args:
        detail: For the log; must not contain a token, code, cookie or session id.
        retry_after_seconds: Sent as `Retry-After` where given.
    """

    status = 500
    code = "internal_error"
    message = "Something went wrong on our side."
    hint = "Please try again. If it happens again, tell us the reference below."
    retry_after_seconds: int | None = None

    def __init__(self, detail: str = "", *, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds


# ---------------------------------------------------------------- the start


class ConfigError(BFFError):
    """The settings can't be used; `problems` holds one line for each thing that is wrong."""

    code = "config_invalid"
    message = "The settings are not valid."

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{len(problems)} problem(s) with the settings:\n{lines}")


# ---------------------------------------------------------------- the session


class SessionMissing(BFFError):
    """The request carries no session cookie, or one that names no session."""

    status, code = 401, "session_missing"
    message = "You are not signed in."
    hint = "Sign in and try again."


class SessionEnded(SessionMissing):
    """The session ended: signed out, timed out, or refused by the provider."""

    code = "session_ended"
    message = "Your session has ended."


class SignInNotFresh(BFFError):
    """The route asks for a more recent sign-in (`BFF_DEVICE_REAUTH_SECONDS`)."""

    status, code = 403, "sign_in_not_fresh"
    message = "Please confirm that it is you."
    hint = "Sign in once more, then try again."
    login_parameters = "max_age=0"


class CrossSite(BFFError):
    """Another site, or a program that doesn't prove otherwise, used the cookie."""

    status, code = 403, "cross_site"
    message = "This request did not come from this application."
    hint = "Open the application itself and try from there."


class SessionUnknown(BFFError):
    """`DELETE /auth/sessions/<id>` names no session of this user."""

    status, code = 404, "session_unknown"
    message = "There is no such session."
    hint = "Reload the list of your sessions."


# ---------------------------------------------------------------- signing in


class SignInRefused(BFFError):
    """Branch: a sign-in that can't go on. Never raised itself."""

    status, code = 400, "sign_in_refused"
    message = "You could not be signed in."
    hint = "Go back to the application and sign in again."


class ReturnToInvalid(SignInRefused):
    """`returnTo` is not a path of this application."""

    code = "return_to_invalid"
    message = "The address to return to is not part of this application."


class ParameterInvalid(SignInRefused):
    """A parameter of `/auth/login` is repeated, too long or has control characters."""

    code = "parameter_invalid"
    message = "The sign-in address has an invalid parameter."


class StateInvalid(SignInRefused):
    """The callback's `state` belongs to no sign-in that this browser began, or is too old."""

    code = "state_invalid"
    message = "This sign-in was not started in this browser, or it took too long."


class IssuerMismatch(SignInRefused):
    """The callback's `iss` is missing though announced, or names another provider (RFC 9207)."""

    code = "issuer_mismatch"
    message = "The answer came from another sign-in service."


class IDTokenInvalid(SignInRefused):
    """The ID token is missing or does not pass a check of OpenID Connect Core, 3.1.3.7."""

    status, code = 502, "id_token_invalid"
    message = "The sign-in service sent an answer that we can't accept."


class SignInTooOld(SignInRefused):
    """The provider vouched with a sign-in from before an end of all the user's sessions."""

    status, code = 403, "sign_in_too_old"
    message = "Your sessions were ended a moment ago, so you must sign in anew."
    hint = "Sign in again, and enter your password there."


class SignInDenied(SignInRefused):
    """The provider answered the authorization request with `error`; it is in `.error`."""

    status, code = 403, "sign_in_denied"
    message = "The sign-in service did not let you in."

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(detail or error)
        self.error = error


# ---------------------------------------------------------------- the provider


class ProviderError(BFFError):
    """Branch: something between us and the provider. Never raised itself."""

    status, code = 502, "provider_error"
    message = "The sign-in service could not be used."


class ProviderUnavailable(ProviderError):
    """No usable answer: refused, 5xx, 429, timeout, rubbish. Nobody is signed out by it.

    `maybe_acted` is true if the request had been sent, so that the provider may have acted on it;
    `asked_seconds` is what the provider's own `Retry-After` said.
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
    """The provider refused; the parsed OAuth error code is in `.error` (RFC 6749, 5.2)."""

    code = "provider_rejected"

    def __init__(self, error: str, status: int, detail: str = "") -> None:
        super().__init__(detail or f"{error} (HTTP {status})")
        self.error = error
        self.provider_status = status


class ProviderMisconfigured(ProviderError):
    """`invalid_client` and its like: our own registration is wrong; nobody is signed out."""

    code = "provider_misconfigured"
    message = "This application is not set up correctly with its sign-in service."
    hint = "Please tell the people who run this application."


# ---------------------------------------------------------------- the store


class StoreUnavailable(BFFError):
    """Redis refuses, hangs or is loading. An outage is not a logout (promise 5)."""

    status, code = 503, "store_unavailable"
    message = "Sessions can't be looked up at the moment."
    hint = "You have not been signed out. Please try again in a moment."
    retry_after_seconds = 2


class SealInvalid(BFFError):
    """A sealed value can't be opened with any of our keys."""

    code = "seal_invalid"


# ---------------------------------------------------------------- the proxy


class RouteUnknown(BFFError):
    """No upstream is configured for this path."""

    status, code = 404, "route_unknown"
    message = "There is no such address."
    hint = "Check the address."


class MethodNotAllowed(BFFError):
    """The method is not allowed here (RFC 9110, 15.5.6)."""

    status, code = 405, "method_not_allowed"
    message = "This method is not allowed here."
    hint = "Use another method."

    def __init__(self, detail: str = "", *, allow: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.allow = ", ".join(sorted(allow))
        """What is allowed, for the answer's `Allow`, which a 405 must have."""


class PathRefused(BFFError):
    """The path could be read in two ways, so it is refused rather than repaired."""

    status, code = 400, "path_refused"
    message = "This address is not acceptable."
    hint = "Check the address."


class RequestRefused(BFFError):
    """The request's framing or headers can't be forwarded safely."""

    status, code = 400, "request_refused"
    message = "This request is not acceptable."
    hint = "Check the request."


class LengthRequired(RequestRefused):
    """A body in chunks, under a server that can't tell a broken one from a whole one (411)."""

    status, code = 411, "length_required"
    message = "The length of the content must be announced."
    hint = "Send a Content-Length."


class BodyTooLarge(BFFError):
    """The body is larger than the limit (RFC 9110, 15.5.14)."""

    status, code = 413, "body_too_large"
    message = "The content is too large."
    hint = "Send less."


class UpgradeRefused(BFFError):
    """WebSockets are not carried by this route."""

    status, code = 501, "upgrade_unsupported"
    message = "WebSockets are not supported here."
    hint = "Use ordinary requests or server-sent events."


class UpstreamUnreachable(BFFError):
    """The upstream could not be connected to, or broke off before it answered (502)."""

    status, code = 502, "upstream_unreachable"
    message = "The service behind this address can't be reached."


class UpstreamTimeout(BFFError):
    """The upstream did not answer in time (504)."""

    status, code = 504, "upstream_timeout"
    message = "The service behind this address takes too long."


class Overloaded(BFFError):
    """More work than this process takes at once."""

    status, code = 503, "overloaded"
    message = "Too much is going on at the moment."
    retry_after_seconds = 1


class NotFound(BFFError):
    """No such page or file."""

    status, code = 404, "not_found"
    message = "There is no such page."
    hint = "Check the address."
