"""Which events does a token of a Shared Signals transmitter report, and about which user?"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from bff.config import Config
from bff.core.errors import TokenRefused
from bff.core.model import Group
from bff.core.signing_keys import FindKeys
from bff.provider.event_token import EventToken, ExpectedEventToken, verified_event_token
from bff.provider.jws import number, text_of

CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
SESSION_REVOKED = f"{CAEP}session-revoked"
CREDENTIAL_CHANGE = f"{CAEP}credential-change"
DEVICE_COMPLIANCE = f"{CAEP}device-compliance-change"
ASSURANCE_LEVEL = f"{CAEP}assurance-level-change"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"
ENDING = (
    SESSION_REVOKED, CREDENTIAL_CHANGE, DEVICE_COMPLIANCE, ASSURANCE_LEVEL,
    f"{RISC}account-disabled", f"{RISC}account-purged",
)  # fmt: skip
"""The events that may end sessions; a stream is asked for these."""
STATE_MAX_CHARACTERS = 200
AGE_MAX_SECONDS = 7 * 86_400
"""A transmitter that can't reach us retries for days."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """One token: what happened to whom, by the transmitter's clock."""

    issuer: str
    jti: str
    refused_from: int
    ends: dict[str, int]
    """The events that end sessions, each with its time: only sessions from before it end."""
    ignored: tuple[str, ...]
    """The other events."""
    group: Group | None
    """Whose sessions; None if nothing ends, or if the user is of another issuer."""
    verification_state: str | None = None
    """Of the verification that we have asked for; None in any other token."""


def expected_of(config: Config, issuer: str, now: float) -> ExpectedEventToken:
    """The values that tokens of the transmitter *issuer* are compared with."""
    return ExpectedEventToken(
        issuer=issuer,
        audience=config.ssf_audience or config.app_base_url,
        algorithms=config.id_token_algorithms,
        types=("secevent+jwt",),
        age_max_seconds=AGE_MAX_SECONDS,
        now=now,
        clock_skew_seconds=config.clock_skew_seconds,
    )


def validated_signal(
    token: str, expected: ExpectedEventToken, find_keys: FindKeys, provider_issuer: str
) -> Signal:
    """What *token* says, once every check has passed that needs no stored data.

    Raises:
        TokenRefused: One check failed, or the subject of an event that ends sessions is unusable.
        ProviderError: The keys can't be loaded, so the signature can't be checked.

    Source: Shared Signals Framework 1.0, section 4; CAEP 1.0, sections 3.1 and 3.3 to 3.5; RISC
    1.0, sections 2.2 and 2.3; RFC 9493.
    """
    found = verified_event_token(token, expected, find_keys)
    for name in ("sub", "exp"):
        # So that no such token is accepted as a token of another kind (4.1).
        if name in found.claims:
            raise TokenRefused("invalid_request", f"{name} is present")
    subject = found.claims.get("sub_id")
    if not isinstance(subject, dict):
        raise TokenRefused("invalid_request", "sub_id is missing or no object")
    ends = {n: _happened_at(found, e) for n, e in found.events.items() if _ends_sessions(n, e)}
    return Signal(
        issuer=expected.issuer,
        jti=found.jti,
        refused_from=found.refused_from,
        ends=ends,
        ignored=tuple(name for name in found.events if name not in ends),
        group=group_of(subject, provider_issuer) if ends else None,
        verification_state=_state(found.events.get(VERIFICATION)),
    )


def group_of(subject: dict[str, Any], provider_issuer: str) -> Group | None:
    """Whose sessions a subject identifier means; None for a user of another issuer.

    `opaque` is the provider's own user id. Of a complex subject, its session (the provider's `sid`)
    or else its user counts. A narrower member, such as a device, is ignored: we don't know devices,
    and one sign-in too many does less harm.

    Raises:
        TokenRefused: Malformed, or of a format that we can't resolve, so that nothing would end.

    Source: RFC 9493, section 3; Shared Signals Framework 1.0, section 3.
    """
    form = subject.get("format")
    if form == "iss_sub":
        issuer, name = text_of(subject, "iss"), text_of(subject, "sub")
        return Group.of_user(issuer, name) if issuer == provider_issuer else None
    if form == "opaque":
        return Group.of_user(provider_issuer, text_of(subject, "id"))
    if form == "email":
        return Group.of_email(provider_issuer, text_of(subject, "email"))
    if form == "complex":
        return _group_of_complex(subject, provider_issuer)
    raise TokenRefused("invalid_request", "the subject's format is missing or not supported")


def _group_of_complex(subject: dict[str, Any], provider_issuer: str) -> Group | None:
    session, user = subject.get("session"), subject.get("user")
    if isinstance(session, dict) and session.get("format") == "opaque":
        return Group.of_sid(provider_issuer, text_of(session, "id"))
    if isinstance(user, dict) and user.get("format") != "complex":
        return group_of(user, provider_issuer)
    raise TokenRefused("invalid_request", "the complex subject has no usable session or user")


def _ends_sessions(name: str, event: Any) -> bool:
    if name not in ENDING:
        return False
    if not isinstance(event, dict):
        raise TokenRefused("invalid_request", "an event is no object")
    if name == CREDENTIAL_CHANGE:
        # A new credential is no reason to end the sessions that began with other credentials.
        return bool(event.get("change_type") != "create")
    if name == DEVICE_COMPLIANCE:
        # Without a status nothing is said; one that we don't know is not `compliant`.
        return bool(event.get("current_status", "compliant") != "compliant")
    if name == ASSURANCE_LEVEL:
        return _is_lower(event)
    return True


def _is_lower(event: dict[str, Any]) -> bool:
    """Whether an assurance level has fallen, or may have.

    `change_direction` is optional. Without it the levels are compared, where they are numbered
    (`nist-aal2`); without a level from before, nothing is known to have fallen.
    """
    if "change_direction" in event:
        return bool(event["change_direction"] != "increase")
    before, now = event.get("previous_level"), event.get("current_level")
    if before is None or before == now:
        return False
    older, newer = _numbered(before), _numbered(now)
    return older is None or newer is None or older[0] != newer[0] or newer[1] < older[1]


def _numbered(level: object) -> tuple[str, int] | None:
    """The name of a level and its number; None if it has none."""
    found = re.fullmatch(r"(.{0,99}?)([0-9]{1,9})", level) if isinstance(level, str) else None
    return (found[1].lower(), int(found[2])) if found else None


def _state(verification: Any) -> str | None:
    """`state` of a verification (Shared Signals Framework 1.0, 8.1.4.1); None if it has none."""
    state = verification.get("state") if isinstance(verification, dict) else None
    if not isinstance(state, str) or not state.isascii():
        return None
    return state if 0 < len(state) <= STATE_MAX_CHARACTERS else None


def _happened_at(found: EventToken, event: dict[str, Any]) -> int:
    if "event_timestamp" not in event:
        return found.issued_at
    happened_at = number(event["event_timestamp"])
    if happened_at is None:
        raise TokenRefused("invalid_request", "event_timestamp is no number")
    return happened_at
