"""Is a wrong set-up in the log before the first user meets it?

A server looks once, in the background: its start neither waits for it nor fails by it. One process
does it for all, so that the provider gets one made-up code for each start of a server.
"""

from __future__ import annotations

import logging
import threading

from bff.cli.check import questions
from bff.cli.check.finding import one_line
from bff.config import Config

log = logging.getLogger("bff.check")


def look(config: Config) -> threading.Thread:
    """Look, and log what is wrong: a failure as an error, the rest as warnings."""
    thread = threading.Thread(target=_log, args=(config,), name="bff-start-check", daemon=True)
    thread.start()
    return thread


def _log(config: Config) -> None:
    for row in questions.at_start(config):
        if row.status != "ok":
            level = logging.ERROR if row.status == "failed" else logging.WARNING
            log.log(level, "%s", one_line(f"{row.subject}: {row.meaning}. {row.advice}"))
