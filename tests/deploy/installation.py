"""How does a test get what `deploy/` describes: a real proxy with TLS, the BFF, an API behind it?

The files are used as they are, but for addresses, names, the certificate, the key, and where the
proxy may write. Which proxy it is, the files beside this one say.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
import socket
import ssl
import statistics
import tempfile
import time
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.program_group import ProgramGroup
from tests.deploy.api import EchoingAPI
from tests.deploy.wire import page
from tests.support.browser_client import BrowserClient
from tests.support.certificate import Certificate
from tests.support.cluster import EMAIL, PASSWORD, TIMEOUT_SECONDS, Cluster
from tests.support.processes import Process, free_port
from tests.support.waiting import wait_for

MEGABYTE = 1024 * 1024
BLOCK = bytes(range(256)) * (MEGABYTE // 256)
"""An upload is made of it."""
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


class Installation(ProgramGroup):
    """Everything on free ports, stopped at the end of the `with` block.

    Args:
        replicas: How many BFF processes.
        env: More environment variables of the BFF.
    """

    def __init__(self, replicas: int = 1, env: dict[str, str] | None = None) -> None:
        super().__init__()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.certificate = Certificate(self.folder)
        self.key = secrets.token_hex(32)
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
        self._user: BrowserClient | None = None
        self.api = EchoingAPI()
        self.cluster = Cluster(
            replicas,
            env={
                "BFF_FORWARD_AUTH_KEY": self.key,
                "BFF_TRUSTED_PROXIES": "127.0.0.1",
                "BFF_ROUTES_FILE": str(self.folder / "routes.toml"),
                "BFF_API_URL": "",
                "BFF_REQUEST_MAX_BYTES": "0",
            }
            | (env or {}),
            api_url="named in the routes",
        )
        self.cluster.base_url = self.url

    def _start_all(self) -> None:
        # For what the browser client asks without a session of its own.
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("REQUESTS_CA_BUNDLE", str(self.certificate.ca_file))
        self._stack.enter_context(self.api)
        self.write("nginx/routes.toml", {"127.0.0.1:8002": f"127.0.0.1:{self.api.port}"})
        self._write_files()
        self._stack.enter_context(self.cluster)
        self.front = self._stack.enter_context(self._front())
        self.front.wait_for_port(self.port)
        wait_for(self._serves, "the proxy to have read its configuration")

    # ------------------------------------------------------------ the configuration
    @abstractmethod
    def _write_files(self) -> None:
        """Put the proxy's files into `folder`."""

    @abstractmethod
    def _front(self) -> Process:
        """The proxy, not started yet."""

    def write(self, name: str, replacements: Mapping[str, str]) -> None:
        """Copy a file of `deploy/`, with those texts replaced, all of which must be in it."""
        text = (DEPLOY / name).read_text()
        for written, here in replacements.items():
            assert written in text, f"{name} has no {written!r}"
            text = text.replace(written, here)
        (self.folder / Path(name).name).write_text(text)

    def _serves(self) -> bool:
        try:
            return self.ask("/healthz").status_code == 200
        except requests.ConnectionError:
            return False

    # ------------------------------------------------------------ what tests do with it
    def tls(self, *protocols: str) -> ssl.SSLContext:
        """A client's context that trusts the certificate."""
        context = ssl.create_default_context(cafile=str(self.certificate.ca_file))
        context.set_alpn_protocols(list(protocols) or ["http/1.1"])
        return context

    def browser(self, *, signed_in: bool = True) -> BrowserClient:
        """A new browser, by way of the proxy."""
        browser = self.new_browser()
        self._stack.callback(browser.close)
        if signed_in:
            browser.log_in()
        return browser

    def new_browser(self) -> BrowserClient:
        """One that isn't signed in, and that the caller closes."""
        browser = BrowserClient([self.url], EMAIL, PASSWORD)
        browser.here.verify = str(self.certificate.ca_file)
        return browser

    def user(self) -> BrowserClient:
        """One signed-in browser for all tests that leave its session as it is.

        A proxy lets one address begin only so many sign-ins a second.
        """
        if self._user is None:
            self._user = self.browser()
        return self._user

    def ask(self, path: str, **options: Any) -> requests.Response:
        """A request of nobody; the path goes as it stands."""
        with requests.Session() as session:
            asked = requests.Request(
                options.pop("method", "GET"),
                self.url,
                headers=options.pop("headers", {}),
                **options,
            )
            request = session.prepare_request(asked)
            request.url = self.url + path
            return session.send(
                request,
                verify=str(self.certificate.ca_file),
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
            )

    def raw(self, target: str, *fields: str, method: str = "GET") -> tuple[int, bytes]:
        """Status and everything that came, of a target that no library had in its hands."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: localhost:{self.port}", "Connection: close"]
        with (
            socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS) as plain,
            self.tls().wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.sendall("\r\n".join([*lines, *fields, "", ""]).encode("latin-1"))
            received = b""
            while piece := tls.recv(65_536):
                received += piece
        return int(received.split(b" ", 2)[1]), received

    def upload(self, browser: BrowserClient, size_bytes: int) -> tuple[int, dict[str, object]]:
        """PUT so many bytes; status, and what the API says of them (or the problem)."""
        with closing(
            http.client.HTTPSConnection(
                "localhost", self.port, timeout=TIMEOUT_SECONDS, context=self.tls()
            )
        ) as connection:
            connection.putrequest("PUT", "/api/files/big")
            for field in (*page(browser), f"Content-Length: {size_bytes}"):
                connection.putheader(*field.split(": ", 1))
            connection.endheaders()
            for _ in range(size_bytes // MEGABYTE):
                connection.send(BLOCK)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def median_seconds(self, browser: BrowserClient, count: int) -> float:
        """How long the BFF's own server takes for an ordinary request, one after the other.

        The best median of three, since the machine is shared.
        """
        fields = {"Cookie": f"__Host-Http-session={browser.cookie}", "X-CSRF": "1"}
        with requests.Session() as session:

            def one() -> float:
                began = time.perf_counter()
                answer = session.get(f"{self.cluster.url()}/api/items", headers=fields)
                assert answer.status_code == 200
                return time.perf_counter() - began

            return min(statistics.median(one() for _ in range(count)) for _ in range(3))

    def issued_token(self) -> str:
        """The access token that the provider issued last."""
        return str(self.cluster.issued("access_token")[-1]["value"])


def sha256(size_bytes: int) -> str:
    """Of what `upload` sends."""
    digest = hashlib.sha256()
    for _ in range(size_bytes // MEGABYTE):
        digest.update(BLOCK)
    return digest.hexdigest()
