"""Which settings are there, what makes them valid, and what follows from them?

They come from environment variables (or `.env`) and are checked once at start. Nothing else in
`bff` reads the environment.
"""

from bff.config.derived import Config
from bff.config.loading import environment, load, routes_to, setting_names
from bff.config.validators import CLIENT_SECRETS_MAX, LOOPBACK_HOSTS

__all__ = [
    "CLIENT_SECRETS_MAX",
    "LOOPBACK_HOSTS",
    "Config",
    "environment",
    "load",
    "routes_to",
    "setting_names",
]
