"""What can be wrong with the session of a request, or with who sends it?"""

from __future__ import annotations

from bff.errors.root import BFFError


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
