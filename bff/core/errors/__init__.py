"""Which errors exist, and what does a caller get to see of each?

One tree. A leaf sets `status`, a stable `code` that programs may branch on, a public `message`
and, for people, a `hint` that says what to do next. The `detail` given when raising goes to the
log only.
"""

from bff.core.errors.provider import (
    ProviderError,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
    RouteTokenRefused,
)
from bff.core.errors.request import (
    BodyTooLarge,
    CarriedHere,
    LengthRequired,
    LoopDetected,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    PathRefused,
    ProxyUnknown,
    RequestRefused,
    RouteUnknown,
    UpgradeRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from bff.core.errors.root import BFFError, ConfigError
from bff.core.errors.session import (
    CrossSite,
    NotSignedOut,
    SessionEnded,
    SessionMissing,
    SessionUnknown,
    SignInNotFresh,
    StepUpRequired,
)
from bff.core.errors.sign_in import (
    IDTokenInvalid,
    IssuerMismatch,
    ParameterInvalid,
    ReturnToInvalid,
    SignInDenied,
    SignInRefused,
    SignInTooOld,
    StateInvalid,
)
from bff.core.errors.store import SealInvalid, StoreUnavailable

__all__ = [
    "BFFError",
    "BodyTooLarge",
    "CarriedHere",
    "ConfigError",
    "CrossSite",
    "IDTokenInvalid",
    "IssuerMismatch",
    "LengthRequired",
    "LoopDetected",
    "MethodNotAllowed",
    "NotFound",
    "NotSignedOut",
    "Overloaded",
    "ParameterInvalid",
    "PathRefused",
    "ProviderError",
    "ProviderMisconfigured",
    "ProviderRejected",
    "ProviderUnavailable",
    "ProxyUnknown",
    "RequestRefused",
    "ReturnToInvalid",
    "RouteTokenRefused",
    "RouteUnknown",
    "SealInvalid",
    "SessionEnded",
    "SessionMissing",
    "SessionUnknown",
    "SignInDenied",
    "SignInNotFresh",
    "SignInRefused",
    "SignInTooOld",
    "StateInvalid",
    "StepUpRequired",
    "StoreUnavailable",
    "UpgradeRefused",
    "UpstreamTimeout",
    "UpstreamUnreachable",
]
