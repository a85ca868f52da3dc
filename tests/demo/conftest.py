"""What holds for the tests of the demo."""

from tests.support.provider_client import start_client

__all__ = ["start_client"]
