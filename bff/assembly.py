"""Which parts is a BFF made of below its routes, and which part needs which?

The web application, and commands that work without it, get their parts here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from bff import audit
from bff.background import Background
from bff.config import Config
from bff.dead_tokens import DeadTokenKeys, DeadTokens
from bff.live import LiveAnswers
from bff.model import Tokens
from bff.providers import Provider, create_provider
from bff.revocation import Revocation
from bff.sealing import Sealer
from bff.sessions import Sessions
from bff.sessions.holding import Holding
from bff.sessions.refresh import Refresher
from bff.sessions.sweep import Sweep
from bff.store import Database, DenyList, Epoch, Indexes, Outbox, Records, Watermarks, connect
from bff.store.own_revocations import OwnRevocations
from bff.store.replays import Replays
from bff.verdict import Expected, Verdict

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
    revocation: Revocation
    outbox: Outbox
    deny_list: DenyList
    watermarks: Watermarks
    replays: Replays
    own_revocations: OwnRevocations
    live_answers: LiveAnswers
    epoch: Epoch
    background: tuple[Background, ...]

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
    refresher = Refresher(
        provider=provider,
        records=records,
        deny_list=deny_list,
        revocation=revocation,
        holding=holding,
        provider_timeout_seconds=config.provider_timeout_seconds,
        refresh_before_seconds=config.refresh_before_seconds,
    )
    sessions = Sessions(
        config,
        database=database,
        sealer=sealer,
        records=records,
        indexes=indexes,
        watermarks=watermarks,
        revocation=revocation,
        refresher=refresher,
    )
    # A refresh token that came with an answer we refuse must not be forgotten either.
    provider.discard = lambda refresh_token: holding.abandon(_only(refresh_token), "answer_refused")
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
        ),
    )


def _user_naming(config: Config, sealer: Sealer) -> audit.NameUser:
    """How the audit log calls a user: by nothing, a keyed hash, or the provider's id."""
    if config.audit_user == "id":
        return lambda issuer, subject: subject
    if config.audit_user == "hash":
        return lambda issuer, subject: sealer.keyed_hash("audit user", issuer, subject)[:16]
    return lambda issuer, subject: None


def _only(refresh_token: str) -> Tokens:
    return Tokens(access_token="", expires_at=0, issued_at=0, refresh_token=refresh_token)
