"""Which fixtures do the tests of the demo share?"""

from tests.support.provider_client import start_client

__all__ = ["start_client"]
