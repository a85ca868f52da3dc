"""nginx in front of an API, with the configuration from docs/examples, checks proofs at the BFF."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from bff.resource_server.dpop_proof import thumbprint
from tests.support.admin_calls import access_token
from tests.support.dpop_proofs import KEY, OTHER_KEY, proof, public
from tests.support.nginx import nginx
from tests.support.processes import free_port
from tests.support.receiver import Receiver

EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/nginx/nginx.conf"
URL = "https://api.example.com/items"
TIMEOUT_SECONDS = 30


class TrustingAPI(BaseHTTPRequestHandler):
    """An API without any check."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def port(bff: Receiver, tmp_path: Path) -> Iterator[int]:
    with ExitStack() as stack:
        api = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), TrustingAPI))
        checking = make_server("127.0.0.1", 0, bff.app, threaded=True)
        for server in (api, checking):
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        stack.callback(checking.server_close)
        port, configuration = free_port(), EXAMPLE.read_text()
        for written, here in (
            ("127.0.0.1:8080", port),
            ("127.0.0.1:8000", checking.port),
            ("127.0.0.1:8002", api.server_port),
        ):
            assert configuration.count(written) == 1
            configuration = configuration.replace(written, f"127.0.0.1:{here}")
        process = nginx(tmp_path, configuration, port)
        stack.callback(process.stop)
        yield port


def ask(
    port: int, token: str, *fields: str, method: str = "GET", path: str = "/items", **more: str
) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    connection.putrequest(method, path)
    for name, value in (
        ("Authorization", f"{more.pop('scheme', 'DPoP')} {token}"),
        *(("DPoP", one) for one in fields),
        *((name.replace("_", "-"), value) for name, value in more.items()),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    connection.close()
    return response.status, response.headers.get("WWW-Authenticate", "")


def test_a_proof_opens_the_api_for_its_request_once(bff: Receiver, port: int) -> None:
    bound = access_token(bff, cnf={"jkt": thumbprint(public(KEY))})
    made = proof(bound, htu=URL)
    assert ask(port, bound, made, path="/items?page=2")[0] == 200
    status, challenge = ask(port, bound, made)
    assert status == 401
    assert challenge.startswith('DPoP realm="machines", error="invalid_dpop_proof", algs=')
    for refused in (
        ask(port, bound, proof(bound, htu=URL), method="POST"),
        ask(port, bound, proof(bound, htu=URL), path="/items/7"),
        ask(port, bound, proof(bound, OTHER_KEY, htu=URL)),
        ask(port, bound, proof(bound, htu=URL), proof(bound, htu=URL)),
        ask(port, bound),
        ask(port, bound, proof(bound, htu=URL), scheme="Bearer"),
        ask(port, bound, scheme="Bearer"),
    ):
        assert refused[0] == 401
    # What a request is, its client can't say otherwise.
    for told in ({"X_Original_URI": "/items"}, {"X_Forwarded_Uri": "/items"}):
        assert ask(port, bound, proof(bound, htu=URL), path="/other", **told)[0] == 401
    told = {"X_Original_Method": "GET", "X_Forwarded_Method": "GET"}
    assert ask(port, bound, proof(bound, htu=URL), method="POST", **told)[0] == 401
    assert ask(port, access_token(bff), scheme="Bearer")[0] == 200
