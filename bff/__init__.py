"""A backend-for-frontend: signs people in, keeps their tokens, and makes logout final.

`create_app` is the wiring in order, and with that the map of the code. What everything stands on is
in `assembly`: settings, sealing, where sessions are kept, who the provider is, how a session lives
and ends. Here come the cookie, the guard, and one file for each group of routes.
"""

from __future__ import annotations

from flask import Flask, request

from bff import devices, headers, health, login, logout, problems, profile, proxy, spa
from bff.assembly import Parts, assemble
from bff.config import Config, load
from bff.cookie import CookieInterface, current
from bff.guard import Guard
from bff.model import PendingLogin, SignIn

__all__ = ["create_app"]


def create_app(config: Config | None = None) -> Flask:
    """Make the application, and start what its process does besides answering.

    Args:
        config: The settings; read from the environment and `.env` if None.

    Raises:
        ConfigError: The settings can't be used; it lists everything that is wrong.
    """
    parts = assemble(config or load())
    config, sessions = parts.config, parts.sessions

    # Static files have rules of their own (`spa`), so Flask's are off.
    app = Flask(__name__, static_folder=None)
    interface = CookieInterface(app, config, sessions)
    app.session_interface = interface
    guard = Guard(config, interface)

    problems.install(app)
    headers.install(app, config)
    for blueprint in (
        health.create_blueprint(parts.database, parts.provider),
        login.create_blueprint(
            config,
            parts.provider,
            parts.sealer,
            session_key=lambda: current().key,
            begin_session=lambda sign_in, pending: _begin_session(parts, sign_in, pending),
        ),
        logout.create_blueprint(config, guard, sessions, parts.provider, parts.sealer),
        profile.create_blueprint(guard, sessions),
        devices.create_blueprint(guard, sessions),
        proxy.create_blueprint(config, lambda: sessions.access_token(guard.api_session())),
        spa.create_blueprint(config),
    ):
        app.register_blueprint(blueprint)

    app.extensions["bff"] = parts
    parts.background.start()
    return app


def _begin_session(parts: Parts, sign_in: SignIn, pending: PendingLogin) -> None:
    """Store a finished sign-in and give its cookie to the browser."""
    label = devices.browser_label(request.user_agent.string)
    cookie_id = parts.sessions.start(
        sign_in, old_session_key=pending.old_session_key, browser=label
    )
    current().begin(cookie_id)
