"""Every setting: its unit, default and rule, checked once at start.

Everything comes from environment variables (or `.env`). Nothing else in `bff` reads them.
"""

from bff.config.derived import Config
from bff.config.loading import load, routes_to, setting_names
from bff.config.validators import CLIENT_SECRETS_MAX, LOOPBACK_HOSTS

__all__ = [
    "CLIENT_SECRETS_MAX",
    "LOOPBACK_HOSTS",
    "Config",
    "load",
    "routes_to",
    "setting_names",
]
