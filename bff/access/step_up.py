"""Is this sign-in strong and fresh enough for what it is used for? (RFC 9470)

Judged by what the ID token of the sign-in said. A refresh brings none of it (Auth0's refreshed ID
tokens have no `amr`) and changes none of it, so only a new sign-in helps.
"""

from __future__ import annotations

from bff.config.route import StepUp
from bff.core.errors import StepUpRequired
from bff.core.model import Identity

MULTI_FACTOR = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"
"""What Auth0 is asked for by `acr_values` (OpenID PAPE 1.0, 5); its `amr` then has `mfa`."""


def check(demand: StepUp, identity: Identity, now: float, skew_seconds: int) -> None:
    """Return if *identity* meets *demand*.

    Args:
        demand: What a route wants.
        identity: How the person signed in.
        now: The deciding instant, by Redis's clock.
        skew_seconds: How far the provider's clock, which `auth_time` is of, may be off.

    Raises:
        StepUpRequired: It doesn't; an `auth_time` that is missing is not fresh.
    """
    age = demand.max_age_seconds
    fresh = age is None or _is_fresh(identity.auth_time, age, now, skew_seconds)
    if not fresh or not is_strong(demand.acr_values, identity):
        raise StepUpRequired(
            "the route demands it",
            acr_values=" ".join(demand.acr_values),
            max_age_seconds=age,
        )


def is_strong(acr_values: tuple[str, ...], identity: Identity) -> bool:
    """Whether one of *acr_values* was reached; always, if there are none.

    Source: Auth0 docs, configure-step-up-authentication-for-web-apps (`amr` contains `mfa`).
    """
    by_amr = MULTI_FACTOR in acr_values and "mfa" in identity.amr
    return not acr_values or identity.acr in acr_values or by_amr


def _is_fresh(auth_time: int | None, max_age: int, now: float, skew_seconds: int) -> bool:
    return auth_time is not None and now - auth_time <= max_age + skew_seconds
