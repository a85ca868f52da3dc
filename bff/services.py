"""Which parts is a BFF made of below its routes, and which part needs which?

The web application, and commands that work without it, get their parts here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from bff.config import Config
from bff.core import audit
from bff.core.background import Background
from bff.core.model import RouteToken, Tokens
from bff.core.sealing import Sealer
from bff.gateway.open_responses import LiveAnswers
from bff.provider.create import create_provider
from bff.provider.oidc import Provider
from bff.provider.route_grants import readable_claims
from bff.resource_server.revoked_tokens import DeadTokenKeys, DeadTokens
from bff.resource_server.verification import Expected, Verdict
from bff.revocation.cache_lease import Lease
from bff.revocation.revocation import Revocation
from bff.sessions.cache import SessionMemory
from bff.sessions.expiry import Sweep
from bff.sessions.lifecycle import Sessions
from bff.store import Database, DenyList, Epoch, Indexes, Outbox, Records, Watermarks, connect
from bff.store.change_tracking import Tracking
from bff.store.client_tokens import SharedTokens
from bff.store.seen_messages import Replays
from bff.store.sent_revocations import OwnRevocations
from bff.store.tracked_session_records import TrackedRecords
from bff.tokens.client_tokens import ClientTokens
from bff.tokens.pending_writes import Holding
from bff.tokens.renewal import Turns
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
class Parts:
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
    replays: Replays
    own_revocations: OwnRevocations
    live_answers: LiveAnswers
    epoch: Epoch
    background: tuple[Background | SessionMemory, ...]
    """What works besides the requests, once it is started."""

    def verdict(self, audience: str | None) -> Verdict:
        """What says whether an access token for *audience* is alive; for any API's if it is None.

        Then at least ID tokens are told apart, which are addressed to us.
        """
        expected = Expected(
            issuer=self.config.issuer,
            audience=audience,
            not_audience=self.config.client_id if audience is None else None,
            algorithms=self.config.id_token_algorithms,
            clock_skew_seconds=self.config.clock_skew_seconds,
        )
        find_key = self.provider.documents.key_finder(self.config.provider_timeout_seconds)
        keys = DeadTokenKeys(self.database.prefix, self.sealer.dead_token_names)
        return Verdict(
            expected, find_key, DeadTokens(self.database.commands, keys, self.epoch.begin)
        )


def assemble(config: Config) -> Parts:
    """Make all parts; nothing is sent anywhere yet.

    Raises:
        ConfigError: A key file can't be used.
    """
    sealer = Sealer([key.get_secret_value() for key in config.secrets])
    audit.name_users(_user_naming(config, sealer))
    database = connect(config)
    provider = create_provider(config)
    records = Records(
        database,
        sealer,
        idle_seconds=config.session_idle_seconds,
        token_lifetime_seconds=config.refresh_token_lifetime_seconds,
    )
    indexes = Indexes(database, sealer)
    outbox = Outbox(database, sealer)
    deny_list = DenyList(database, sealer, config.clock_skew_seconds)
    watermarks = Watermarks(database, sealer, lifetime_seconds=config.watermark_lifetime_seconds)
    revocation = Revocation(
        records=records,
        indexes=indexes,
        outbox=outbox,
        deny_list=deny_list,
        watermarks=watermarks,
        provider=provider,
        answer_seconds=config.provider_timeout_seconds,
        lease=Lease(config.session_lease_seconds),
        skew_seconds=config.clock_skew_seconds,
        token_lifetime_seconds=config.refresh_token_lifetime_seconds,
    )
    own_revocations = OwnRevocations(
        database,
        sealer,
        config.issuer,
        within_seconds=config.provider_timeout_seconds + config.clock_skew_seconds,
    )
    if config.log_stream_key is not None:
        revocation.completion.before_revoking = lambda identity: own_revocations.note(
            identity.sid if identity else None
        )
    holding = Holding(records, revocation)
    turns = Turns(
        records,
        holding,
        provider_timeout_seconds=config.provider_timeout_seconds,
        refresh_before_seconds=config.refresh_before_seconds,
    )
    refresher = Refresher(
        turns=turns,
        holding=holding,
        provider=provider,
        records=records,
        deny_list=deny_list,
        revocation=revocation,
    )
    provider.grants.know(route.token for route in config.routes)
    route_tokens = RouteTokens(
        turns=turns,
        refresher=refresher,
        provider=provider,
        grants=provider.grants,
        records=records,
        deny_list=deny_list,
        revocation=revocation,
        holding=holding,
    )
    memory = _memory(config, records)
    sessions = Sessions(
        config,
        database=database,
        sealer=sealer,
        records=records,
        indexes=indexes,
        watermarks=watermarks,
        revocation=revocation,
        refresher=refresher,
        route_tokens=route_tokens,
        memory=memory,
    )
    # A refresh token that came with an answer we refuse must not be forgotten either.
    provider.discard = lambda refresh_token: holding.abandon(_only(refresh_token), "answer_refused")
    provider.grants.discard = lambda refresh_token, client_id: holding.abandon(
        _only(refresh_token, client_id), "answer_refused"
    )
    live_answers = LiveAnswers(records, open_max=config.open_answers_max)
    epoch = Epoch(database, sealer)
    sweep = Sweep(records, indexes, revocation)
    background = Background(
        [
            (HOLDING_SECONDS, holding.retry),
            (WARM_UP_SECONDS, lambda: None if provider.ready else provider.warm_up()),
            (DRAIN_SECONDS, revocation.drain),
            (SWEEP_SECONDS, sweep.run),
        ]
    )
    revocation.on_due = lambda: background.run_soon(revocation.drain)
    return Parts(
        config,
        sealer,
        database,
        provider,
        sessions,
        _client_tokens(config, database, sealer, provider, epoch),
        revocation,
        outbox,
        deny_list,
        watermarks,
        Replays(database, sealer),
        own_revocations,
        live_answers,
        epoch,
        # Two threads: a provider that is slow to revoke must not keep an open stream open.
        (
            background,
            Background([(EPOCH_SECONDS, epoch.begin), (LIVE_SECONDS, live_answers.break_ended)]),
            *([memory] if memory else []),
        ),
    )


def _memory(config: Config, records: Records) -> SessionMemory | None:
    if not config.session_lease_seconds or not config.session_memory_max:
        return None
    url, timeout_seconds = config.redis_url.get_secret_value(), config.redis_timeout_seconds
    return SessionMemory(
        lambda key: records.load(key, slide=True),
        records.slides_at,
        lambda: TrackedRecords(records, Tracking(url, timeout_seconds, config.trusted_cas)),
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


def _client_tokens(
    config: Config, database: Database, sealer: Sealer, provider: Provider, epoch: Epoch
) -> ClientTokens:
    keys = DeadTokenKeys(database.prefix, sealer.dead_token_names)
    dead_tokens = DeadTokens(database.commands, keys, epoch.begin)

    def is_dead(token: RouteToken) -> bool:
        issued_at = readable_claims(token.access_token).get("iat", token.issued_at)
        claims = {"iss": config.issuer, "sub": config.client_id, "iat": issued_at}
        return dead_tokens.reason(token.access_token, claims) is not None

    return ClientTokens(
        SharedTokens(database, sealer, (config.issuer, config.client_id)),
        provider.grants,
        is_dead,
        provider_timeout_seconds=config.provider_timeout_seconds,
        refresh_before_seconds=config.refresh_before_seconds,
    )


def _only(refresh_token: str, client_id: str | None = None) -> Tokens:
    return Tokens(
        access_token="",
        expires_at=0,
        issued_at=0,
        refresh_token=refresh_token,
        client_id=client_id,
    )
