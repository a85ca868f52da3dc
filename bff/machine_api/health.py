"""Does this process run, and can it serve? `/healthz` and `/readyz`, for an orchestrator."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from bff.core.errors import StoreUnavailable
from bff.provider.oidc import Provider
from bff.store import HistoryStart


def create_blueprint(history_start: HistoryStart, provider: Provider) -> Blueprint:
    """The routes; they need neither cookie nor session."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        checks = {"redis": _is_ready(history_start), "provider": provider.ready}
        ready = all(checks.values())
        return jsonify(status="ok" if ready else "not ready", checks=checks), 200 if ready else 503

    return blueprint


def _is_ready(history_start: HistoryStart) -> bool:
    """Whether Redis responds and has a history start that is older than any token from now on."""
    try:
        return history_start.has_begun()
    except StoreUnavailable:
        return False
