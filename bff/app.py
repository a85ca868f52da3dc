"""A backend-for-frontend: signs people in, keeps their tokens, and makes logout final.

`create_app` is the wiring in order, and with that the map of the code. What everything stands on is
in `assembly`: settings, sealing, where sessions are kept, who the provider is, how a session lives
and ends. Here come the cookie, the guard, and one file for each group of routes.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from bff.config import Config

__all__ = ["create_app"]

log = logging.getLogger(__name__)

OWN_BODY_MAX_BYTES = 65_536
"""A form or a logout token is all that our own routes take; `/api` has `BFF_REQUEST_MAX_BYTES`."""


def create_app(config: Config | None = None) -> Flask:
    """Make the application, and start what its process does besides answering.

    Args:
        config: The settings; read from the environment and `.env` if None.

    Raises:
        ConfigError: The settings can't be used; it lists everything that is wrong.
    """
    # Imported here, since the demo's programs are in this package too (`demo`), and neither
    # need the application nor may be kept from starting by it.
    from bff.access.session_cookie import SessionCookieInterface
    from bff.access.session_guard import SessionGuard
    from bff.config import load
    from bff.gateway import forward_auth
    from bff.gateway.client_address import ClientAddresses
    from bff.gateway.forward_auth import ForwardAuth, ForwardAuthEndpoint
    from bff.gateway.lingering_close import LingeringClose
    from bff.gateway.proxy import Proxy, ProxyEndpoint, register_proxy_errors
    from bff.gateway.route_access import RouteAccess
    from bff.gateway.route_table import RouteTable
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
    from bff.services import build_services
    from bff.web import devices, error_responses, login, logout, profile, security_headers, spa

    services = build_services(config or load())
    config, sessions, provider = services.config, services.sessions, services.provider
    if not config.https:
        log.warning(
            "APP_BASE_URL is plain http: cookies are neither Secure nor bound to this host. "
            "This is for trying things on one machine, never for anybody else's use."
        )

    # Static files have rules of their own (`spa`), so Flask's are off.
    app = FlaskWithUnroutedRequests(__name__, static_folder=None)
    # Without it a form of any size would be read into memory, from anybody.
    app.config["MAX_CONTENT_LENGTH"] = OWN_BODY_MAX_BYTES
    interface = SessionCookieInterface(app, config, sessions)
    app.session_interface = interface
    guard = SessionGuard(config, interface)
    route_access = RouteAccess(guard, sessions, services.client_tokens)
    admin_auth = AdminAuth(config, services.verifier(config.admin_audience))
    audiences = AudienceVerifiers(config.audience, config.routes, services.verifier)

    error_responses.register(app, config)
    security_headers.register(app, config)
    for blueprint in (
        health.create_blueprint(services.history_start, provider),
        login.create_blueprint(config, provider, sessions, services.sealer),
        logout.create_blueprint(config, guard, sessions, provider, services.sealer),
        backchannel_logout.create_blueprint(
            config, provider.discovery, sessions, services.seen_messages
        ),
        introspection.create_blueprint(config.introspection_clients, audiences),
        token_check.create_blueprint(audiences),
        admin.create_blueprint(config, admin_auth, sessions),
        global_token_revocation.create_blueprint(config, admin_auth, sessions),
        auth0_log_stream.create_blueprint(
            config, sessions, services.seen_messages, services.sent_revocations
        ),
        shared_signals.create_blueprint(config, sessions, services.seen_messages),
        profile.create_blueprint(guard, sessions),
        devices.create_blueprint(config, guard, sessions),
        forward_auth.create_blueprint(),
        spa.create_blueprint(config),
    ):
        app.register_blueprint(blueprint)

    routes = RouteTable(config.routes)
    proxy = Proxy(config, routes, route_access, services.open_responses)
    register_proxy_errors(app, proxy)
    # Innermost first; each leaves to the next what isn't its own.
    app.wsgi_app = ProxyEndpoint(app, proxy)  # type: ignore[method-assign]
    if config.forward_auth_key is not None:
        auth = ForwardAuth(config, config.forward_auth_key, routes, route_access)
        app.wsgi_app = ForwardAuthEndpoint(app, auth)  # type: ignore[method-assign]
    clients = ClientAddresses(config.trusted_proxies)
    app.wsgi_app = LingeringClose(app.wsgi_app, clients)  # type: ignore[method-assign]

    app.extensions["bff"] = services
    for background in services.background:
        background.start()
    return app
