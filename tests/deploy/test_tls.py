"""deploy/: which versions of TLS do nginx, Caddy and Traefik speak (ASVS 12.1.1)?"""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Iterator

import pytest

from tests.deploy.installation import Installation
from tests.deploy.test_every_proxy import PROXIES

TIMEOUT_SECONDS = 10


@pytest.fixture(scope="module", params=PROXIES.values(), ids=list(PROXIES))
def here(request: pytest.FixtureRequest) -> Iterator[Installation]:
    with request.param() as here:
        yield here


def shake_hands(here: Installation, version: ssl.TLSVersion | None = None) -> str | None:
    """The version that was agreed on, if the client speaks only *version*, or all of them."""
    context = here.tls()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # It is what this is about.
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = version or ssl.TLSVersion.TLSv1
        context.maximum_version = version or ssl.TLSVersion.MAXIMUM_SUPPORTED
    with (
        socket.create_connection(("127.0.0.1", here.port), TIMEOUT_SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        return tls.version()


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_nothing_older_than_tls_1_2_is_spoken(here: Installation, version: str) -> None:
    with pytest.raises(ssl.SSLError) as refused:
        shake_hands(here, ssl.TLSVersion[version])
    assert "ALERT_PROTOCOL_VERSION" in str(refused.value), "the server must have said no"


def test_the_newest_version_is_preferred(here: Installation) -> None:
    assert shake_hands(here, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert shake_hands(here) == "TLSv1.3"
