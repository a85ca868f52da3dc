"""Which services are there below the endpoints, and in which order are they made?

The web application uses them, and so do the commands.
"""

from __future__ import annotations

from dataclasses import dataclass

from bff.config import Config
from bff.core import audit
from bff.core.background import Background
from bff.core.sealing import Sealer
from bff.gateway.open_responses import OpenResponses
from bff.machine_api.signal_polling import create_polling
from bff.provider.create import create_endpoint_client
from bff.provider.kept_claims import KeepClaims
from bff.provider.oidc import Provider
from bff.provider.revocation_endpoint import RevocationEndpoint
from bff.provider.token_endpoint import TokenEndpoint, TokenRevoker
from bff.resource_server.verification import AccessTokenVerifier, ExpectedAccessToken
from bff.revocation.cache_lease import CacheLease
from bff.revocation.revocation import Revocation
from bff.sessions.cache import SessionCache
from bff.sessions.expiry import ExpirySweep
from bff.sessions.lifecycle import Sessions
from bff.sessions.unvouched import UnvouchedSessions
from bff.store import Stores, open_stores
from bff.store.redis_watch import RedisWatch
from bff.tokens.access_tokens import AccessTokens
from bff.tokens.pending_writes import PendingWrites

PENDING_WRITES_SECONDS = 0.5
WARM_UP_SECONDS = 2.0
DRAIN_SECONDS = 2.0
SWEEP_SECONDS = 5.0
UNVOUCHED_SECONDS = 1.0
OPEN_RESPONSES_SECONDS = 0.5
HISTORY_START_SECONDS = 2.0
WATCH_SECONDS = 1.0
SECRET_FILES_SECONDS = 1.0
SIGNALS_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the endpoints and the commands work with."""

    config: Config
    sealer: Sealer
    stores: Stores
    provider: Provider
    revocation: Revocation
    pending_writes: PendingWrites
    tokens: AccessTokens
    sessions: Sessions
    open_responses: OpenResponses
    redis_watch: RedisWatch
    background: tuple[Background | SessionCache, ...]
    """Threads that run beside the requests, once they are started."""

    def verifier(self, audience: str | None) -> AccessTokenVerifier:
        """A verifier of access tokens for *audience*, or for any API if it is None.

        For any API means: for any audience but our client id, which only ID tokens have.
        """
        expected = ExpectedAccessToken(
            issuer=self.config.issuer,
            audience=audience,
            not_audience=self.config.client_id if audience is None else None,
            algorithms=self.config.id_token_algorithms,
            clock_skew_seconds=self.config.clock_skew_seconds,
        )
        find_keys = self.provider.discovery.key_finder(self.config.provider_timeout_seconds)
        return AccessTokenVerifier(expected, find_keys, self.stores.revoked_tokens)


def build_services(
    config: Config,
    *,
    token_endpoint: TokenEndpoint | None = None,
    revoker: TokenRevoker | None = None,
    keep_claims: KeepClaims | None = None,
) -> Services:
    """Make all services, each complete when it is made; nothing is sent over the network yet.

    Args:
        config: The settings.
        token_endpoint: A stand-in for the provider's token endpoint, for tests.
        revoker: A stand-in for its revocation endpoint.
        keep_claims: What the application keeps of a sign-in.

    Raises:
        ConfigError: A key file can't be used.
    """
    sealer = Sealer([key.get_secret_value() for key in config.secrets])
    audit.name_users(_user_naming(config, sealer))
    stores = open_stores(config, sealer)
    # Two threads: a provider that is slow to revoke must not delay the end of open streams.
    background, stream_checks = Background(), Background()
    client = create_endpoint_client(config)
    revoker = revoker or RevocationEndpoint(client)
    lease = CacheLease(config.session_lease_seconds)
    revocation = Revocation(stores, revoker, background, lease, config)
    pending_writes = PendingWrites(stores.records, revocation, revoker)
    provider = Provider(client, pending_writes, keep_claims)
    tokens = AccessTokens(stores, token_endpoint or provider, pending_writes, revocation, config)
    cache = _session_cache(config, stores)
    sessions = Sessions(config, stores, sealer, revocation, pending_writes, cache)
    open_responses = OpenResponses(
        stores.records, open_max=config.open_answers_max, routes=len(config.routes)
    )
    unvouched = UnvouchedSessions(stores, revocation, cache)
    redis_watch = RedisWatch(
        stores.database,
        stores.history_cut,
        may_lose_data=config.redis_may_lose_data,
        clock_skew_seconds=config.clock_skew_seconds,
        on_cut=unvouched.refuse,
    )
    background.every(PENDING_WRITES_SECONDS, pending_writes.retry)
    background.every(WARM_UP_SECONDS, provider.warm_up_once)
    background.every(DRAIN_SECONDS, revocation.drain)
    background.every(SWEEP_SECONDS, ExpirySweep(stores, revocation, background).run)
    background.every(UNVOUCHED_SECONDS, unvouched.end)
    stream_checks.every(WATCH_SECONDS, redis_watch.look)
    stream_checks.every(HISTORY_START_SECONDS, stores.history_start.begin)
    stream_checks.every(SECRET_FILES_SECONDS, config.live_secrets.look)
    stream_checks.every(OPEN_RESPONSES_SECONDS, open_responses.break_ended)
    polling = _signal_polling(config, sessions, stores)
    return Services(
        config=config,
        sealer=sealer,
        stores=stores,
        provider=provider,
        revocation=revocation,
        pending_writes=pending_writes,
        tokens=tokens,
        sessions=sessions,
        open_responses=open_responses,
        redis_watch=redis_watch,
        background=(background, stream_checks, *polling, *([cache] if cache else [])),
    )


def _signal_polling(config: Config, sessions: Sessions, stores: Stores) -> list[Background]:
    """A thread of its own, where events are polled: a slow transmitter must delay nothing else."""
    polling = create_polling(config, sessions, stores.seen_messages, stores.poll_lease)
    return [Background([(SIGNALS_SECONDS, polling.run)])] if polling else []


def _session_cache(config: Config, stores: Stores) -> SessionCache | None:
    """None if each request reads from Redis: on a cluster, or if the cache is switched off."""
    if not config.session_lease_seconds or not config.session_memory_max:
        return None
    return SessionCache(stores.records, config)


def _user_naming(config: Config, sealer: Sealer) -> audit.NameUser:
    """How the audit log names a user: not at all, by a keyed hash, or by the provider's id."""
    if config.audit_user == "id":
        return lambda issuer, subject: subject
    if config.audit_user == "hash":
        return lambda issuer, subject: sealer.keyed_hash("audit user", issuer, subject)[:16]
    return lambda issuer, subject: None
