"""How does a test end an application of `create_app`? All its threads; else they run for hours."""

from __future__ import annotations

import threading

from flask import Flask

from bff.app.factory import BACKGROUND
from bff.app.services import Services

THREAD = "bff-background"


def stop(app: Flask) -> None:
    """Stop what runs beside the requests, and close the connections."""
    for background in app.extensions[BACKGROUND]:
        background.stop()
    services: Services = app.extensions["bff"]
    services.provider.close()
    services.stores.database.client.close()


def running_threads() -> int:
    """How many threads of applications run beside the requests in this process."""
    return sum(thread.name == THREAD for thread in threading.enumerate())
