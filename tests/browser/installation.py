"""How does a browser test start a BFF behind a front that records every byte?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

import demo
from tests.support.certificate import Certificate
from tests.support.chromium import FLAGS, installed
from tests.support.cluster import Cluster
from tests.support.tls_front import Front

DEMO_SPA = Path(demo.__file__).parent / "spa"
TEST_DOMAIN = "example.test"
"""The browser of `trusting` resolves it to this machine; its subdomains are siblings."""


@dataclass(frozen=True)
class Installation:
    """A running installation; browsers go to `origin`."""

    cluster: Cluster
    front: Front
    origin: str


@contextmanager
def installation(
    certificate: Certificate | None = None,
    *,
    host: str = "localhost",
    env: Mapping[str, str] | None = None,
    api_url: str | None = None,
    provider: Mapping[str, Any] | None = None,
    replicas: int = 1,
) -> Iterator[Installation]:
    """Start all programs; with a *certificate*, over https."""
    spa = {"BFF_SPA_DIR": str(DEMO_SPA)}
    cluster = Cluster(replicas, env=spa | dict(env or {}), api_url=api_url, provider=provider)
    tls = certificate.server_context() if certificate else None
    with Front(cluster.ports[0], tls, also=cluster.ports[1:]) as front:
        cluster.base_url = f"{'https' if tls else 'http'}://{host}:{front.port}"
        with cluster:
            yield Installation(cluster, front, cluster.base_url)


@contextmanager
def trusting(browser: Browser, certificate: Certificate) -> Iterator[Browser]:
    """A second browser that trusts *certificate* and resolves the test domain to this machine."""
    kind = browser.browser_type
    launched = kind.launch(
        executable_path=installed() or kind.executable_path,
        headless=True,
        args=[
            *FLAGS,
            f"--ignore-certificate-errors-spki-list={certificate.spki_hash}",
            f"--host-resolver-rules=MAP *.{TEST_DOMAIN} 127.0.0.1",
        ],
    )
    try:
        yield launched
    finally:
        launched.close()
