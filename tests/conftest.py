"""What do all tests share? Redis, the browser, and the setting of the session cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bench import bench, make_bench
from tests.support.chromium import browser
from tests.support.fixtures import (
    audit_lines,
    bff,
    fake,
    receiver_for,
    transmitter,
    world,
    world_for,
)
from tests.support.redis_server import redis_prefix, redis_server
from tests.support.scale import CACHE, CACHE_VARIABLE, cache_settings

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
    "transmitter",
    "world",
    "world_for",
]


FOLDER = Path(__file__).parent
LONG = frozenset({"promises", "prove", "deploy"})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each marked module with the settings of the session cache that `scale` gives it."""
    if metafunc.definition.get_closest_marker("session_cache"):
        settings = cache_settings(metafunc.module.__name__, about_logout=True)
        metafunc.parametrize("session_cache", settings, indirect=True, scope="module")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The folders whose tests wait long come first, so that no worker ends with one of them."""
    items.sort(key=lambda item: item.path.relative_to(FOLDER).parts[0] not in LONG)


@pytest.fixture(scope="module", autouse=True)
def session_cache(request: pytest.FixtureRequest) -> Iterator[str]:
    """The setting of the BFFs that a module starts: `cache on` or `cache off`."""
    module = request.module.__name__
    setting: str = getattr(request, "param", None) or cache_settings(module, False)[0]
    os.environ[CACHE_VARIABLE] = CACHE[setting]
    yield setting
    del os.environ[CACHE_VARIABLE]
