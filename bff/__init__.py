"""A backend-for-frontend: it signs people in, keeps their tokens, and makes a logout final.

    app/               factory.py, create_app(): every endpoint, who may call it, what wraps it;
                       services.py, build_services(): the parts below, in order of construction;
                       traces/: what OpenTelemetry is told of requests, and of what they wait for
    cli/               the commands: serve, check, routes, sessions, revocations, deny-list-key
    web/               endpoints for browsers: sign-in, logout, profile, devices, SPA, pages
    machine_api/       endpoints for programs: admin, back-channel logout, webhooks, introspection,
                       health; none of them looks at the cookie
    gateway/           /api and /auth/verify: request in, upstream, response out
    access/            may this request use the session that its cookie names?
    sessions/          start, load, list, expire, and the one door to end a session
    tokens/            access tokens for upstreams, renewed under a lock
    revocation/        what happens when sessions end
    provider/          the OpenID provider: endpoints, dialects, the tokens that it signs
    store/             Redis: key names, scripts, records, indexes, outbox, deny-list, watermarks
    config/            settings, routes
    resource_server/   all that an API needs to refuse revoked access tokens, and nothing else
    core/              what every part uses: model, errors, audit log, sealing, background work

A package imports from those below it and never from its neighbours (`pyproject.toml`).

For an application that adds routes of its own (docs/embedding.md), this package exports the names
below. They are imported when they are first used: an API that uses `bff.resource_server` must not
load all the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bff.access.current_user import User, current_user
    from bff.access.own_routes import machine_route, public_route, signed_in
    from bff.app.factory import create_app
    from bff.core.signals import session_ended, session_started, token_refreshed
    from bff.gateway.own_access_token import access_token

__all__ = [
    "User",
    "access_token",
    "create_app",
    "current_user",
    "machine_route",
    "public_route",
    "session_ended",
    "session_started",
    "signed_in",
    "token_refreshed",
]

_MODULES = {
    "User": "bff.access.current_user",
    "access_token": "bff.gateway.own_access_token",
    "current_user": "bff.access.current_user",
    "create_app": "bff.app.factory",
    "machine_route": "bff.access.own_routes",
    "public_route": "bff.access.own_routes",
    "session_ended": "bff.core.signals",
    "session_started": "bff.core.signals",
    "token_refreshed": "bff.core.signals",
    "signed_in": "bff.access.own_routes",
}


def __getattr__(name: str) -> Any:
    """Import an exported name (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'bff' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
