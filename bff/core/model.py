"""What are a session, its tokens and a login transaction? Frozen data without input or output."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class RevokedAccessToken(msgspec.Struct, frozen=True):
    """An access token that a refresh has replaced; APIs accept it until `expires_at`."""

    deny_id: str
    """The token's name on the deny-list for version 0.1.0; not the token itself."""
    expires_at: int
    more_deny_ids: tuple[str, ...] = ()
    """Its other names; empty from version 0.1.0."""


class RouteToken(msgspec.Struct, frozen=True, kw_only=True):
    """An access token for one API, beside the session's own."""

    name: str
    """The rule it was requested by (`TokenRule.name`)."""
    access_token: str
    expires_at: int
    issued_at: int
    scope: str = ""
    """The granted scope; it may be smaller than the requested one."""
    jkt: str = ""
    """As in `Tokens`."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens of one session. Sealed as a whole in Redis.

    A new field needs a default: records of an older version must still open.
    """

    access_token: str
    expires_at: int
    """When the access token expires, by the provider's `expires_in`."""
    issued_at: int
    scope: str = ""
    refresh_token: str | None = None
    refresh_expires_at: int = 0
    """When the refresh token expires; 0 if that isn't known, or never."""
    kept_refresh_tokens: tuple[str, ...] = ()
    """From earlier sign-ins in this browser; they are revoked when this session ends."""
    replaced: tuple[RevokedAccessToken, ...] = ()
    id_token: str | None = None
    """Stored only if the provider's logout needs `id_token_hint`."""
    route_tokens: tuple[RouteToken, ...] = ()
    """For the routes with a token of their own; one for each rule."""
    client_id: str | None = None
    """The client of the refresh tokens, if it is a route's own client."""
    owner: Identity | None = None
    """Whose they are, if they belong to no session and it is known."""
    jkt: str = ""
    """The thumbprint of the key that the access token is bound to (RFC 9449, 6.1); empty for a
    bearer token."""

    @classmethod
    def without_session(
        cls,
        *,
        refresh_token: str | None = None,
        route_token: RouteToken | None = None,
        client_id: str | None = None,
    ) -> Tokens:
        """Tokens that belong to no session: all that is left to do is to revoke them."""
        return cls(
            access_token="",
            expires_at=0,
            issued_at=0,
            refresh_token=refresh_token,
            route_tokens=(route_token,) if route_token else (),
            client_id=client_id,
        )

    def owned_by(self, identity: Identity) -> Tokens:
        """The same outside a session; they are those of this user, from this provider session."""
        owner = Identity(issuer=identity.issuer, subject=identity.subject, sid=identity.sid)
        return msgspec.structs.replace(self, owner=owner)

    def route_token(self, name: str) -> RouteToken | None:
        """The token of the rule with this name."""
        return next((token for token in self.route_tokens if token.name == name), None)

    def all_refresh_tokens(self) -> tuple[str, ...]:
        """The refresh tokens to revoke when the session ends."""
        current = (self.refresh_token,) if self.refresh_token else ()
        return current + self.kept_refresh_tokens


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The user, and how they signed in. Sealed as a whole in Redis.

    During a session only `claims` change, with its indexes (`bff/store/identity_changes.py`).
    """

    issuer: str
    subject: str
    sid: str | None = None
    auth_time: int | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    claims: dict[str, Any] = {}
    """The allowed claims of the ID token or of UserInfo (`BFF_PROFILE_CLAIMS`)."""
    browser: str = ""
    """A label such as `Firefox on Linux`, for the list of devices."""
    began_at: float = 0
    """When the session began, by Redis's clock; 0 if it was begun by an older version."""
    prompted_at: int | None = None
    """The `iat` of a sign-in with `prompt=login`, where it may stand for `auth_time`."""

    @property
    def authenticated_at(self) -> int | None:
        """When the user authenticated, as far as is known; no proof that it was after an event."""
        return self.prompted_at if self.auth_time is None else self.auth_time

    @property
    def user(self) -> tuple[str, str]:
        """Issuer and subject: a subject is unique only together with its issuer."""
        return self.issuer, self.subject


class Group(msgspec.Struct, frozen=True):
    """Sessions that are found and ended together: of a user, of a provider session, or all."""

    kind: Literal["user", "email", "sid", "everyone"]
    values: tuple[str, ...] = ()

    @classmethod
    def of_user(cls, issuer: str, subject: str) -> Group:
        """All sessions of one user."""
        return cls("user", (issuer, subject))

    @property
    def user(self) -> tuple[str, str] | None:
        """The user of the sessions, if the group is that of a user."""
        return (self.values[0], self.values[1]) if self.kind == "user" else None

    @classmethod
    def of_email(cls, issuer: str, email: str) -> Group:
        """All sessions whose user has this e-mail address, as far as the provider said."""
        return cls("email", (issuer, email.strip().lower()))

    @classmethod
    def of_sid(cls, issuer: str, sid: str) -> Group:
        """All sessions that belong to one session at the provider."""
        return cls("sid", (issuer, sid))

    @classmethod
    def everyone(cls) -> Group:
        """All sessions."""
        return cls("everyone")


class Ended(msgspec.Struct, frozen=True):
    """What an end of many sessions has done so far."""

    count: int
    left: int = 0
    """How many are still to end; they do so soon."""


def groups_of(identity: Identity) -> list[Group]:
    """The groups that contain a session of *identity*."""
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
    """SHA-256 of the cookie's id, in hex; only the browser has the id itself."""
    generation: int
    """The number of token writes; each write names the generation that it replaces."""
    tokens: Tokens
    identity: Identity
    created_at: int
    last_seen_at: int
    idle_ends_at: int
    absolute_ends_at: int
    read_at: float
    """Redis's clock at the time of reading; remaining seconds are counted from it."""
    bound_at: int | None = None
    """When the session was bound to a key of its browser; None if it isn't bound."""

    @property
    def ends_at(self) -> int:
        """The end whatever happens: the absolute one, or sooner with the refresh token.

        A renewal may bring a refresh token that lives longer, so indexes and records go by
        `absolute_ends_at`.
        """
        return min(self.absolute_ends_at, self.tokens.refresh_expires_at or self.absolute_ends_at)


class LoginTransaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a sign-in that the callback needs. Sealed in a cookie of its own."""

    state: str
    nonce: str
    code_verifier: str
    return_to: str
    started_at: int
    silent: bool = False
    """Requested with `prompt=none`: after a failure the browser returns to the SPA."""
    max_age: int | None = None
    organization: str | None = None
    """The requested organization; the ID token must name the same."""
    acr_values: str | None = None
    """The requested values, blank-separated; the route decides whether the sign-in meets them."""
    prompt_login: bool = False
    """Requested with `prompt=login`."""
    watermark_at: int = 0
    """The newest end of all sessions that was over when this second attempt began; 0 for none."""
    repeated: bool = False
    """The second attempt: the first brought a sign-in older than an end of all sessions."""
    old_session_key: str | None = None
    """The browser's session before the sign-in; the callback lacks its SameSite=Strict cookie."""
    browser_id: str = ""
    """By which the browser is known that began it; empty from a version that knew none."""
    keep_shared_cookie: bool = False
    """`session` belonged to another application on this host (over plain http only)."""
    asked: dict[str, str] = {}
    """What else `/auth/login` passed on, so that another try asks for the same."""
    dpop_jkt: str = ""
    """The thumbprint of the key that the code is bound to (RFC 9449, 10); empty for none."""


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a sign-in at the provider."""

    identity: Identity
    tokens: Tokens
    session_ends_at: int | None = None
    """The end of the provider's own session; ours ends then at the latest."""


class IssuedTokens(msgspec.Struct, frozen=True, kw_only=True):
    """A successful token response after the sign-in (RFC 6749, 5.1)."""

    access_token: str
    expires_at: int
    issued_at: int
    scope: str | None = None
    refresh_token: str | None = None
    """None if the provider did not rotate it; the old one stays valid."""
    refresh_expires_at: int | None = None
    """None if the provider doesn't say; 0 if the refresh token has no end."""
    id_token: str | None = None
    token_type: str = "Bearer"  # noqa: S105 - A kind of token, not one.
    issued_token_type: str | None = None
    """The type of token that a token exchange issued (RFC 8693, 2.2.1)."""
    claims: dict[str, Any] = {}
    """What the ID token of a refresh tells of the user now."""
    jkt: str = ""
    """As in `Tokens`."""
