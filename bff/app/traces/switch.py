"""Is an application traced? If it isn't, nothing of OpenTelemetry is loaded."""

from __future__ import annotations

from flask import Flask

from bff.config import Config
from bff.config.trace_options import INSTALL, SETTING
from bff.core.errors import ConfigError
from bff.core.process_end import at_process_end
from bff.gateway.observed_requests import ObservedRequests


def trace(app: Flask, config: Config) -> None:
    """Trace the requests of *app*, if `BFF_TRACES` says so.

    Raises:
        ConfigError: A package of OpenTelemetry is missing or broken, or it refuses a variable.
    """
    if not config.traces_are_on:
        return
    try:
        from bff.app.traces import set_up
        from bff.app.traces.request_span import TracedBodies

        at_process_end(set_up.start(config))
    except ImportError as error:
        raise ConfigError([f"{SETTING}: {error}: {INSTALL}"]) from error
    except Exception as error:
        # `trace_options` checks what is likely; the text might hold a variable's secret.
        kind = type(error).__name__
        raise ConfigError([f"{SETTING}: OpenTelemetry refuses its variables: {kind}"]) from error
    app.wsgi_app = ObservedRequests(TracedBodies(app))  # type: ignore[method-assign]
