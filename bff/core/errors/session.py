"""What can be wrong with the session of a request, or with its sender?"""

from __future__ import annotations

from urllib.parse import urlencode

from bff.core.errors.root import BFFError
from bff.core.errors.store import StoreUnavailable


class SessionMissing(BFFError):
    """The request carries no session cookie, or one that names no session."""

    status, code = 401, "session_missing"
    message = "You are not signed in."
    hint = "Sign in and try again."


class CookiesUnreadable(SessionMissing):
    """A cookie, mostly a foreign one, has a byte that is no ASCII, so the server hides them all."""

    code = "cookies_unreadable"
    message = "A cookie in your browser keeps this application from recognising you."
    hint = "Open the sign-in: if the cookie is still there, a page offers to remove it."


class SessionEnded(SessionMissing):
    """The session has ended: by a logout, by its lifetime, or by the provider."""

    code = "session_ended"
    message = "Your session has ended."


class DeviceUnproven(SessionMissing):
    """The session is bound to a browser, and the request doesn't show that it comes from there."""

    code = "device_unproven"
    message = "This request did not come from the browser that you signed in with."


class DeviceUnbound(SessionMissing):
    """`BFF_DEVICE_BINDING=require`, and the browser hasn't bound the session in time."""

    code = "device_unbound"
    message = "Your browser can't show that it is the one that you signed in with."
    hint = "Sign in again, with a browser that your organisation provides for this application."


class DeviceCheckUnavailable(BFFError):
    """The browser couldn't get the proof in time, by a failure of ours; the session continues."""

    status, code = 503, "device_check_unavailable"
    message = "Your browser can't be checked at the moment."
    hint = "You have not been signed out. Please try again in a moment."
    retry_after_seconds = 2


class DeviceProofInvalid(BFFError):
    """A browser's proof is missing or wrong, or its challenge is not acceptable any more."""

    status, code = 403, "device_proof_invalid"
    message = "This proof is not acceptable."
    hint = "Your browser repeats it by itself; otherwise sign in again."


class SessionChanged(BFFError):
    """The request is meant for another session than the one that the cookie names."""

    status, code = 409, "session_changed"
    message = "Another session has begun in this browser."
    hint = "Reload the page, look who is signed in, and try again."


class NotSignedOut(StoreUnavailable):
    """A logout could not end the session, since Redis is away."""

    code = "not_signed_out"
    message = "You are not signed out: sessions can't be reached at the moment."
    hint = "Please try to sign out again in a moment, and don't leave this computer before."


class SignInRequired(BFFError):
    """The provider renews the access token only after the user signs in again.

    The session continues: it isn't over at the provider, or that can't be told.
    """

    status, code = 401, "sign_in_required"
    message = "You need to sign in again."
    hint = "Sign in and try again."


class SignInNotFresh(BFFError):
    """The route requires a more recent sign-in (`BFF_DEVICE_REAUTH_SECONDS`)."""

    status, code = 403, "sign_in_not_fresh"
    message = "Please confirm that it is you."
    hint = "Sign in once more, then try again."
    login_parameters = "max_age=0"


class StepUpRequired(BFFError):
    """The API or its route requires a stronger or more recent sign-in (RFC 9470).

    Args:
        detail: Whether the API or the route.
        acr_values: The required values, blank-separated; empty for none.
        max_age_seconds: How old the sign-in may be; None for any age.
    """

    status, code = 401, "insufficient_user_authentication"
    message = "This needs a stronger sign-in."
    hint = "Confirm that it is you, then try again."

    def __init__(
        self, detail: str = "", *, acr_values: str = "", max_age_seconds: int | None = None
    ) -> None:
        super().__init__(detail)
        given = {"acr_values": acr_values or None, "max_age": max_age_seconds}
        self.requirements: dict[str, str | int] = {
            name: value for name, value in given.items() if value is not None
        }

    @property
    def login_parameters(self) -> str:
        """The query for the sign-in; without any requirement it asks for a new authentication."""
        return urlencode(self.requirements or {"max_age": 0})

    @property
    def challenge(self) -> str:
        """The value of `WWW-Authenticate` (RFC 9470, section 3)."""
        parameters: dict[str, str | int] = {"error": self.code, **self.requirements}
        return f"Bearer {', '.join(f'{n}={_quoted(str(v))}' for n, v in parameters.items())}"


class CrossSite(BFFError):
    """The request has the cookie, but no sign that it comes from this application."""

    status, code = 403, "cross_site"
    message = "This request did not come from this application."
    hint = "Open the application itself and try from there."


class SessionUnknown(BFFError):
    """A request to end one session names none of the user's."""

    status, code = 404, "session_unknown"
    message = "There is no such session."
    hint = "Reload the list of your sessions."


def _quoted(value: str) -> str:
    """*value* as a quoted-string (RFC 9110, 5.6.4)."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
