"""Where do the log lines of the server and of the commands go?"""

from __future__ import annotations

from typing import Any


def logging_config() -> dict[str, Any]:
    """For `dictConfig`: all to stderr, audit lines as they are, others with time and logger."""
    stream = {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "bare": {"format": "%(message)s"},
            "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        },
        "handlers": {
            "audit": stream | {"formatter": "bare"},
            "others": stream | {"formatter": "line"},
        },
        "loggers": {
            "bff.audit": {"level": "INFO", "handlers": ["audit"], "propagate": False},
            "_granian": {"level": "INFO", "handlers": ["others"], "propagate": False},
        },
        # Authlib logs the code verifier at DEBUG, so the level is INFO or above.
        "root": {"level": "INFO", "handlers": ["others"]},
    }
