"""Which errors exist, and what does a caller see of each?

One tree; every subclass of BFFError is defined in this package. A leaf sets `status`, a stable
`code` on which programs may branch, a public `message` and, for people, a `hint` that says what to
do next. The `detail` given when raising goes to the log only.
"""

from bff.core.errors.provider import (
    ClientRefused,
    ProviderError,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
    RouteTokenRefused,
    TokenResponseUnusable,
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
    ServiceWorkerInterferes,
    UpgradeRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
    UserNotFound,
)
from bff.core.errors.root import BFFError, ConfigError
from bff.core.errors.session import (
    CookiesUnreadable,
    CrossSite,
    NotSignedOut,
    SessionChanged,
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
from bff.core.errors.token import ScopeMissing, TokenInvalid, TokenMissing, TokenRefused

__all__ = [
    "BFFError",
    "BodyTooLarge",
    "CarriedHere",
    "ClientRefused",
    "ConfigError",
    "CookiesUnreadable",
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
    "ScopeMissing",
    "SealInvalid",
    "ServiceWorkerInterferes",
    "SessionChanged",
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
    "TokenInvalid",
    "TokenMissing",
    "TokenRefused",
    "TokenResponseUnusable",
    "UpgradeRefused",
    "UpstreamTimeout",
    "UpstreamUnreachable",
    "UserNotFound",
]
