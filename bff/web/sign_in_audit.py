"""What does the audit log say of the end of a sign-in?"""

from __future__ import annotations

from bff.access import session_cookie
from bff.access.step_up import is_strong
from bff.core import audit
from bff.core.errors import BFFError, SignInDenied
from bff.core.model import LoginTransaction, SignIn


def record_success(sign_in: SignIn, transaction: LoginTransaction) -> None:
    """A weaker sign-in than requested still succeeds; a route that needs more refuses it."""
    wanted = tuple((transaction.acr_values or "").split())
    audit.record(
        "sign_in_succeeded",
        "ok",
        reason="" if is_strong(wanted, sign_in.identity) else "acr_not_reached",
        session_key=session_cookie.current().session_key,
        user=sign_in.identity.user,
    )


def record_failure(error: BFFError) -> None:
    """A refusal, or a failure on our side or the provider's."""
    reason = f"{error.code}: {error.error}" if isinstance(error, SignInDenied) else error.code
    audit.record(
        "sign_in_failed",
        "failed" if error.status >= 500 else "refused",
        reason=reason,
        status=error.status,
    )
