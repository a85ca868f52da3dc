"""Which stores are there, and what is each made from?"""

from __future__ import annotations

from dataclasses import dataclass

from bff.config import Config
from bff.core.sealing import Sealer
from bff.resource_server.revoked_tokens import RevokedTokens
from bff.store.auth_time_seen import AuthTimeSeen
from bff.store.browsers import Browsers
from bff.store.client_tokens import SharedClientTokens
from bff.store.connection import Database, connect
from bff.store.deny_list import DenyList
from bff.store.device_keys import DeviceKeys
from bff.store.history_cut import HistoryCut
from bff.store.history_marks import HistoryMarks
from bff.store.history_start import HistoryStart
from bff.store.identity_changes import IdentityChanges
from bff.store.indexes import Indexes
from bff.store.keys import Keys
from bff.store.known_servers import KnownServers
from bff.store.outbox import Outbox
from bff.store.poll_lease import PollLease
from bff.store.refresh_lock import RefreshLock
from bff.store.seen_messages import SeenMessages
from bff.store.sent_revocations import SentRevocations
from bff.store.session_records import SessionRecords
from bff.store.sign_in_attempts import SignInAttempts
from bff.store.watermarks import Watermarks


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything that a BFF has in Redis; each store is a few key names of `keys.py`."""

    database: Database
    """The connection that all of them share."""
    records: SessionRecords
    refresh_lock: RefreshLock
    device_keys: DeviceKeys
    indexes: Indexes
    identity_changes: IdentityChanges
    browsers: Browsers
    outbox: Outbox
    deny_list: DenyList
    watermarks: Watermarks
    auth_time_seen: AuthTimeSeen
    history_start: HistoryStart
    history_cut: HistoryCut
    revoked_tokens: RevokedTokens
    """Reads deny-list, watermarks and history start, as an API does."""
    seen_messages: SeenMessages
    poll_lease: PollLease
    sign_in_attempts: SignInAttempts
    sent_revocations: SentRevocations | None
    """None without the log stream, in which the provider tells of them."""
    client_tokens: SharedClientTokens


def open_stores(config: Config, sealer: Sealer) -> Stores:
    """Make all stores; nothing is sent before the first command."""
    database = _watched(config)
    records = _records(config, database, sealer)
    history_start = HistoryStart(database, sealer)
    watermarks = _watermarks(config, database, sealer)
    indexes = Indexes(database, sealer)
    revoked_token_keys = database.keys.revoked_tokens(sealer.revoked_token_names)
    return Stores(
        database=database,
        records=records,
        refresh_lock=RefreshLock(database, records),
        device_keys=DeviceKeys(database),
        indexes=indexes,
        identity_changes=IdentityChanges(database, records, indexes, watermarks),
        browsers=Browsers(database, lifetime_seconds=config.session_absolute_seconds),
        outbox=Outbox(database, sealer),
        deny_list=DenyList(database, sealer, config.clock_skew_seconds),
        watermarks=watermarks,
        auth_time_seen=AuthTimeSeen(database, sealer, config.issuer),
        history_start=history_start,
        history_cut=_history_cut(config, sealer, database),
        revoked_tokens=RevokedTokens(
            database.commands_of_master, revoked_token_keys, history_start.begin
        ),
        seen_messages=SeenMessages(database, sealer),
        poll_lease=PollLease(database),
        sign_in_attempts=SignInAttempts(database),
        sent_revocations=_sent_revocations(config, database, sealer),
        client_tokens=SharedClientTokens(database, sealer, (config.issuer, config.client_id)),
    )


def _records(config: Config, database: Database, sealer: Sealer) -> SessionRecords:
    return SessionRecords(
        database,
        sealer,
        idle_seconds=config.session_idle_seconds,
        token_lifetime_seconds=config.refresh_token_lifetime_seconds,
    )


def _watched(config: Config) -> Database:
    keys = Keys(config.redis_prefix)
    return connect(config, KnownServers(keys.absent()), HistoryMarks(keys.marks()))


def _history_cut(config: Config, sealer: Sealer, database: Database) -> HistoryCut:
    # Over connections of its own, which lead to every server, known or not.
    own = connect(config)
    return HistoryCut(
        own, HistoryStart(own, sealer), _watermarks(config, own, sealer), refusing=database
    )


def _watermarks(config: Config, database: Database, sealer: Sealer) -> Watermarks:
    return Watermarks(
        database,
        sealer,
        lifetime_seconds=config.watermark_lifetime_seconds,
        session_seconds=config.session_absolute_seconds,
    )


def _sent_revocations(config: Config, database: Database, sealer: Sealer) -> SentRevocations | None:
    if config.log_stream_key is None:
        return None
    # The provider may act as late as its response is accepted, and its clock may be off.
    echo_seconds = config.provider_timeout_seconds + config.clock_skew_seconds
    return SentRevocations(database, sealer, config.issuer, echo_seconds)
