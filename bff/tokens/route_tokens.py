"""How does a route get an access token of its own from a session?

`audience`: the session's refresh token is spent on one for another API (Auth0's multi-resource
refresh tokens; RFC 8707). `exchange`: the session's access token is exchanged (RFC 8693). Both go
in the session's turns, lie sealed with its tokens, and are denied when it ends. What the provider
refuses is the route's loss, not the session's.
"""

from __future__ import annotations

from typing import Protocol

from bff.config.route import TokenRule
from bff.core.errors import BFFError, IDTokenInvalid, ProviderRejected, RouteTokenRefused
from bff.core.model import IssuedTokens, RouteToken, Session, Tokens
from bff.provider.route_grants import rejection_reason
from bff.revocation.revocation import Revocation
from bff.store import DenyList, SessionRecords
from bff.tokens.merge import with_route_token
from bff.tokens.pending_writes import PendingWrites, TokenWrite
from bff.tokens.renewal import TokenRenewal
from bff.tokens.session_token import Refresher, end_by_refusal
from bff.tokens.token_source import TokenSource


class AudienceProvider(Protocol):
    """What is needed of the provider for `audience`."""

    def refresh(
        self, refresh_token: str, *, subject: str | None = None, rule: TokenRule | None = None
    ) -> IssuedTokens:
        """Spend a refresh token, one attempt; raises ProviderError or IDTokenInvalid."""


class ExchangeGrant(Protocol):
    """What is needed of the provider for `exchange`."""

    def exchange(self, access_token: str, rule: TokenRule) -> IssuedTokens:
        """Exchange an access token, one attempt; raises ProviderError."""


class RouteTokens:
    """Hands out the tokens of routes with the modes `audience` and `exchange`.

    Args:
        turns: Lets one ask for all.
        refresher: Keeps the session's own token alive, which is what is exchanged.
    """

    def __init__(
        self,
        *,
        turns: TokenRenewal,
        refresher: Refresher,
        provider: AudienceProvider,
        grants: ExchangeGrant,
        records: SessionRecords,
        deny_list: DenyList,
        revocation: Revocation,
        holding: PendingWrites,
    ) -> None:
        self._turns = turns
        self._refresher = refresher
        self._provider = provider
        self._grants = grants
        self._records = records
        self._deny_list = deny_list
        self._revocation = revocation
        self._holding = holding
        self._errands: dict[str, TokenSource] = {}

    def access_token(self, session: Session, rule: TokenRule) -> str:
        """The session's token for the API that *rule* names, asked for if need be.

        Raises:
            RouteTokenRefused: The provider gives none; the session stays.
            SessionEnded, ProviderUnavailable, ProviderMisconfigured, StoreUnavailable: As
                `TokenRenewal.access_token`.
        """
        errand = self._errands.get(rule.name) or self._errand(rule)
        return self._turns.access_token(session, errand)

    def _errand(self, rule: TokenRule) -> TokenSource:
        common = (rule, self._deny_list, self._holding)
        if rule.mode == "exchange":
            errand: TokenSource = _Exchanged(*common, self._grants, self._refresher)
        else:
            errand = _ForAudience(
                *common, self._provider, self._refresher, self._records, self._revocation
            )
        return self._errands.setdefault(rule.name, errand)


class _RouteToken(TokenSource):
    """What both have in common."""

    done = "route_token_issued"
    failed = "route_token_failed"

    def __init__(self, rule: TokenRule, deny_list: DenyList, holding: PendingWrites) -> None:
        self.name = rule.name
        self._rule = rule
        self._deny_list = deny_list
        self._holding = holding

    def token(self, tokens: Tokens) -> RouteToken | None:
        """The one that was made by this rule."""
        return tokens.route_token(self.name)

    def objection(self, answer: IssuedTokens) -> str | None:
        """Wrong type, wrong API, or more than was asked for."""
        return rejection_reason(self._rule, answer)

    def refused(
        self, session: Session, error: ProviderRejected | IDTokenInvalid
    ) -> Tokens | BFFError:
        """This route gets none; the others may, and the session goes on.

        Not even `invalid_grant` ends it here: it may mean this API only. The ordinary refresh finds
        out by itself.
        """
        reason = error.error if isinstance(error, ProviderRejected) else error.code
        return RouteTokenRefused(reason)

    def _got(self, answer: IssuedTokens) -> RouteToken:
        return RouteToken(
            name=self.name,
            access_token=answer.access_token,
            expires_at=answer.expires_at,
            issued_at=answer.issued_at,
            # Left out, it is what was asked for (RFC 6749, 5.1).
            scope=self._rule.scope if answer.scope is None else answer.scope,
        )

    def _held(
        self,
        session: Session,
        attempt: str,
        token: RouteToken | None,
        *,
        spent: str | None = None,
        refresh_token: str | None = None,
    ) -> TokenWrite:
        return TokenWrite(
            session_key=session.key,
            generation=session.generation,
            attempt=attempt,
            spent=spent,
            base=session.tokens,
            brought=_only(token, refresh_token),
            merged=lambda base: with_route_token(
                base, token, refresh_token, session.read_at, self._deny_list
            ),
        )


class _ForAudience(_RouteToken):
    """From the session's refresh token."""

    def __init__(
        self,
        rule: TokenRule,
        deny_list: DenyList,
        holding: PendingWrites,
        provider: AudienceProvider,
        refresher: Refresher,
        records: SessionRecords,
        revocation: Revocation,
    ) -> None:
        super().__init__(rule, deny_list, holding)
        self._provider = provider
        self._refresher = refresher
        self._records = records
        self._revocation = revocation

    def can_be_had(self, tokens: Tokens) -> bool:
        """Whether there is a refresh token."""
        return tokens.refresh_token is not None

    def impossible(self, session: Session) -> BFFError:
        """A session without a refresh token lives as long as its access token."""
        self._refresher.access_token(session)
        return RouteTokenRefused("the session has no refresh token")

    def ask(self, session: Session) -> IssuedTokens:
        """Spend the refresh token."""
        refresh_token = session.tokens.refresh_token or ""
        subject = session.identity.subject
        return self._provider.refresh(refresh_token, subject=subject, rule=self._rule)

    def refused(
        self, session: Session, error: ProviderRejected | IDTokenInvalid
    ) -> Tokens | BFFError:
        """As above; but a refresh token that was spent on another user's answer is lost."""
        if isinstance(error, IDTokenInvalid):
            return end_by_refusal(session, error, self._records, self._revocation)
        return super().refused(session, error)

    def held(self, session: Session, attempt: str, answer: IssuedTokens) -> TokenWrite | None:
        """The token, unless it must not be used; a new refresh token in any case."""
        token = None if self.objection(answer) else self._got(answer)
        if token is None and answer.refresh_token is None:
            return None
        return self._held(
            session, attempt, token,
            spent=session.tokens.refresh_token, refresh_token=answer.refresh_token,
        )  # fmt: skip

    def throw_away(self, session: Session, answer: IssuedTokens) -> None:
        """Deny the access token, unless the provider only repeated one that is in use."""
        tokens = session.tokens
        in_use = {tokens.access_token, *(token.access_token for token in tokens.route_tokens)}
        if answer.access_token not in in_use:
            self._deny_list.add([self._deny_list.entry(self._got(answer))])


class _Exchanged(_RouteToken):
    """From the session's access token."""

    def __init__(
        self,
        rule: TokenRule,
        deny_list: DenyList,
        holding: PendingWrites,
        grants: ExchangeGrant,
        refresher: Refresher,
    ) -> None:
        super().__init__(rule, deny_list, holding)
        self._grants = grants
        self._refresher = refresher

    def can_be_had(self, tokens: Tokens) -> bool:
        """Always, as far as one can know beforehand."""
        return True

    def impossible(self, session: Session) -> BFFError:
        """Never asked."""
        return RouteTokenRefused()

    def prepare(self, session: Session) -> None:
        """What is exchanged must be alive."""
        self._refresher.access_token(session)

    def ask(self, session: Session) -> IssuedTokens:
        """Exchange the session's access token."""
        return self._grants.exchange(session.tokens.access_token, self._rule)

    def held(self, session: Session, attempt: str, answer: IssuedTokens) -> TokenWrite | None:
        """The token, unless it must not be used."""
        if self.objection(answer):
            return None
        if answer.refresh_token is not None:
            # Nobody asked for it, and it would outlive the session.
            self._abandon(None, answer.refresh_token)
        return self._held(session, attempt, self._got(answer))

    def throw_away(self, session: Session, answer: IssuedTokens) -> None:
        """Deny it at our APIs; what may be a refresh token is revoked at the provider, too."""
        token = self._got(answer)
        self._abandon(token, answer.refresh_token)
        if self.objection(answer) == "wrong_issued_token_type":
            self._abandon(None, answer.access_token)

    def _abandon(self, token: RouteToken | None, refresh_token: str | None) -> None:
        tokens = _only(token, refresh_token, self._rule.client_id)
        self._holding.abandon(tokens, "answer_refused")


def _only(
    token: RouteToken | None, refresh_token: str | None, client_id: str | None = None
) -> Tokens:
    return Tokens(
        access_token="",
        expires_at=0,
        issued_at=0,
        refresh_token=refresh_token,
        route_tokens=(token,) if token else (),
        client_id=client_id,
    )
