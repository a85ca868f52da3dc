"""How does a test get what `deploy/nginx` describes: a real nginx with TLS, the BFF, an API?

The files are used as they are, but for addresses, names, the certificate, the key, and where nginx
may write.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import ssl
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from bff.demo.together import Together
from tests.deploy.api import EchoingAPI
from tests.support.browser_client import BrowserClient
from tests.support.certificate import Certificate
from tests.support.cluster import EMAIL, PASSWORD, TIMEOUT_SECONDS, Cluster
from tests.support.nginx import TEMPORARY, installed
from tests.support.processes import Process, free_port

DEPLOY = Path(__file__).resolve().parents[2] / "deploy/nginx"
NOT_IN_A_TEST = (
    "user www-data;\n",
    "pid /run/nginx.pid;\n",
    "error_log /var/log/nginx/error.log;\n",
)


class Installation(Together):
    """Everything on free ports, stopped at the end of the `with` block.

    Args:
        replicas: How many BFF processes.
        env: More environment variables of the BFF.
        changed: Texts of nginx.conf and what a test puts in their place.
    """

    def __init__(
        self,
        replicas: int = 1,
        env: dict[str, str] | None = None,
        changed: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._changed = changed or {}
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.certificate = Certificate(self.folder)
        self.key = secrets.token_hex(32)
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://localhost:{self.port}"
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
        self._write_files()
        self._stack.enter_context(self.cluster)
        self.nginx = self._stack.enter_context(self._nginx())
        self.nginx.wait_for_port(self.port)

    # ------------------------------------------------------------ the configuration
    def _write_files(self) -> None:
        for file in DEPLOY.iterdir():
            shutil.copy(file, self.folder)
        servers = "\n        ".join(
            f"server 127.0.0.1:{port} fail_timeout=2s;" for port in self.cluster.ports
        )
        self._replace("routes.toml", {"127.0.0.1:8002": f"127.0.0.1:{self.api.port}"})
        self._replace("key.conf", {"put BFF_FORWARD_AUTH_KEY here": self.key})
        self._replace("log.conf", {"/var/log/nginx": str(self.folder)})
        self._replace("api-request.conf", {"app.example.com": f"localhost:{self.port}"})
        folders = "".join(f"    {name}_temp_path {self.folder / name};\n" for name in TEMPORARY)
        self._replace(
            "nginx.conf",
            dict.fromkeys(NOT_IN_A_TEST, "")
            | self._changed
            | {
                "http {\n": f"http {{\n{folders}",
                "server 127.0.0.1:8000 fail_timeout=2s;": servers,
                "127.0.0.1:8002": f"127.0.0.1:{self.api.port}",
                "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
                "listen 443 ": f"listen 127.0.0.1:{self.port} ",
                "/etc/letsencrypt/live/app.example.com/fullchain.pem": str(
                    self.certificate.chain_file
                ),
                "/etc/letsencrypt/live/app.example.com/privkey.pem": str(self.certificate.key_file),
                "https://app.example.com": self.url,
                "app.example.com": "localhost",
            },
        )

    def _replace(self, name: str, replacements: dict[str, str]) -> None:
        file = self.folder / name
        text = file.read_text()
        for written, here in replacements.items():
            assert written in text, f"{name} has no {written!r}"
            text = text.replace(written, here)
        file.write_text(text)

    def _nginx(self) -> Process:
        user = "user root; " if os.geteuid() == 0 else ""
        own = f"{user}daemon off; pid {self.folder / 'pid'}; error_log stderr warn;"
        file = str(self.folder / "nginx.conf")
        command = [str(installed()), "-p", str(self.folder), "-e", "stderr", "-c", file, "-g", own]
        return Process(command, name="nginx")

    # ------------------------------------------------------------ what tests do with it
    def tls(self, *protocols: str) -> ssl.SSLContext:
        """A client's context that trusts the certificate."""
        context = ssl.create_default_context(cafile=str(self.certificate.ca_file))
        context.set_alpn_protocols(list(protocols) or ["http/1.1"])
        return context

    def browser(self, *, signed_in: bool = True) -> BrowserClient:
        """A new browser, by way of nginx."""
        browser = BrowserClient([self.url], EMAIL, PASSWORD)
        browser.here.verify = str(self.certificate.ca_file)
        self._stack.callback(browser.close)
        if signed_in:
            browser.log_in()
        return browser

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

    def reload(self) -> None:
        """Have nginx start new workers, and end the old ones after `worker_shutdown_timeout`."""
        assert self.nginx.pid is not None
        os.kill(self.nginx.pid, signal.SIGHUP)

    def issued_token(self) -> str:
        """The access token that the provider issued last."""
        return str(self.cluster.issued("access_token")[-1]["value"])
