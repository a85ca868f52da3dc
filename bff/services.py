"""Which services is a BFF made of below its routes, and which part needs which?

The web application, and commands that work without it, get their services here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from bff.config import Config
from bff.core import audit
from bff.core.background import Background
from bff.core.model import RouteToken
from bff.core.sealing import Sealer
from bff.core.unverified_claims import unverified_claims
from bff.gateway.open_responses import OpenResponses
from bff.provider.create import create_endpoint_client
from bff.provider.oidc import Provider
from bff.provider.revocation_endpoint import RevocationEndpoint
from bff.resource_server.revoked_tokens import RevokedTokens
from bff.resource_server.verification import AccessTokenVerifier, ExpectedAccessToken
from bff.revocation.cache_lease import CacheLease
from bff.revocation.revocation import Revocation
from bff.sessions.cache import SessionCache
from bff.sessions.expiry import ExpirySweep
from bff.sessions.lifecycle import Sessions
from bff.store import (
    Database,
    DenyList,
    HistoryStart,
    Outbox,
    SessionRecords,
    Stores,
    Watermarks,
    open_stores,
)
from bff.store.change_tracking import ChangeTracking
from bff.store.seen_messages import SeenMessages
from bff.store.sent_revocations import SentRevocations
from bff.store.tracked_session_records import TrackedSessionRecords
from bff.tokens.client_tokens import ClientTokens
from bff.tokens.pending_writes import PendingWrites
from bff.tokens.renewal import TokenRenewal
from bff.tokens.route_tokens import RouteTokens
from bff.tokens.session_token import Refresher

log = logging.getLogger(__name__)

HOLDING_SECONDS = 0.5
WARM_UP_SECONDS = 2.0
DRAIN_SECONDS = 2.0
SWEEP_SECONDS = 5.0
LIVE_SECONDS = 0.5
EPOCH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes and the commands work with."""

    config: Config
    sealer: Sealer
    database: Database
    provider: Provider
    sessions: Sessions
    client_tokens: ClientTokens
    revocation: Revocation
    outbox: Outbox
    deny_list: DenyList
    watermarks: Watermarks
    seen_messages: SeenMessages
    sent_revocations: SentRevocations
    open_responses: OpenResponses
    history_start: HistoryStart
    revoked_tokens: RevokedTokens
    background: tuple[Background | SessionCache, ...]
    """What works besides the requests, once it is started."""

    def verifier(self, audience: str | None) -> AccessTokenVerifier:
        """What says whether an access token for *audience* is alive; for any API's if it is None.

        Then at least ID tokens are told apart, which are addressed to us.
        """
        expected = ExpectedAccessToken(
            issuer=self.config.issuer,
            audience=audience,
            not_audience=self.config.client_id if audience is None else None,
            algorithms=self.config.id_token_algorithms,
            clock_skew_seconds=self.config.clock_skew_seconds,
        )
        find_key = self.provider.discovery.key_finder(self.config.provider_timeout_seconds)
        return AccessTokenVerifier(expected, find_key, self.revoked_tokens)


def build_services(config: Config) -> Services:
    """Make all services; nothing is sent anywhere yet.

    Raises:
        ConfigError: A key file can't be used.
    """
    sealer = Sealer([key.get_secret_value() for key in config.secrets])
    audit.name_users(_user_naming(config, sealer))
    stores = open_stores(config, sealer)
    client = create_endpoint_client(config)
    records = stores.records
    revocation = Revocation(
        records=records,
        indexes=stores.indexes,
        outbox=stores.outbox,
        deny_list=stores.deny_list,
        watermarks=stores.watermarks,
        provider=RevocationEndpoint(client),
        answer_seconds=config.provider_timeout_seconds,
        lease=CacheLease(config.session_lease_seconds),
        skew_seconds=config.clock_skew_seconds,
        token_lifetime_seconds=config.refresh_token_lifetime_seconds,
    )
    if config.log_stream_key is not None:
        revocation.completion.before_revoking = lambda identity: stores.sent_revocations.note(
            identity.sid if identity else None
        )
    holding = PendingWrites(records, revocation)
    provider = Provider(client, discard=holding)
    turns = TokenRenewal(
        stores.refresh_lock,
        holding,
        provider_timeout_seconds=config.provider_timeout_seconds,
        refresh_before_seconds=config.refresh_before_seconds,
    )
    refresher = Refresher(
        turns=turns,
        holding=holding,
        provider=provider,
        records=records,
        deny_list=stores.deny_list,
        revocation=revocation,
    )
    route_tokens = RouteTokens(
        turns=turns,
        refresher=refresher,
        provider=provider,
        grants=provider,
        records=records,
        deny_list=stores.deny_list,
        revocation=revocation,
        holding=holding,
    )
    memory = _memory(config, records)
    sessions = Sessions(
        config,
        database=stores.database,
        sealer=sealer,
        records=records,
        indexes=stores.indexes,
        watermarks=stores.watermarks,
        revocation=revocation,
        refresher=refresher,
        route_tokens=route_tokens,
        memory=memory,
    )
    open_responses = OpenResponses(records, open_max=config.open_answers_max)
    sweep = ExpirySweep(records, stores.indexes, revocation)
    background = Background(
        [
            (HOLDING_SECONDS, holding.retry),
            (WARM_UP_SECONDS, provider.warm_up_once),
            (DRAIN_SECONDS, revocation.drain),
            (SWEEP_SECONDS, sweep.run),
        ]
    )
    revocation.on_due = lambda: background.run_soon(revocation.drain)
    return Services(
        config,
        sealer,
        stores.database,
        provider,
        sessions,
        _client_tokens(config, stores, provider),
        revocation,
        stores.outbox,
        stores.deny_list,
        stores.watermarks,
        stores.seen_messages,
        stores.sent_revocations,
        open_responses,
        stores.history_start,
        stores.revoked_tokens,
        # Two threads: a provider that is slow to revoke must not keep an open stream open.
        (
            background,
            Background(
                [
                    (EPOCH_SECONDS, stores.history_start.begin),
                    (LIVE_SECONDS, open_responses.break_ended),
                ]
            ),
            *([memory] if memory else []),
        ),
    )


def _memory(config: Config, records: SessionRecords) -> SessionCache | None:
    if not config.session_lease_seconds or not config.session_memory_max:
        return None
    url, timeout_seconds = config.redis_url.get_secret_value(), config.redis_timeout_seconds
    return SessionCache(
        lambda key: records.load(key, slide=True),
        records.slides_at,
        lambda: TrackedSessionRecords(
            records, ChangeTracking(url, timeout_seconds, config.trusted_cas)
        ),
        lease_seconds=config.session_lease_seconds,
        entries_max=config.session_memory_max,
    )


def _user_naming(config: Config, sealer: Sealer) -> audit.NameUser:
    """How the audit log calls a user: by nothing, a keyed hash, or the provider's id."""
    if config.audit_user == "id":
        return lambda issuer, subject: subject
    if config.audit_user == "hash":
        return lambda issuer, subject: sealer.keyed_hash("audit user", issuer, subject)[:16]
    return lambda issuer, subject: None


def _client_tokens(config: Config, stores: Stores, provider: Provider) -> ClientTokens:
    def is_dead(token: RouteToken) -> bool:
        issued_at = unverified_claims(token.access_token).get("iat", token.issued_at)
        claims = {"iss": config.issuer, "sub": config.client_id, "iat": issued_at}
        return stores.revoked_tokens.reason(token.access_token, claims) is not None

    return ClientTokens(
        stores.client_tokens,
        provider,
        is_dead,
        provider_timeout_seconds=config.provider_timeout_seconds,
        refresh_before_seconds=config.refresh_before_seconds,
    )
