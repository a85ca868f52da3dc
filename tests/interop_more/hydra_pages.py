"""Which pages does Ory Hydra need beside itself? Sign-in, consent and logout, all said yes to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

TIMEOUT_SECONDS = 20
USER = "dana"


@contextmanager
def hydra_pages(admin_url: str) -> Iterator[str]:
    """Serve them; yields their address."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind = urlsplit(self.path).path.strip("/")
            challenge = parse_qs(urlsplit(self.path).query)[f"{kind}_challenge"][0]
            self.send_response(302)
            self.send_header("Location", _accepted(admin_url, kind, challenge))
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("localhost", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _accepted(admin_url: str, kind: str, challenge: str) -> str:
    """Where Hydra sends the browser once its request is accepted."""
    url = f"{admin_url}/admin/oauth2/auth/requests/{kind}"
    asked = {f"{kind}_challenge": challenge}
    body: dict[str, Any] = {}
    if kind == "login":
        body = {"subject": USER, "remember": True}
    if kind == "consent":
        wanted = requests.get(url, params=asked, timeout=TIMEOUT_SECONDS).json()
        body = {
            "grant_scope": wanted["requested_scope"],
            "grant_access_token_audience": wanted["requested_access_token_audience"],
            "remember": True,
        }
    answer = requests.put(f"{url}/accept", params=asked, json=body, timeout=TIMEOUT_SECONDS)
    assert answer.ok, answer.text
    return str(answer.json()["redirect_to"])
