"""What the tests of `deploy/` share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.deploy.installation import Installation


@pytest.fixture(scope="session")
def here() -> Iterator[Installation]:
    """One installation for all tests that stop nothing of it."""
    with Installation(changed={"client_max_body_size 100m;": "client_max_body_size 2g;"}) as here:
        yield here
