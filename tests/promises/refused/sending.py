"""How does a test of promise 10 send what no library would send, and check the response?"""

from __future__ import annotations

from tests.support import raw_client
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.refusal import assert_error

MAX_BYTES = 100_000
"""The limit of bodies at `/api`."""
ROUTES = (
    "/", "/healthz", "/readyz", "/auth/login", "/auth/callback", "/auth/profile", "/auth/logout",
    "/auth/logged-out", "/auth/sessions", "/auth/sessions/abc", "/auth/client.js",
    "/auth/pages.css", "/auth/nothing", "/nothing", "/api", "/api/x",
)  # fmt: skip


def send(
    cluster: Cluster, target: str, *fields: str, method: str = "GET", body: bytes = b""
) -> raw_client.Received:
    """Send a request with these header lines; same-origin unless they say otherwise."""
    if not any(field.lower().startswith("sec-fetch-site") for field in fields):
        fields = (*fields, "Sec-Fetch-Site: same-origin")
    return raw_client.request(cluster.ports[0], target, *fields, method=method, body=body)


def refused(received: raw_client.Received, status: int, code: str) -> None:
    """Check that the response is an error, by `assert_error`."""
    body = received.body.decode()
    assert_error(received.status, received.fields, body, status, code)


def own(browser: BrowserClient) -> str:
    """The header line with this browser's session."""
    return f"Cookie: session={browser.cookie}"


def head(method: str, target: str, *fields: str) -> bytes:
    """The head of a request; keep-alive unless *fields* say otherwise."""
    lines = [f"{method} {target} HTTP/1.1", "Host: x", "Sec-Fetch-Site: same-origin", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
