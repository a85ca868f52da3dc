"""Which questions are asked, and how long may all of them take?

They are asked at the same time, each by a thread that is left behind if it doesn't come back: a
name lookup has no time-out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from bff.cli.check import (
    client_secret,
    connecting,
    discovery,
    outside,
    redis_server,
    settings,
    sign_in,
    upstreams,
)
from bff.cli.check.finding import Finding
from bff.config import Config
from bff.config.route import origin_of
from bff.core.errors import ConfigError
from bff.provider.create import create_endpoint_client

Question = Callable[[], list[Finding]]

LIMIT_SECONDS = 60.0
THREADS = "bff-check"


def everything(config: Config, *, from_outside: bool) -> list[Finding]:
    """Ask all of them; with *from_outside* about `APP_BASE_URL`, too."""
    asked: list[tuple[str, Question]] = [
        ("provider", lambda: of_provider(config)),
        ("Redis", lambda: redis_server.findings(config)),
    ]
    asked += [("upstream", question) for question in upstreams.questions(config)]
    if from_outside:
        asked.append((outside.SUBJECT, lambda: outside.findings(config)))
    return _answers(asked)


def at_start(config: Config) -> list[Finding]:
    """Those that nothing else answers in the log of a server."""
    asked: list[tuple[str, Question]] = [("provider", lambda: of_provider(config))]
    asked += [("upstream", question) for question in upstreams.questions(config)]
    return _answers(asked)


def of_provider(config: Config) -> list[Finding]:
    """All about the provider, in one thread: each question needs the one before."""
    try:
        client = create_endpoint_client(config)
    except ConfigError as error:
        return settings.of_problems(error)
    try:
        metadata, found = discovery.findings(client)
        if metadata is not None:
            found += _certificate(config)
            found += client_secret.findings(client, metadata)
            found += sign_in.findings(client, metadata)
        return found
    finally:
        client.close()


def _certificate(config: Config) -> list[Finding]:
    """How long the provider's is valid; a proxy on the way is not asked to lead there."""
    origin = origin_of(config.issuer)
    if origin[0] != "https" or config.provider_proxy is not None:
        return []
    variable = discovery.issuer_variable(config)
    return [connecting.look("provider", origin, (config.trusted_cas,), variable)]


def _answers(asked: list[tuple[str, Question]]) -> list[Finding]:
    found: dict[int, list[Finding]] = {}

    def ask(position: int, subject: str, question: Question) -> None:
        try:
            found[position] = question()
        except Exception as error:  # A fault of ours must not hide the other rows.
            meaning = f"the check itself failed: {type(error).__name__}"
            found[position] = [Finding(subject, "failed", meaning, "Report it")]

    threads = [
        threading.Thread(target=ask, args=(i, *one), name=f"{THREADS}-{i}", daemon=True)
        for i, one in enumerate(asked)
    ]
    logger = logging.getLogger("bff.provider")
    logger.addFilter(_is_of_others)
    try:
        ends_at = time.monotonic() + LIMIT_SECONDS
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, ends_at - time.monotonic()))
    finally:
        logger.removeFilter(_is_of_others)
    return [row for i, one in enumerate(asked) for row in found.get(i) or [_late(one[0])]]


def _is_of_others(record: logging.LogRecord) -> bool:
    """Refusals are wanted here, and would look like faults in the log."""
    return not str(record.threadName).startswith(THREADS)


def _late(subject: str) -> Finding:
    return Finding(subject, "failed", f"no answer within {LIMIT_SECONDS:.0f} s", "Is it reachable?")
