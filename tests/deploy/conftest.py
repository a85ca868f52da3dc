"""What the tests of `deploy/` share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.nginx import BehindNginx


@pytest.fixture(scope="session")
def here() -> Iterator[BehindNginx]:
    """One installation for all tests that stop nothing of it."""
    with BehindNginx(changed={"client_max_body_size 100m;": "client_max_body_size 2g;"}) as here:
        yield here
