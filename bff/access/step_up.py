"""Is a sign-in strong and recent enough for a route? (RFC 9470)

The ID token of the sign-in decides. A refresh changes nothing (Auth0's refreshed ID tokens have no
`amr`), so only a new sign-in helps.
"""

from __future__ import annotations

from bff.config.route import StepUp
from bff.core.errors import StepUpRequired
from bff.core.model import Identity

MULTI_FACTOR = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"
"""The `acr_values` with which Auth0 demands several factors (OpenID PAPE 1.0, section 5)."""


def check(demand: StepUp, identity: Identity, now: float, skew_seconds: int) -> None:
    """Return if *identity* meets *demand*.

    Args:
        demand: What the route requires.
        identity: How the user signed in.
        now: The present, by Redis's clock.
        skew_seconds: How far the provider's clock, from which `auth_time` comes, may be off.

    Raises:
        StepUpRequired: It doesn't; a sign-in of unknown age is not recent.
    """
    age = demand.max_age_seconds
    recent = age is None or _is_recent(identity.authenticated_at, age, now, skew_seconds)
    if not recent or not is_strong(demand.acr_values, identity):
        raise StepUpRequired(
            "the route demands it",
            acr_values=" ".join(demand.acr_values),
            max_age_seconds=age,
        )


def is_strong(acr_values: tuple[str, ...], identity: Identity) -> bool:
    """Whether the sign-in reached one of *acr_values*; true if there are none."""
    # Auth0: it puts `mfa` into `amr` instead of setting `acr` (Auth0 docs,
    # configure-step-up-authentication-for-web-apps).
    by_amr = MULTI_FACTOR in acr_values and "mfa" in identity.amr
    return not acr_values or identity.acr in acr_values or by_amr


def _is_recent(at: int | None, max_age_seconds: int, now: float, skew_seconds: int) -> bool:
    return at is not None and now - at <= max_age_seconds + skew_seconds
