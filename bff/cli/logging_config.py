"""Where do the log lines of the server and of the commands go, and in which form?

All to stderr, as `BFF_LOG_FORMAT` and `BFF_LOG_LEVEL` say. Lines of the audit log stay as they are.
"""

from __future__ import annotations

import logging
import logging.config
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from bff.cli.debug_lines import DebugLines
from bff.cli.exit_codes import WRONG_USAGE
from bff.config import environment
from bff.core.errors import ConfigError
from bff.core.log_lines import JSONLine, TextLine
from bff.core.operations import observers

_T = TypeVar("_T")

LINES = {"text": TextLine, "json": JSONLine}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
OF_SERVERS = ("_granian", "gunicorn.error", "gunicorn.access")
"""Loggers that their servers cut off from the root; the last one has lines only if it is on."""

log = logging.getLogger("bff.settings")


def logging_config(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """For `dictConfig`, and for gunicorn's `logconfig_dict` (docs/logs.md).

    Args:
        environ: Has the settings; by default the process's environment and `.env`. What is wrong
            counts as not set here: it is reported where all settings are read.
    """
    line, level = _chosen(environ)
    # Libraries log verifiers, commands and queries at DEBUG, so INFO is their lowest.
    of_others = max(level, "INFO", key=LEVELS.index)
    stream = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
    # Granian sets the level of its logger itself, so the level is that of the handler.
    of_server = {"handlers": ["servers"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"bare": {"format": "%(message)s"}, "line": {"()": line}},
        "handlers": {
            "audit": stream | {"formatter": "bare"},
            "others": stream | {"formatter": "line"},
            "servers": stream | {"formatter": "line", "level": of_others},
        },
        "loggers": {
            "bff": {"level": level},
            "bff.responses": {"level": "INFO"},
            "bff.audit": {"level": "INFO", "handlers": ["audit"], "propagate": False},
            **dict.fromkeys(OF_SERVERS, of_server),
        },
        "root": {"level": of_others, "handlers": ["others"]},
    }


def configure() -> None:
    """Configure logging in a process that is ours alone; what nobody catches is logged, too."""
    logging.config.dictConfig(logging_config())
    _show_calls_at_debug()
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(
        args.exc_type, args.exc_value, args.exc_traceback
    )


def configure_ours() -> None:
    """Give our own loggers handlers, if nobody has; for `wsgi:app` under any server.

    Nothing else is touched: the root belongs to whoever runs the server, and `dictConfig` closes
    the handlers of all loggers.
    """
    ours, audit = logging.getLogger("bff"), logging.getLogger("bff.audit")
    if audit.hasHandlers():
        return
    line, level = _chosen(None)
    for logger, lowest, formatter in (
        (ours, level, line()),
        (audit, "INFO", logging.Formatter("%(message)s")),
    ):
        handler = logging.StreamHandler()
        handler.setFormatter(formatter)
        logger.addHandler(handler)
        logger.setLevel(lowest)
        logger.propagate = False
    logging.getLogger("bff.responses").setLevel(logging.INFO)
    _show_calls_at_debug()


def exit_at_config_error(make: Callable[[], _T]) -> _T:
    """What *make* returns; wrong settings are logged, and end the process."""
    try:
        return make()
    except ConfigError as error:
        log_config_error(error)
        sys.exit(WRONG_USAGE)


def tell(problem: str) -> None:
    """Tell a person, or log for a machine, why the server doesn't start."""
    if _chosen(None)[0] is JSONLine:
        log.error("%s", problem)
    else:
        print(problem, file=sys.stderr)


def log_config_error(error: ConfigError) -> None:
    """Log each problem as an error, with the variable's name."""
    log.error("%d problem(s) with the settings", len(error.problems))
    for problem in error.problems:
        log.error("%s", problem)


def _show_calls_at_debug() -> None:
    """Else nobody observes, which costs nothing."""
    known = any(isinstance(one, DebugLines) for one in observers)
    if not known and logging.getLogger("bff").isEnabledFor(logging.DEBUG):
        observers.append(DebugLines())


def _chosen(environ: Mapping[str, str] | None) -> tuple[type[logging.Formatter], str]:
    """The form of a line, and the level of our own loggers."""
    given = environment() if environ is None else environ
    level = given.get("BFF_LOG_LEVEL", "").upper()
    line = LINES.get(given.get("BFF_LOG_FORMAT", ""), TextLine)
    return line, level if level in LEVELS else "INFO"


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error or kind(), traceback)
    else:
        logging.getLogger("bff").critical("unexpected error", exc_info=error)
