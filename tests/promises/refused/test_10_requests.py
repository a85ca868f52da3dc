"""Promise 10: ambiguous framing, headers and methods are refused."""

from __future__ import annotations

import pytest

from tests.promises.refused.sending import MAX_BYTES, ROUTES, head, own, refused, send
from tests.support import raw_client
from tests.support.browser_client import BrowserClient
from tests.support.cluster import Cluster
from tests.support.raw_upstream import RawUpstream

pytestmark = pytest.mark.usefixtures("unharmed")


@pytest.mark.parametrize(
    "fields",
    [
        ["Content-Length: 3", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 3"],
        ["Transfer-Encoding: chunked"],
    ],
    ids=["length, then chunks", "chunks, then length", "chunks"],
)
def test_promise_10_a_body_with_ambiguous_framing(
    cluster: Cluster, bystander: BrowserClient, fields: list[str]
) -> None:
    start = head("POST", "/api/x", own(bystander), "Connection: close", *fields)
    received = raw_client.send(cluster.ports[0], start, b"3\r\nabc\r\n0\r\n\r\n")
    refused(received, 411, "length_required")


@pytest.mark.parametrize("length", ["+3", "-3", "0x3", "3, 4", "3 3", "", "9" * 30])
def test_promise_10_a_length_that_is_no_number(
    cluster: Cluster, bystander: BrowserClient, length: str
) -> None:
    """The server refuses it, and there is no response to a second, smuggled request."""
    received = send(
        cluster, "/api/x", own(bystander), f"Content-Length: {length}", method="POST"
    )  # fmt: skip
    assert received.status == 400
    assert received.raw.count(b"HTTP/1.1 ") == 1


def test_promise_10_a_body_over_the_limit(cluster: Cluster, bystander: BrowserClient) -> None:
    body = b"x" * (MAX_BYTES + 1)
    refused(
        send(cluster, "/api/x", own(bystander), method="POST", body=body), 413, "body_too_large"
    )
    announced = "Content-Length: 999999999999"
    refused(send(cluster, "/api/x", own(bystander), announced, method="PUT"), 413, "body_too_large")


def test_promise_10_a_form_of_any_size_is_not_read(cluster: Cluster) -> None:
    """Our own routes accept a form token only; larger bodies are refused from any client."""
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=b"):
        for site in ("same-origin", "cross-site"):
            fields = [f"Content-Type: {kind}", "Content-Length: 9999999", f"Sec-Fetch-Site: {site}"]
            received = send(cluster, "/auth/logout", *fields, method="POST")
            refused(received, 413, "body_too_large")


@pytest.mark.parametrize("target", ["/api/x", "/api"])
def test_promise_10_a_web_socket(cluster: Cluster, bystander: BrowserClient, target: str) -> None:
    received = send(
        cluster, target, own(bystander), "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )  # fmt: skip
    refused(received, 501, "upgrade_unsupported")


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "trace", "TrAcE"])
@pytest.mark.parametrize("target", ROUTES)
def test_promise_10_trace_is_allowed_nowhere(
    cluster: Cluster, bystander: BrowserClient, target: str, method: str
) -> None:
    received = send(cluster, target, own(bystander), "X-Marked: seen", method=method)
    refused(received, 405, "method_not_allowed")
    assert b"seen" not in received.raw


@pytest.mark.parametrize("method", ["PURGE", "PROPFIND", "BREW", "PUT", "PATCH", "DELETE", "X" * 9])
@pytest.mark.parametrize("target", [route for route in ROUTES if not route.startswith("/api")])
def test_promise_10_a_method_that_a_route_does_not_know(
    cluster: Cluster, target: str, method: str
) -> None:
    """Without a session a DELETE of devices has no effect."""
    received = send(cluster, target, method=method)
    if method == "DELETE" and target.startswith("/auth/sessions"):
        refused(received, 401, "session_missing")
        return
    if target.endswith("/nothing"):
        refused(received, 404, "not_found")
        return
    refused(received, 405, "method_not_allowed")
    assert received.fields["allow"]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("target", [route for route in ROUTES if not route.startswith("/api")])
def test_promise_10_head_and_options_tell_nothing(
    cluster: Cluster, bystander: BrowserClient, target: str, method: str
) -> None:
    fields = ["Origin: https://evil.test", "Access-Control-Request-Method: POST"]
    received = send(cluster, target, own(bystander), *fields, method=method)
    # 403: a foreign Origin is refused where the session is asked for.
    assert received.status in (200, 303, 304, 400, 403, 404, 405)
    # A 404 of OPTIONS says that there is nothing.
    assert received.body == b"" or received.status == 404
    assert not [name for name in received.fields if name.startswith("access-control-")]
    assert "session=" not in received.fields.get("set-cookie", "")


@pytest.mark.parametrize(
    "fields",
    [
        [f"X-Field-{n}: 1" for n in range(300)],
        ["Cookie: " + "; ".join(f"c{i}={'x' * 990}" for i in range(1_000))],
        ["X-Long: " + "x" * 1_000_000],
        ["Accept: " + "text/html;q=0.1," * 23_000],
        ["Cookie: " + "a=b; " * 28_000],
    ],
    ids=["many", "a megabyte of cookies", "a long one", "a long list", "140 kB of cookies"],
)
def test_promise_10_huge_headers_are_refused_by_the_server(
    cluster: Cluster, fields: list[str]
) -> None:
    received = send(cluster, "/auth/profile", *fields)
    assert (received.status, received.body) == (431, b"")


@pytest.mark.parametrize(
    "field",
    ["X Y: 1", "X-A : 1", ": 1", "X-A: a\x00b", "X-A: a\rb", " folded: 1"],
    ids=["blank", "blank before the colon", "no name", "NUL", "bare CR", "folded"],
)
def test_promise_10_broken_fields_are_refused_by_the_server(cluster: Cluster, field: str) -> None:
    received = send(cluster, "/api/x", field)
    assert (received.status, received.body) == (400, b"")


def test_promise_10_an_upload_that_breaks_off_is_no_surprise(
    cluster: Cluster, bystander: BrowserClient, upstream: RawUpstream
) -> None:
    start = head("POST", "/api/x", own(bystander), "Content-Length: 90000")
    with raw_client.connect(cluster.ports[0]) as sock:
        sock.sendall(start + b"x" * 50_000)
    (seen,) = upstream.wait_for(1)
    assert not seen.complete
    upstream.forget()


def test_promise_10_an_upload_that_is_longer_than_said(
    cluster: Cluster, bystander: BrowserClient, upstream: RawUpstream
) -> None:
    """The bytes after the announced body are another request."""
    body = b"abc" + b"GET /auth/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    start = head("POST", "/api/x", own(bystander), "Content-Length: 3")
    received = raw_client.send(cluster.ports[0], start, body)
    (seen,) = upstream.wait_for(1)
    assert seen.body == b"abc"
    assert received.raw.count(b"HTTP/1.1 ") == 2
    assert b"not_found" in received.raw
    upstream.forget()
