"""What are a session, its tokens and a sign-in under way? Frozen data; no input or output here."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class RevokedAccessToken(msgspec.Struct, frozen=True):
    """An access token that a refresh has replaced; it still opens APIs until `expires_at`."""

    deny_id: str
    """The name under which the deny-list would know it; not the token."""
    expires_at: int


class RouteToken(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for one API, beside that of the session itself."""

    name: str
    """The rule that it was made by (`TokenRule.name`)."""
    access_token: str
    expires_at: int
    issued_at: int
    scope: str = ""
    """What was granted; it may be less than what was asked for."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider gave for one session. Sealed as a whole in Redis.

    A field that is added needs a default: records of an older version must still open.
    """

    access_token: str
    expires_at: int
    """When the access token ends, as far as the provider said so."""
    issued_at: int
    scope: str = ""
    refresh_token: str | None = None
    kept_refresh_tokens: tuple[str, ...] = ()
    """Of earlier sign-ins in this browser; revoked together with this session."""
    replaced: tuple[RevokedAccessToken, ...] = ()
    id_token: str | None = None
    """Kept only where the provider's logout needs `id_token_hint`."""
    route_tokens: tuple[RouteToken, ...] = ()
    """For the routes that want a token of their own; one for each rule."""
    client_id: str | None = None
    """The client that the refresh tokens were given to, if a route has one of its own."""

    def route_token(self, name: str) -> RouteToken | None:
        """The token that was made by the rule of this name."""
        return next((token for token in self.route_tokens if token.name == name), None)

    def all_refresh_tokens(self) -> tuple[str, ...]:
        """Every refresh token that must be revoked when the session ends."""
        current = (self.refresh_token,) if self.refresh_token else ()
        return current + self.kept_refresh_tokens


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who signed in, and how. Sealed as a whole in Redis; never changes during a session."""

    issuer: str
    subject: str
    sid: str | None = None
    auth_time: int | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    claims: dict[str, Any] = {}
    """The allowed claims of the ID token (`BFF_PROFILE_CLAIMS`)."""
    browser: str = ""
    """A label such as `Firefox on Linux`, for the list of devices."""

    @property
    def user(self) -> tuple[str, str]:
        """Who it is: a subject means something together with its issuer only."""
        return self.issuer, self.subject


class Group(msgspec.Struct, frozen=True):
    """Sessions that are found and ended together: of a user, a provider session, everybody."""

    kind: Literal["user", "email", "sid", "everyone"]
    values: tuple[str, ...] = ()

    @classmethod
    def of_user(cls, issuer: str, subject: str) -> Group:
        """All sessions of one user."""
        return cls("user", (issuer, subject))

    @property
    def user(self) -> tuple[str, str] | None:
        """The one user whose sessions they are, if that is known."""
        return (self.values[0], self.values[1]) if self.kind == "user" else None

    @classmethod
    def of_email(cls, issuer: str, email: str) -> Group:
        """All sessions whose ID token had this e-mail address."""
        return cls("email", (issuer, email.strip().lower()))

    @classmethod
    def of_sid(cls, issuer: str, sid: str) -> Group:
        """All sessions that hang on one session at the provider."""
        return cls("sid", (issuer, sid))

    @classmethod
    def everyone(cls) -> Group:
        """All sessions."""
        return cls("everyone")


def groups_of(identity: Identity) -> list[Group]:
    """The groups that a session of *identity* is found by."""
    groups = [Group.of_user(identity.issuer, identity.subject)]
    if identity.sid:
        groups.append(Group.of_sid(identity.issuer, identity.sid))
    email = identity.claims.get("email")
    if isinstance(email, str) and email:
        groups.append(Group.of_email(identity.issuer, email))
    return groups


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One signed-in browser, as read from the store at one instant."""

    key: str
    """SHA-256 of the cookie's id, in hex; the id itself is only in the browser."""
    generation: int
    """Counts the writes of tokens; a write names the generation it replaces."""
    tokens: Tokens
    identity: Identity
    created_at: int
    last_seen_at: int
    idle_ends_at: int
    absolute_ends_at: int
    read_at: float
    """Redis's clock when this was read; what `seconds left` are counted from."""


class LoginTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in under way: what the callback must find again. Sealed in a cookie of its own."""

    state: str
    nonce: str
    code_verifier: str
    return_to: str
    started_at: int
    silent: bool = False
    """Asked for with `prompt=none`: a failure goes back to the SPA, not to a page."""
    max_age: int | None = None
    organization: str | None = None
    """The organization that was asked for; the ID token must be of the same."""
    acr_values: str | None = None
    """What was asked for, blank-separated; whether it was reached, the route that wants it says."""
    repeated: bool = False
    """Begun again, because the first try brought a sign-in from before an end of all sessions."""
    old_session_key: str | None = None
    """The session that the browser had when it began (its Strict cookie doesn't come back)."""


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished sign-in at the provider gives: who, and the tokens."""

    identity: Identity
    tokens: Tokens
    session_ends_at: int | None = None
    """The provider's `session_expiry`, a ceiling for the session's absolute end."""


class IssuedTokens(msgspec.Struct, frozen=True, kw_only=True):
    """A successful answer of the token endpoint after the sign-in (RFC 6749, 5.1)."""

    access_token: str
    expires_at: int
    issued_at: int
    scope: str | None = None
    refresh_token: str | None = None
    """None: the provider did not rotate; the old one goes on."""
    id_token: str | None = None
    token_type: str = "Bearer"  # noqa: S105 - A kind of token, not one.
    issued_token_type: str | None = None
    """What a token exchange gave (RFC 8693, 2.2.1)."""
