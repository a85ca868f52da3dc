"""What holds for the whole test run: the shared Redis and browser, and who remembers sessions."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.support.bench import bench, make_bench
from tests.support.chromium import browser
from tests.support.fixtures import audit_lines, bff, fake, receiver_for, world, world_for
from tests.support.redis_server import redis_prefix, redis_server
from tests.support.scale import MEMORY, MEMORY_VARIABLE, memory_settings

__all__ = [
    "audit_lines",
    "bench",
    "bff",
    "browser",
    "fake",
    "make_bench",
    "receiver_for",
    "redis_prefix",
    "redis_server",
    "world",
    "world_for",
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let each module run in the settings of the session memory that are its share."""
    if metafunc.definition.get_closest_marker("memory"):
        settings = memory_settings(metafunc.module.__name__, about_logout=True)
        metafunc.parametrize("session_memory", settings, indirect=True, scope="module")


@pytest.fixture(scope="module", autouse=True)
def session_memory(request: pytest.FixtureRequest) -> Iterator[str]:
    """Whether BFFs that are started remember sessions: `memory on` or `memory off`."""
    module = request.module.__name__
    setting: str = getattr(request, "param", None) or memory_settings(module, False)[0]
    os.environ[MEMORY_VARIABLE] = MEMORY[setting]
    yield setting
    del os.environ[MEMORY_VARIABLE]
