"""The embedded demo provider: an OpenID provider that behaves like an Auth0 tenant.

It is for demos and tests on one machine: everything is in memory, and faults can be injected.
`create_provider(settings)` makes the Flask application, `start_provider(settings)` serves it in
threads of this process, and `python -m demo.provider` serves it in a separate process.
"""

from demo.provider.app import create_provider
from demo.provider.server import RunningProvider, start_provider
from demo.provider.settings import ClientSettings, ProviderSettings, UserSettings

__all__ = [
    "ClientSettings",
    "ProviderSettings",
    "RunningProvider",
    "UserSettings",
    "create_provider",
    "start_provider",
]
