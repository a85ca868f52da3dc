"""Inside a company: everything over TLS with its own CA, and a proxy on the way to the provider."""

from __future__ import annotations

import json
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.ageing import age_access_token
from tests.support.browser_client import BrowserClient
from tests.support.certificate import Certificate
from tests.support.cluster import TIMEOUT_SECONDS, Cluster
from tests.support.http_proxy import HTTPProxy
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.tls_front import Front
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

REPLICAS = 2
HOST = "localhost"
OF_THE_FILE = "/orders"
NEEDS = {"provider": "/auth/login", "redis": "/auth/profile"}


class Company(Cluster):
    """An installation of which the BFF reaches nothing without TLS.

    Args:
        certificate: What everything that the BFF calls shows.
    """

    def __init__(self, certificate: Certificate) -> None:
        super().__init__(REPLICAS, env={"BFF_CA_FILE": str(certificate.ca_file)})
        self._certificate = certificate

    def _start_all(self) -> None:
        # For what the test itself, the browser and the API ask of the provider.
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("REQUESTS_CA_BUNDLE", str(self._certificate.ca_file))
        self.proxy = self._stack.enter_context(HTTPProxy())
        self.redis = self._stack.enter_context(RedisServer())
        self.redis_url = f"rediss://{HOST}:{self._front(self.redis.port)}/0"
        port = free_port()
        public_url = f"https://{HOST}:{self._front(port)}/"
        # The same keys under another address, so that it shows who was asked for them.
        self.transmitter = f"{HOST}:{self._front(port)}"
        self._provider_settings |= {"port": port, "public_url": public_url}
        self._start_provider()
        self.api_url = f"https://{HOST}:{self._front(urlsplit(self._start_api()).port or 0)}"
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.routes_file = folder / "routes.toml"
        self.routes_file.write_text(
            f'[[route]]\nprefix = "{OF_THE_FILE}"\nupstream = "{self.api_url}"\n'
        )
        self.replicas = [self.start_replica(port) for port in self.ports]

    def _front(self, port: int) -> int:
        """The port at which TLS ends for what listens on *port*."""
        front = Front(port, self._certificate.server_context())
        return self._stack.enter_context(front).port

    def api_environment(self) -> dict[str, str]:
        return super().api_environment() | {"REQUESTS_CA_BUNDLE": str(self._certificate.ca_file)}

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "REDIS_URL": self.redis_url,
            "BFF_ROUTES_FILE": str(self.routes_file),
            "BFF_PROVIDER_PROXY": f"http://127.0.0.1:{self.proxy.port}",
            "BFF_SSF_ISSUER": self.issuer,
            "BFF_SSF_JWKS_URL": f"https://{self.transmitter}/.well-known/jwks.json",
        }

    def browser(self) -> BrowserClient:
        browser = super().browser()
        browser.at_provider.verify = str(self._certificate.ca_file)
        return browser


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("tls"), (HOST,))


@pytest.fixture(scope="module")
def cluster(certificate: Certificate, session_cache: str) -> Iterator[Company]:
    with Company(certificate) as started:
        yield started


def test_sign_in_refresh_and_logout(cluster: Company) -> None:
    assert {urlsplit(url).scheme for url in (cluster.issuer, cluster.api_url)} == {"https"}
    browser = cluster.browser()
    browser.log_in()
    age_access_token(cluster, browser.cookie, 0)
    assert browser.api("/items", replica=1).status_code == 200
    assert browser.fetch("GET", f"{OF_THE_FILE}/items").status_code == 200
    assert cluster.counts()["token.refresh_token.ok"] == 1
    assert browser.log_out(replica=1).status_code == 200
    assert [browser.api("/items", replica=i).status_code for i in range(REPLICAS)] == [401, 401]
    wait_for(lambda: not cluster.active_refresh_tokens(), "the revocation")


def test_the_proxy_carries_what_goes_to_the_provider_and_for_keys(cluster: Company) -> None:
    """And nothing else: the connection to the API is direct."""
    browser = cluster.browser()
    browser.log_in()
    assert browser.api("/items").status_code == 200
    refused = show_forged_event(cluster)
    # Without the transmitter's keys it would be 503; with them the forgery is one.
    assert (refused.status_code, refused.json()["err"]) == (400, "invalid_key")
    assert cluster.proxy.targets() == {urlsplit(cluster.issuer).netloc, cluster.transmitter}


def test_redis_tells_each_replica_about_changes(cluster: Company, session_cache: str) -> None:
    expected = REPLICAS if session_cache == "cache on" else 0
    wait_for(lambda: cluster.tracking_connections() == expected, f"{expected} such connections")


@pytest.mark.parametrize("unknown", ["provider", "redis"])
def test_an_unknown_ca_is_an_outage_of_the_one_that_shows_it(
    unknown: str, cluster: Company, certificate: Certificate, tmp_path: Path
) -> None:
    """It signs no user in or out."""
    [known] = {"provider", "redis"} - {unknown}
    browser = cluster.browser()
    browser.log_in()
    stranger = Certificate(tmp_path).ca_file
    vouching = {known: certificate.ca_file, unknown: stranger}
    env = {
        "BFF_CA_FILE": str(vouching["provider"]),
        "REDIS_URL": f"{cluster.redis_url}?ssl_ca_certs={vouching['redis']}",
    }
    with replica(cluster, env) as url:
        wait_for(lambda: checks(url)[known], known)
        headers = {"Cookie": f"session={browser.cookie}", "X-CSRF": "1"}
        refused = requests.get(
            url + NEEDS[unknown], headers=headers, allow_redirects=False, timeout=TIMEOUT_SECONDS
        )
        assert refused.status_code == 503
        assert not refused.cookies
        assert not checks(url)[unknown]
    assert browser.profile().status_code == 200


@contextmanager
def replica(cluster: Company, env: dict[str, str]) -> Iterator[str]:
    """Start one more BFF process, perhaps without some settings; returns its address."""
    port = free_port()
    command = [sys.executable, "-m", "bff", "serve", "--port", str(port)]
    with Process(command, name=f"bff:{port}", env=cluster.environment() | env) as process:
        process.wait_for_http(f"http://127.0.0.1:{port}/healthz")
        yield f"http://localhost:{port}"


def checks(url: str) -> dict[str, bool]:
    found: dict[str, bool] = requests.get(f"{url}/readyz", timeout=TIMEOUT_SECONDS).json()["checks"]
    return found


def show_forged_event(cluster: Company) -> requests.Response:
    """Post a security event token that is signed with an unknown key."""
    head = {"alg": "RS256", "typ": "secevent+jwt", "kid": "made-up"}
    forged = ".".join(
        b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in (head, {"iss": cluster.issuer}, "no signature")
    )
    return requests.post(
        f"{cluster.url()}/webhooks/ssf",
        data=forged,
        headers={"Content-Type": "application/secevent+jwt"},
        timeout=TIMEOUT_SECONDS,
    )
