"""A file of an API can't act as a script, a worker or a style sheet of ours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from werkzeug.datastructures import Headers

from bff.config.route import Route
from bff.core.errors import CodeRefused
from bff.gateway.code_requests import disarm_code, refuse_code
from tests.gateway.conftest import RunningProxy
from tests.support import raw_client
from tests.support.raw_upstream import responding

ROUTE = Route(prefix="/api", upstream_urls=("http://api.test",))
CODE = [
    "Sec-Fetch-Dest: script", "Sec-Fetch-Dest: style", "Sec-Fetch-Dest: worker",
    "Sec-Fetch-Dest: sharedworker", "Sec-Fetch-Dest: serviceworker", "Sec-Fetch-Dest: xslt",
    "Sec-Fetch-Dest: audioworklet", "Sec-Fetch-Dest: paintworklet", "Service-Worker: script",
    "Sec-Fetch-Dest: speculationrules",
]  # fmt: skip
DATA = [
    "Accept: */*", "Sec-Fetch-Dest: empty", "Sec-Fetch-Dest: document", "Sec-Fetch-Dest: image",
    "Sec-Fetch-Dest: font", "Sec-Fetch-Dest: json", "Sec-Fetch-Dest: iframe",
]  # fmt: skip


@pytest.mark.parametrize("header", CODE)
def test_what_a_page_would_run_is_refused(proxy: RunningProxy, header: str) -> None:
    proxy.raw.script = responding()
    received = raw_client.request(proxy.port, "/api/upload.js", header)
    assert (received.status, b"code_refused" in received.body) == (403, True)
    assert proxy.raw.seen == []


@pytest.mark.parametrize("header", DATA)
def test_what_a_page_reads_or_shows_passes(proxy: RunningProxy, header: str) -> None:
    assert raw_client.request(proxy.port, "/api/upload.js", header).status == 200


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("text/javascript", "text/plain"),
        ("application/x-javascript; charset=utf-8", "text/plain; charset=utf-8"),
        ("Text/JavaScript1.5 ;a", "text/plain;a"),
        ("text/css", "text/plain"),
        ("text/plain, text/javascript", "text/plain"),
        ("text/plain\r\nContent-Type: application/ecmascript", "text/plain"),
        ("application/json", "application/json"),
        ("text/html; x=text/css", "text/html; x=text/css"),
        ("text/javascript2", "text/javascript2"),
    ],
)
@pytest.mark.parametrize("header", ["Sec-Fetch-Dest: empty", "Accept: */*"])
def test_what_does_not_tell_what_it_is_for_is_no_code(
    proxy: RunningProxy, header: str, sent: str, received: str
) -> None:
    """As behind a service worker of the application, which passes all requests on."""
    proxy.raw.script = responding(
        f"HTTP/1.1 200 OK\r\nContent-Type: {sent}\r\nContent-Length: 2\r\n\r\nok".encode()
    )
    response = raw_client.request(proxy.port, "/api/upload", header)
    assert response.fields["content-type"] == received
    assert response.fields["x-content-type-options"] == "nosniff"


def test_a_download_keeps_its_type(proxy: RunningProxy) -> None:
    proxy.raw.script = responding(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: 2\r\n\r\nok"
    )
    for header in ("Sec-Fetch-Dest: document", "Sec-Fetch-Dest: image"):
        received = raw_client.request(proxy.port, "/api/upload.css", header)
        assert received.fields["content-type"] == "text/css"


def test_a_route_may_allow_it() -> None:
    kept = Headers({"content-type": "text/css"})
    disarm_code({}, replace(ROUTE, code=True), kept, "text/css")
    assert kept["content-type"] == "text/css"
    environ = {"HTTP_SEC_FETCH_DEST": "script"}
    refuse_code(environ, replace(ROUTE, code=True))
    with pytest.raises(CodeRefused):
        refuse_code(environ, ROUTE)
