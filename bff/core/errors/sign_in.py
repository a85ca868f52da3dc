"""Why can a sign-in fail?"""

from __future__ import annotations

from bff.core.errors.root import BFFError


class SignInRefused(BFFError):
    """Branch: a failed sign-in. Never raised itself."""

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
    """The callback's `state` belongs to no sign-in of this browser, or to one that is too old."""

    code = "state_invalid"
    message = "This sign-in was not started in this browser, or it took too long."


class SignInSpent(StateInvalid):
    """The code of this sign-in was sent to the provider already; it may be under way."""

    message = "This sign-in was finished already, or is being finished."


class SignInSuperseded(SignInRefused):
    """While the sign-in was under way, the user signed out in this browser."""

    code = "sign_in_superseded"
    message = "You signed out in this browser while this sign-in was under way."


class IssuerMismatch(SignInRefused):
    """The callback's `iss` names another provider, or is missing although announced (RFC 9207)."""

    code = "issuer_mismatch"
    message = "The answer came from another sign-in service."


class IDTokenInvalid(SignInRefused):
    """The ID token is missing or fails a check of OpenID Connect Core, 3.1.3.7."""

    status, code = 502, "id_token_invalid"
    message = "The sign-in service sent an answer that we can't accept."


class AuthTimeMissing(IDTokenInvalid):
    """A new authentication was demanded, and the ID token doesn't say when there was one.

    A provider that never sends `auth_time` can't prove it; no other try would.
    """

    code = "auth_time_missing"
    message = "The sign-in service doesn't say when you last entered your password."
    hint = "Trying again doesn't help. Please tell the people who run this application."


class SignInTooOld(SignInRefused):
    """The user authenticated before an end of all their sessions.

    Args:
        watermark_at: The end, if its instant was in the past when the sign-in was refused; else 0.
    """

    status, code = 403, "sign_in_too_old"
    message = "Your sessions were ended a moment ago, so you must sign in anew."
    hint = "Sign in again, and enter your password there."

    def __init__(self, detail: str = "", *, watermark_at: int = 0) -> None:
        super().__init__(detail)
        self.watermark_at = watermark_at


class SignInDenied(SignInRefused):
    """The authorization response has an `error`; it is in `.error`.

    Args:
        error: The provider's code.
        description: Its reason, as one line that may be shown.
        login_parameters: The query of the sign-in that is offered.
        other_account: It is one with another account; else the provider itself has failed.
    """

    status, code = 403, "sign_in_denied"
    message = "The sign-in service did not let you in."
    hint = "Try another account, or ask the people who run this application for access."

    def __init__(
        self,
        error: str,
        *,
        description: str = "",
        login_parameters: str = "",
        other_account: bool = True,
    ) -> None:
        # The log is plain text, in which other letters could imitate its own lines.
        super().__init__(f"{error}: {ascii(description)}" if description else error)
        self.error = error
        self.description = description
        self.login_parameters = login_parameters
        self.other_account = other_account
        if not other_account:
            self.hint = "It has failed itself. Wait a moment and sign in again."
