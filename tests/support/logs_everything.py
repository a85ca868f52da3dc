"""An application that has configured logging itself, with everything that can be logged."""

import logging

logging.basicConfig(level=logging.DEBUG)

from wsgi import app  # noqa: E402

__all__ = ["app"]
