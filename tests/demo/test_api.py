"""The demo API, over real sockets: what it accepts, what it refuses, how it streams."""

import hashlib
import hmac
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import BaseWSGIServer, make_server

from bff.demo.api.app import create_app
from bff.demo.api.serving import APIServer
from bff.demo.api.tokens import (
    IssuerKeys,
    KeysUnavailable,
    TokenInvalid,
    TokenValidator,
    fetch_json,
)

ISSUER = "https://issuer.test/"
AUDIENCE = "https://api.test"
KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
NEXT_KEY = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig"})


class Issuer:
    """A stand-in for discovery and keys that counts what it is asked."""

    def __init__(self) -> None:
        self.keys = [KEY]
        self.discovery_issuer = ISSUER
        self.broken = False
        self.fetched: list[str] = []

    def fetch(self, url: str) -> Any:
        self.fetched.append(url)
        if self.broken:
            raise requests.ConnectionError("refused")
        if url == f"{ISSUER}.well-known/openid-configuration":
            return {"issuer": self.discovery_issuer, "jwks_uri": f"{ISSUER}jwks"}
        assert url == f"{ISSUER}jwks"
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


class Clock:
    """Monotonic seconds that move when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 60}
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def token(key: Any = KEY, header: dict[str, Any] | None = None, **changes: Any) -> str:
    head = {"alg": "RS256", "typ": "JWT", "kid": "k1", **(header or {})}
    algorithms = ["RS256", "RS512"]
    return jwt.encode(head, claims(**changes), key, algorithms=algorithms)


def encode(part: bytes | dict[str, Any]) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned_token() -> str:
    return f"{encode({'alg': 'none', 'typ': 'JWT', 'kid': 'k1'})}.{encode(claims())}."


def hmac_token() -> str:
    """A token whose HMAC secret is the public key (RFC 8725, section 2.1)."""
    signed = f"{encode({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{encode(claims())}"
    mac = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{encode(mac)}"


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def validator(issuer: Issuer) -> TokenValidator:
    return TokenValidator(ISSUER, AUDIENCE, IssuerKeys(ISSUER, issuer.fetch))


@pytest.fixture
def server(validator: TokenValidator) -> Iterator[APIServer]:
    server = APIServer(("127.0.0.1", 0), create_app(validator).wsgi_app)
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
        """Send *request* as it is and return everything up to the close."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
            return received


@pytest.fixture
def api(server: APIServer) -> API:
    return API(server)


# ---------------------------------------------------------------- tokens: refused

REFUSED = {
    "alg_none": unsigned_token,
    "hs256_with_the_public_key": hmac_token,
    "other_rsa_algorithm": lambda: token(header={"alg": "RS512"}),
    "another_key_of_the_same_name": lambda: token(OTHER_KEY),
    "unknown_kid": lambda: token(NEXT_KEY, {"kid": "k2"}),
    "no_kid": lambda: token(header={"kid": ""}),
    "other_type": lambda: token(header={"typ": "logout+jwt"}),
    "wrong_issuer": lambda: token(iss="https://issuer.test"),
    "no_issuer": lambda: token(iss=None),
    "wrong_audience": lambda: token(aud="client-id"),
    "wrong_audience_list": lambda: token(aud=["a", "b"]),
    "no_audience": lambda: token(aud=None),
    "expired": lambda: token(exp=int(time.time()) - 1),
    "no_expiry": lambda: token(exp=None),
    "expiry_is_text": lambda: token(exp="tomorrow"),
    "not_yet_valid": lambda: token(nbf=int(time.time()) + 60),
    "no_subject": lambda: token(sub=None),
    "changed_payload": lambda: ".".join(
        [token().split(".")[0], token(sub="mallory").split(".")[1], token().split(".")[2]]
    ),
    "no_jwt_at_all": lambda: "opaque",
    "header_is_a_list": lambda: "W10.W10.W10",
    "not_ascii": lambda: "é.é.é",
    "five_parts": lambda: f"{token()}.x.y",
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
def test_refused_tokens(validator: TokenValidator, make: Any) -> None:
    with pytest.raises(TokenInvalid) as refusal:
        validator.validate(make())
    assert str(refusal.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda: token(),
        lambda: token(header={"typ": "at+jwt"}, jti="1", client_id="c"),
        lambda: token(header={"typ": "application/at+jwt"}),
        lambda: token(aud=["https://issuer.test/userinfo", AUDIENCE]),
    ],
    ids=["auth0_dialect", "rfc9068_dialect", "rfc9068_long_type", "audience_list"],
)
def test_accepted_tokens(validator: TokenValidator, make: Any) -> None:
    assert validator.validate(make())["sub"] == "alice"


# ---------------------------------------------------------------- keys


def test_an_unknown_kid_refetches_once_per_pause(issuer: Issuer) -> None:
    clock = Clock()
    keys = IssuerKeys(ISSUER, issuer.fetch, clock)
    keys.containing("k1")
    issuer.keys = [KEY, NEXT_KEY]
    with pytest.raises(TokenInvalid):
        keys.containing("k2")
    assert len(issuer.fetched) == 2
    clock.now += 11
    keys.containing("k2")
    assert len(issuer.fetched) == 4
    for number in range(20):
        with pytest.raises(TokenInvalid):
            keys.containing(f"made-up-{number}")
    assert len(issuer.fetched) == 4


def test_keys_survive_an_outage_of_the_issuer(issuer: Issuer) -> None:
    clock = Clock()
    keys = IssuerKeys(ISSUER, issuer.fetch, clock)
    keys.containing("k1")
    issuer.broken = True
    clock.now += 3600
    assert keys.containing("k1")


def test_no_keys_is_not_a_refused_token(issuer: Issuer, validator: TokenValidator) -> None:
    issuer.broken = True
    with pytest.raises(KeysUnavailable):
        validator.validate(token())
    issuer.broken = False
    assert validator.validate(token())


def test_discovery_of_another_issuer_is_not_used(issuer: Issuer, validator: TokenValidator) -> None:
    issuer.discovery_issuer = "https://evil.test/"
    with pytest.raises(KeysUnavailable):
        validator.validate(token())


def test_discovery_over_http_and_no_redirects() -> None:
    """The default fetch follows no redirect and takes nothing but a 200."""
    answers = {
        "/ok": (200, b'{"a": 1}', ""),
        "/moved": (302, b"", "/ok"),
        "/gone": (404, b"{}", ""),
    }

    def app(environ: Any, start_response: Any) -> list[bytes]:
        status, body, location = answers[environ["PATH_INFO"]]
        start_response(f"{status} X", [("Location", location)] if location else [])
        return [body]

    site: BaseWSGIServer = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        base = f"http://127.0.0.1:{site.server_port}"
        assert fetch_json(f"{base}/ok") == {"a": 1}
        for path in ("/moved", "/gone"):
            with pytest.raises(requests.HTTPError):
                fetch_json(f"{base}{path}")
    finally:
        site.shutdown()
        thread.join(5)
        site.server_close()


# ---------------------------------------------------------------- errors as answers


def test_without_a_token_the_challenge_names_no_error(api: API) -> None:
    """RFC 6750, section 3.1."""
    api.headers = {}
    answer = api("GET", "/items")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="demo-api"'
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "token_missing"


def test_a_bad_token_is_invalid_token_and_not_repeated(api: API) -> None:
    bad = token(OTHER_KEY)
    answer = api("GET", "/items", headers={"Authorization": f"Bearer {bad}"})
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert bad[-40:] not in answer.text + str(answer.headers)


def test_the_issuer_being_down_is_503(api: API, issuer: Issuer) -> None:
    issuer.broken = True
    answer = api("GET", "/items")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


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
    answer = api(method, path)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert ("Allow" in answer.headers) == (status == 405)


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
    answer = api("POST", "/items", data=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


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
    answer = json.loads(text)
    assert answer["method"] == "PATCH"
    assert answer["path"] == "/whoami/a%2Fb/../c?x=%zz&y"
    assert answer["claims"]["sub"] == "alice"
    names = ["Host", "Authorization", "Cookie", "X-Request-ID", "Content-Length"]
    assert answer["header_names"] == names
    assert answer["header_values"]["X-Request-Id"] == "r1"
    assert "secret-cookie" not in text
    assert not any(part in text for part in secret.split("."))


def test_slow_answers_after_the_time_asked_for(api: API) -> None:
    started_at = time.monotonic()
    assert api("GET", "/slow?seconds=0.2").json() == {"slept_seconds": 0.2}
    assert time.monotonic() - started_at >= 0.2


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_is_counted_and_hashed(api: API, chunked: bool) -> None:
    body = b"0123456789" * 300_000
    data: Any = iter([body[:7], body[7:1_000_000], body[1_000_000:]]) if chunked else body
    answer = api("POST", "/files", data=data)
    digest = hashlib.sha256(body).hexdigest()
    assert answer.json() == {"bytes": len(body), "sha256": digest}


@pytest.mark.parametrize("size_bytes", [0, 1, 65_536, 200_001])
def test_a_download_has_its_length(api: API, size_bytes: int) -> None:
    answer = api("GET", f"/files/{size_bytes}")
    assert answer.headers["Content-Length"] == str(size_bytes)
    assert len(answer.content) == size_bytes
    assert "Transfer-Encoding" not in answer.headers


# ---------------------------------------------------------------- events


def read_event(response: http.client.HTTPResponse) -> dict[str, Any]:
    while not (line := response.readline()).startswith(b"data: "):
        assert line, "the stream ended"
    return json.loads(line[6:])  # type: ignore[no-any-return]


def wait_for_open_streams(api: API, count: int) -> None:
    """Poll until the API holds *count* streams; fail after five seconds."""
    end_at = time.monotonic() + 5
    while api("GET", "/events/open").json() != {"open_streams": count}:
        assert time.monotonic() < end_at, "the stream was not freed"
        threading.Event().wait(0.02)


@pytest.mark.parametrize("silent", [False, True])
def test_a_client_that_leaves_frees_the_stream(api: API, silent: bool) -> None:
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
    """Also after an error, after a body that nobody read, and after HEAD."""
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
    answer = api.raw(b"POST /files HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\nabc")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_huge_unread_body_closes_the_connection(api: API) -> None:
    connection = api.connection()
    connection.request("POST", "/nothing", b"x" * (3 * 1024 * 1024), api.headers)
    assert connection.getresponse().status == 404
    connection.close()


def test_an_http_1_0_client_gets_an_unchunked_answer(api: API) -> None:
    request = f"GET /slow?seconds=0 HTTP/1.0\r\nAuthorization: {api.headers['Authorization']}\r\n"
    answer = api.raw(request.encode() + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b'{"slept_seconds":0.0}\n')


# ---------------------------------------------------------------- the command


def command(port: int) -> list[str]:
    options = ["--port", str(port), "--issuer", ISSUER, "--audience", AUDIENCE]
    return [sys.executable, "-m", "bff.demo.api", *options]


def test_the_command_prints_one_line_serves_and_stops() -> None:
    with subprocess.Popen(command(0), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        answer = requests.get(f"http://127.0.0.1:{ready['port']}/items", timeout=10)
        assert answer.status_code == 401
        taken = subprocess.run(command(ready["port"]), capture_output=True, timeout=20, check=False)
        process.terminate()
        assert process.wait(5) == 0
        assert process.stdout.read() == process.stderr.read() == b""
    assert taken.returncode == 1
    assert taken.stderr.count(b"\n") == 1
    assert b"can't listen on 127.0.0.1:" in taken.stderr
