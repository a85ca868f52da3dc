"""What do all tests share? Redis, the browser, and the setting of the session cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.support.provider_keys  # noqa: F401 - For all tests of this process.
from bff.machine_api import wrong_keys
from tests.support.application import running_threads
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
from tests.support.waiting import wait_for

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
def no_thread_is_left() -> Iterator[None]:
    """The threads of an application that no test stops wake twice a second until the run ends."""
    before = running_threads()
    yield
    wait_for(lambda: running_threads() <= before, "the end of the module's applications")


@pytest.fixture(scope="module", autouse=True)
def wrong_keys_are_answered_at_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """In this process, but for the tests of that pause: a table of wrong keys waits a minute."""
    with pytest.MonkeyPatch.context() as patch:
        if request.module is not sys.modules.get("tests.machine_api.test_wrong_keys"):
            patch.setattr(wrong_keys, "PAUSE_SECONDS", 0.0)
        yield


@pytest.fixture(scope="module", autouse=True)
def session_cache(request: pytest.FixtureRequest) -> Iterator[str]:
    """The setting of the BFFs that a module starts: `cache on` or `cache off`."""
    module = request.module.__name__
    setting: str = getattr(request, "param", None) or cache_settings(module, False)[0]
    os.environ[CACHE_VARIABLE] = CACHE[setting]
    yield setting
    del os.environ[CACHE_VARIABLE]
