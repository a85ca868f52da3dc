"""What does the demo API accept and refuse, and how does it stream? Over real sockets."""

import contextlib
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from bff.resource_server import TokenGuard
from demo.api.app import create_app
from demo.api.serving import APIServer
from tests.support.issuer import AUDIENCE, ISSUER, OTHER_KEY, Issuer, token


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def server(issuer: Issuer) -> Iterator[APIServer]:
    guard = TokenGuard.without_deny_list(issuer=ISSUER, audience=AUDIENCE, keys=issuer.keys())
    server = APIServer(("127.0.0.1", 0), create_app(guard).wsgi_app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


class API:
    """A client with a token."""

    def __init__(self, server: APIServer) -> None:
        self.port = server.server_port
        self.headers = {"Authorization": f"Bearer {token()}"}

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        url = f"http://127.0.0.1:{self.port}{path}"
        return requests.request(method, url, headers=headers, timeout=10, **options)

    def raw(self, request: bytes) -> bytes:
        """Send *request* unchanged and return everything until the connection closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
            return received


@pytest.fixture
def api(server: APIServer) -> API:
    return API(server)


# ---------------------------------------------------------------- error responses


def test_without_a_token_the_challenge_names_no_error(api: API) -> None:
    """RFC 6750, section 3.1."""
    api.headers = {}
    response = api("GET", "/items")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "token_missing"


def test_a_bad_token_is_invalid_token_and_not_repeated(api: API) -> None:
    bad = token(OTHER_KEY)
    response = api("GET", "/items", headers={"Authorization": f"Bearer {bad}"})
    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
    assert bad[-40:] not in response.text + str(response.headers)


def test_the_issuer_being_down_is_503(api: API, issuer: Issuer) -> None:
    issuer.broken = True
    response = api("GET", "/items")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("PUT", "/items", 405),
        ("GET", "/slow?seconds=61", 400),
        ("GET", "/slow?seconds=nan", 400),
        ("GET", "/slow?seconds=x", 400),
        ("GET", "/events?interval_ms=1", 400),
        ("GET", "/files/99999999999999", 400),
        ("DELETE", "/items/12345", 404),
    ],
)
def test_errors_are_problem_json(api: API, method: str, path: str, status: int) -> None:
    response = api(method, path)
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert ("Allow" in response.headers) == (status == 405)


# ---------------------------------------------------------------- items


def test_items_are_one_list_per_user(api: API) -> None:
    added = api("POST", "/items", json={"title": " Tea "})
    item = added.json()
    assert (added.status_code, item["title"]) == (201, "Tea")
    assert added.headers["Location"] == f"/items/{item['id']}"
    assert api("GET", "/items").json() == {"items": [item]}

    api.headers = {"Authorization": f"Bearer {token(sub='bob')}"}
    assert api("GET", "/items").json() == {"items": []}
    assert api("DELETE", f"/items/{item['id']}").status_code == 404

    api.headers = {"Authorization": f"Bearer {token()}"}
    assert api("DELETE", f"/items/{item['id']}").status_code == 204
    assert api("GET", "/items").json() == {"items": []}


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"title": 1}', b'{"title": " "}', b'{"title": "%b"}']
)
def test_bad_items_are_refused(api: API, body: bytes) -> None:
    body = body.replace(b"%b", b"x" * 201)
    response = api("POST", "/items", data=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400


def test_a_huge_item_is_413_and_a_full_list_is_400(api: API) -> None:
    assert api("POST", "/items", json={"title": "x" * 70_000}).status_code == 413
    with requests.Session() as session:
        url = f"http://127.0.0.1:{api.port}/items"
        statuses = [
            session.post(url, json={"title": "x"}, headers=api.headers, timeout=10).status_code
            for _ in range(101)
        ]
    assert statuses == [201] * 100 + [400]


# ---------------------------------------------------------------- whoami, slow, files


def test_whoami_shows_the_request_and_never_the_token(api: API) -> None:
    secret = token()
    connection = api.connection()
    connection.putrequest("PATCH", "/whoami/a%2Fb/../c?x=%zz&y", skip_accept_encoding=True)
    connection.putheader("Authorization", f"bearer {secret}")
    connection.putheader("Cookie", "s=secret-cookie")
    connection.putheader("X-Request-ID", "r1")
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    text = connection.getresponse().read().decode()
    connection.close()
    response = json.loads(text)
    assert response["method"] == "PATCH"
    assert response["path"] == "/whoami/a%2Fb/../c?x=%zz&y"
    assert response["claims"]["sub"] == "alice"
    names = ["Host", "Authorization", "Cookie", "X-Request-ID", "Content-Length"]
    assert response["header_names"] == names
    assert response["header_values"]["X-Request-Id"] == "r1"
    assert "secret-cookie" not in text
    assert not any(part in text for part in secret.split("."))


def test_slow_responds_after_the_requested_time(api: API) -> None:
    started_at = time.monotonic()
    assert api("GET", "/slow?seconds=0.2").json() == {"slept_seconds": 0.2}
    assert time.monotonic() - started_at >= 0.2


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_is_counted_and_hashed(api: API, chunked: bool) -> None:
    body = b"0123456789" * 300_000
    data: Any = iter([body[:7], body[7:1_000_000], body[1_000_000:]]) if chunked else body
    response = api("POST", "/files", data=data)
    digest = hashlib.sha256(body).hexdigest()
    assert response.json() == {"bytes": len(body), "sha256": digest}


@pytest.mark.parametrize("size_bytes", [0, 1, 65_536, 200_001])
def test_a_download_has_its_length(api: API, size_bytes: int) -> None:
    response = api("GET", f"/files/{size_bytes}")
    assert response.headers["Content-Length"] == str(size_bytes)
    assert len(response.content) == size_bytes
    assert "Transfer-Encoding" not in response.headers


# ---------------------------------------------------------------- events


def read_event(response: http.client.HTTPResponse) -> dict[str, Any]:
    while not (line := response.readline()).startswith(b"data: "):
        assert line, "the stream ended"
    return json.loads(line[6:])  # type: ignore[no-any-return]


def wait_for_open_streams(api: API, count: int) -> None:
    """Poll until the API holds *count* streams; fail after twenty seconds."""
    end_at = time.monotonic() + 20
    while api("GET", "/events/open").json() != {"open_streams": count}:
        assert time.monotonic() < end_at, "the stream was not freed"
        threading.Event().wait(0.02)


@pytest.mark.parametrize("silent", [False, True])
def test_a_disconnect_frees_the_stream(api: API, silent: bool) -> None:
    connection = api.connection()
    query = "silent=1&interval_ms=60000" if silent else "interval_ms=50"
    connection.request("GET", f"/events?{query}", headers=api.headers)
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "text/event-stream"
    if not silent:
        first, second = read_event(response), read_event(response)
        assert (first["number"], second["number"]) == (1, 2)
        assert second["server_time"] - first["server_time"] >= 0.04
    wait_for_open_streams(api, 1)
    response.close()
    connection.close()
    wait_for_open_streams(api, 0)


# ---------------------------------------------------------------- HTTP/1.1


def test_connections_are_kept_open(api: API) -> None:
    """Also after an error, an unread body, and HEAD."""
    connection = api.connection()
    connection.connect()
    first_socket = connection.sock
    exchanges = [
        ("GET", "/items", b"", 200),
        ("POST", "/nothing", b"x" * 100_000, 404),
        ("HEAD", "/items", b"", 200),
        ("POST", "/files", b"y" * 10, 200),
        ("GET", "/whoami", b"", 200),
    ]
    for method, path, body, status in exchanges:
        connection.request(method, path, body or None, api.headers)
        response = connection.getresponse()
        response.read()
        assert response.status == status
        assert connection.sock is first_socket
    connection.close()


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Content-Length: +3\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_ambiguous_framing_is_refused_and_closed(api: API, framing: bytes) -> None:
    """RFC 9112, section 6.3."""
    response = api.raw(b"POST /files HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\nabc")
    assert response.startswith(b"HTTP/1.1 400 ")
    assert response.count(b"HTTP/1.1") == 1


def test_a_huge_unread_body_closes_the_connection(api: API) -> None:
    connection = api.connection()
    # It may close before all is sent; its response is there all the same.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.request("POST", "/nothing", b"x" * (3 * 1024 * 1024), api.headers)
    assert connection.getresponse().status == 404
    connection.close()


def test_an_http_1_0_client_gets_an_unchunked_response(api: API) -> None:
    request = f"GET /slow?seconds=0 HTTP/1.0\r\nAuthorization: {api.headers['Authorization']}\r\n"
    response = api.raw(request.encode() + b"\r\n")
    assert response.startswith(b"HTTP/1.1 200 OK")
    assert response.endswith(b'{"slept_seconds":0.0}\n')


# ---------------------------------------------------------------- the command


def command(port: int) -> list[str]:
    options = ["--port", str(port), "--issuer", ISSUER, "--audience", AUDIENCE]
    return [sys.executable, "-m", "demo.api", *options]


def test_the_command_prints_one_line_serves_and_stops() -> None:
    with subprocess.Popen(command(0), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        response = requests.get(f"http://127.0.0.1:{ready['port']}/items", timeout=10)
        assert response.status_code == 401
        taken = subprocess.run(command(ready["port"]), capture_output=True, timeout=20, check=False)
        process.terminate()
        assert process.wait(20) == 0
        assert process.stdout.read() == process.stderr.read() == b""
    assert taken.returncode == 1
    assert taken.stderr.count(b"\n") == 1
    assert b"can't listen on 127.0.0.1:" in taken.stderr
