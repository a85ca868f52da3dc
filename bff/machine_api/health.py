"""Does this process run, and can it serve? `/healthz` and `/readyz`, for an orchestrator."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

from flask import Blueprint, Response, jsonify

from bff.core.errors import StoreUnavailable
from bff.provider.oidc import Provider
from bff.store import HistoryStart
from bff.store.redis_watch import RedisWatch

LOOK_WAIT_SECONDS = 0.5
"""For a look at Redis that is under way; if it takes longer, Redis hangs."""
READY_WAIT_SECONDS = 2.0
"""A look asks each node more than once, and each time may be the whole time-out."""


def create_blueprint(
    history_start: HistoryStart, watch: RedisWatch, provider: Provider
) -> Blueprint:
    """The routes; they need neither cookie nor session."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        is_redis_ready = _within(READY_WAIT_SECONDS, lambda: _is_ready(history_start, watch))
        checks = {"redis": is_redis_ready, "provider": provider.ready}
        ready = all(checks.values())
        problems = watch.problems()
        more = {"problems": problems} if problems else {}
        status = "ok" if ready else "not ready"
        return jsonify(status=status, checks=checks, **more), 200 if ready else 503

    return blueprint


def _is_ready(history_start: HistoryStart, watch: RedisWatch) -> bool:
    """Whether Redis responds, keeps what it is told, and has a history start that has passed."""
    try:
        watch.look(wait_seconds=LOOK_WAIT_SECONDS)
        return history_start.has_begun() and watch.is_sound()
    except StoreUnavailable:
        return False


def _within(wait_seconds: float, question: Callable[[], bool]) -> bool:
    """The answer, or False if it takes longer; it is asked in a thread of its own."""
    answers: SimpleQueue[bool] = SimpleQueue()
    Thread(target=lambda: answers.put(question()), daemon=True).start()
    try:
        return answers.get(timeout=wait_seconds)
    except Empty:
        return False
