"""What does the audit log say of the end of a sign-in?"""

from __future__ import annotations

from bff.access import session_cookie
from bff.access.step_up import is_strong
from bff.core import audit
from bff.core.errors import BFFError, SignInDenied
from bff.core.model import Identity, LoginTransaction, SignIn
from bff.provider.jws import text


def record_success(sign_in: SignIn, transaction: LoginTransaction) -> None:
    """A weaker sign-in than requested still succeeds; a route that needs more refuses it."""
    identity, wanted = sign_in.identity, tuple((transaction.acr_values or "").split())
    actor = _actor(identity)
    reasons = ["" if is_strong(wanted, identity) else "acr_not_reached", "acting" if actor else ""]
    audit.record(
        "sign_in_succeeded",
        "ok",
        reason=" ".join(filter(None, reasons)),
        session_key=session_cookie.current().session_key,
        user=identity.user,
        caller=actor,
    )


def _actor(identity: Identity) -> tuple[str, str] | None:
    """Who acts as the user, as in a support sign-in (RFC 8693, 4.1); "" as subject if unknown."""
    act = identity.claims.get("act")
    if not isinstance(act, dict):
        return None
    return text(act.get("iss")) or identity.issuer, text(act.get("sub")) or ""


def record_failure(error: BFFError) -> None:
    """A refusal, or a failure on our side or the provider's."""
    reason = f"{error.code}: {error.error}" if isinstance(error, SignInDenied) else error.code
    audit.record(
        "sign_in_failed",
        "failed" if error.status >= 500 else "refused",
        reason=reason,
        status=error.status,
    )
