"""Which endpoints does the application have, how are callers checked, and what wraps it?"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial

from flask import Blueprint, Flask

from bff.access.device_binding import DeviceBinding
from bff.access.own_routes import guard_own_routes
from bff.access.session_cookie import SessionCookieInterface
from bff.access.session_guard import SessionGuard
from bff.app.services import Services, build_services
from bff.app.traces import switch
from bff.config import Config, load, weak_settings
from bff.core import request_id
from bff.core.process_end import at_process_end
from bff.gateway import forward_auth, own_access_token
from bff.gateway.client_address import ClientAddresses
from bff.gateway.forward_auth import ForwardAuth, ForwardAuthEndpoint
from bff.gateway.lingering_close import LingeringClose
from bff.gateway.own_access_token import OwnAccessTokens
from bff.gateway.own_paths import register_own_paths
from bff.gateway.proxy import Proxy, ProxyEndpoint, register_proxy_errors
from bff.gateway.request_ids import RequestIDs
from bff.gateway.route_access import RouteAccess
from bff.gateway.route_table import PROXY_ENDPOINT, RouteTable
from bff.gateway.slow_clients import SlowClients
from bff.gateway.unrouted import FlaskWithUnroutedRequests
from bff.machine_api import (
    admin,
    auth0_log_stream,
    backchannel_logout,
    global_token_revocation,
    health,
    introspection,
    shared_signals,
    token_check,
)
from bff.machine_api.audiences import AudienceVerifiers
from bff.machine_api.authentication import AdminAuth
from bff.provider.kept_claims import KeepClaims
from bff.web import (
    cookie_removal,
    device_proofs,
    devices,
    error_responses,
    initiated_login,
    login,
    logout,
    profile,
    security_headers,
    spa,
)

log = logging.getLogger(__name__)

BACKGROUND = "bff_background"
"""In `Flask.extensions`: all threads that run beside the requests; `stop` ends one."""
IDLE_CONNECTIONS_SECONDS = 5.0
OWN_BODY_MAX_BYTES = 65_536
"""Our own endpoints only take forms and tokens; `/api` has `BFF_REQUEST_MAX_BYTES`."""


def create_app(
    config: Config | None = None,
    *,
    blueprints: Iterable[Blueprint] = (),
    keep_claims: KeepClaims | None = None,
) -> Flask:
    """Make the application, and start its background threads.

    Args:
        config: The settings; read from the environment and `.env` if None.
        blueprints: Routes of your own (docs/embedding.md).
        keep_claims: Returns claims to keep in each session, from all those of a sign-in.

    Raises:
        ConfigError: The settings can't be used; it lists everything that is wrong.
        ValueError: A blueprint has a route or a name that is taken.
    """
    services = build_services(config or load(), keep_claims=keep_claims)
    config = services.config
    for warning in weak_settings.warnings(config):
        log.warning("%s", warning)
    app = _without_endpoints(config)
    cookies = SessionCookieInterface(app, config, services.sessions)
    app.session_interface = cookies
    binding = DeviceBinding.of(config, services.sealer, services.stores)
    guard = SessionGuard(config, cookies, services.sessions, binding)

    error_responses.register(app, config)
    security_headers.register(app, config)
    _register(app, (*_for_browsers(services, guard, binding), *_for_programs(services)))
    access = RouteAccess(guard, services.tokens)
    proxy = _wrap_in_gateway(app, services, access)
    guard_own_routes(app, guard)
    app.extensions[own_access_token.EXTENSION] = OwnAccessTokens(access, config.routes)
    _register(app, blueprints)
    # Outermost: it also bounds what the layers below read.
    app.wsgi_app, watch = SlowClients.watched(app.wsgi_app)  # type: ignore[method-assign]
    watch.every(IDLE_CONNECTIONS_SECONDS, proxy.close_idle_connections)
    watch.every(IDLE_CONNECTIONS_SECONDS, services.provider.close_idle_connections)
    app.extensions["bff"] = services
    app.extensions[BACKGROUND] = (*services.background, watch)
    for background in app.extensions[BACKGROUND]:
        background.start()
    at_process_end(partial(_end, services))
    return app


def _without_endpoints(config: Config) -> FlaskWithUnroutedRequests:
    # `spa` serves the static files, by its own rules.
    app = FlaskWithUnroutedRequests(
        __name__, logs_responses=config.response_log, base_url=config.app_base_url
    )
    # Otherwise a client could have us read a form of any size into memory.
    app.config["MAX_CONTENT_LENGTH"] = OWN_BODY_MAX_BYTES
    return app


def _end(services: Services) -> None:
    services.pending_writes.finish()
    services.redis_watch.leave()


def _register(app: Flask, blueprints: Iterable[Blueprint]) -> None:
    for blueprint in blueprints:
        app.register_blueprint(blueprint)


def _for_browsers(
    services: Services, guard: SessionGuard, binding: DeviceBinding | None
) -> tuple[Blueprint, ...]:
    """Those that use the session load it through the guard, which refuses cross-site requests."""
    config, sessions, provider = services.config, services.sessions, services.provider
    return (
        login.create_blueprint(
            config, provider, sessions, services.sealer, services.stores.sign_in_attempts, binding
        ),
        initiated_login.create_blueprint(config),
        logout.create_blueprint(config, guard, sessions, provider, services.sealer),
        cookie_removal.create_blueprint(guard),
        profile.create_blueprint(guard, sessions),
        devices.create_blueprint(config, guard, sessions),
        device_proofs.create_blueprint(config, guard, services.stores, binding),
        spa.create_blueprint(config),
    )


def _for_programs(services: Services) -> tuple[Blueprint, ...]:
    """None of them reads the cookie; each file defines how its callers authenticate."""
    config, sessions, provider = services.config, services.sessions, services.provider
    stores = services.stores
    admin_auth = AdminAuth(config, services.verifier(config.admin_audience))
    audiences = AudienceVerifiers(config.audience, config.routes, services.verifier)
    seen = stores.seen_messages
    return (
        health.create_blueprint(stores.history_start, services.redis_watch, provider),
        admin.create_blueprint(config, admin_auth, sessions, stores.watermarks),
        global_token_revocation.create_blueprint(config, admin_auth, sessions),
        backchannel_logout.create_blueprint(config, provider.discovery, sessions, seen),
        auth0_log_stream.create_blueprint(config, sessions, seen, stores.sent_revocations),
        shared_signals.create_blueprint(config, sessions, seen),
        introspection.create_blueprint(config, audiences),
        token_check.create_blueprint(audiences),
        forward_auth.create_blueprint(),
    )


def _wrap_in_gateway(
    app: FlaskWithUnroutedRequests, services: Services, route_access: RouteAccess
) -> Proxy:
    """Let the gateway handle its routes and `/auth/verify` before Flask's router sees them."""
    config = services.config
    routes = RouteTable(config.routes)
    proxy = Proxy(config, routes, route_access, services.open_responses)
    register_proxy_errors(app, proxy)
    clients = ClientAddresses(config.trusted_proxies)
    request_ids = RequestIDs(clients)
    app.extensions[request_id.EXTENSION] = request_ids.of
    register_own_paths(app, PROXY_ENDPOINT, spa.RESERVED, clients.original_target)
    # Innermost first; each passes on the requests that it doesn't handle.
    app.wsgi_app = ProxyEndpoint(app, proxy)  # type: ignore[method-assign]
    if config.forward_auth_key is not None:
        auth = ForwardAuth(config, routes, route_access)
        app.wsgi_app = ForwardAuthEndpoint(app, auth, request_ids)  # type: ignore[method-assign]
    app.wsgi_app = LingeringClose(app.wsgi_app, clients)  # type: ignore[method-assign]
    switch.trace(app, config)
    return proxy
