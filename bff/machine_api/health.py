"""Is this process alive, and can it serve? `/healthz` and `/readyz`, for machines."""

from __future__ import annotations

from typing import Protocol

from flask import Blueprint, Response, jsonify

from bff.core.errors import StoreUnavailable
from bff.store import HistoryStart


class Readiness(Protocol):
    """What is needed of the provider."""

    @property
    def ready(self) -> bool:
        """Whether metadata and keys were loaded once."""


def create_blueprint(history_start: HistoryStart, provider: Readiness) -> Blueprint:
    """Routes without a cookie and without a session."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        checks = {"redis": _answers(history_start), "provider": provider.ready}
        ready = all(checks.values())
        return jsonify(status="ok" if ready else "not ready", checks=checks), 200 if ready else 503

    return blueprint


def _answers(history_start: HistoryStart) -> bool:
    """Whether Redis answers, and what is issued from now on will count as newer than it is."""
    try:
        return history_start.has_begun()
    except StoreUnavailable:
        return False
