"""Which headers pass, are dropped or are written by us, and which address is the client's?"""

from __future__ import annotations

import re
from typing import Any

import pytest

from bff.config.route import Route
from bff.core.errors import RequestRefused, UpgradeRefused
from bff.gateway.client_address import ClientAddresses
from bff.gateway.loop_detection import Via
from bff.gateway.request_headers import RequestHeaders, check_protocol
from bff.gateway.response_head import Head
from bff.gateway.response_headers import response_headers
from tests.gateway.app import TOKEN
from tests.gateway.conftest import RunningProxy
from tests.support import raw_client
from tests.support.raw_upstream import responding

ROUTE = Route(prefix="/api", upstream_urls=("http://api.test:8080/v1",))
OURS = "https://app.test"
FORWARDED = re.compile(r'forwarded: for=("\[[0-9a-f:]+\]"|unknown);host="app.test";proto=https')
VIA = f"1.1 {Via(OURS).name}"

# ---------------------------------------------------------------- to the upstream

SMUGGLED = [
    "Authorization: Bearer evil", "authorization: Basic ZXZpbA==", "Cookie: a=b",
    "Forwarded: for=6.6.6.6", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Host: evil.test",
    "X-Forwarded-Proto: http", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil",
    "X-Forwarded-User: admin", "X-Real-IP: 6.6.6.6", "X_Real_IP: 6.6.6.6",
    "X_Forwarded_For: 6.6.6.6", "X_Forwarded-Host: evil.test", "X-Client-IP: 6.6.6.6",
    "True-Client-IP: 6.6.6.6", "CF-Connecting-IP: 6.6.6.6", "Proxy: evil.test",
    "Proxy-Authorization: Basic ZXZpbA==", "Remote-User: admin", "X-Remote-User: admin",
    "X-Auth-Request-Email: admin@test", "X-HTTP-Method-Override: DELETE",
    "X-Method-Override: DELETE", "X-Original-URL: /admin", "X-Rewrite-URL: /admin",
    "TE: trailers", "Trailer: X-A", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
    "Via: 1.1 evil", "X-Request-ID: evil-evil-evil", "X-CSRF: 1", "HTTP2-Settings: AAMA",
    "X-BFF-Session: e7c7a53b0e0d4d0c86b0b0b6a7a3f0e1", "Client-Cert: :evil:", "Remote.Email: evil",
    "Content_Length: 5", "X.Forwarded.For: 6.6.6.6", "X!Real~IP: 6.6.6.6", "Remote.User: admin",
    "Secure-Session-Response: evil", "Secure-Session-Skipped: evil", "Secure-Session-New: evil",
    "Sec-Secure-Session-Id: evil", "Sec_Secure_Session_Id: evil",
]  # fmt: skip
PASSED = [
    "Accept: text/plain", "Accept-Encoding: gzip", "Accept-Language: de", "User-Agent: tester",
    "If-None-Match: \"a\"", "Range: bytes=0-1", "Origin: https://app.test", "X-Own: value",
    "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate: a=b",
    "Idempotency-Key: 1", "Last-Event-ID: 7",
]  # fmt: skip


def names(lines: list[str]) -> set[str]:
    return {line.partition(":")[0].lower() for line in lines}


def test_nothing_smuggled_reaches_the_upstream(proxy: RunningProxy) -> None:
    assert raw_client.request(proxy.port, "/api/x", *SMUGGLED, *PASSED).status == 200
    (seen,) = proxy.raw.seen
    values = [value for _, value in seen.fields]
    assert not [value for value in values if "evil" in value or "6.6.6.6" in value]
    ours = {"authorization", "forwarded", "via", "x-request-id", "host",
            "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}  # fmt: skip
    assert {name for name, _ in seen.fields} == names(PASSED) | ours
    for line in PASSED:
        name, _, value = line.partition(":")
        assert seen.get(name.lower()) == value.strip()
    assert seen.get("authorization") == f"Bearer {TOKEN}"
    assert seen.get("host") == f"127.0.0.1:{proxy.raw.port}"
    assert seen.get("forwarded") == 'for=127.0.0.1;host="app.test";proto=https'
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert seen.get("x-forwarded-host") == "app.test"
    assert seen.get("x-forwarded-proto") == "https"
    assert seen.get("via") == VIA


def test_libcurl_adds_nothing_of_its_own(proxy: RunningProxy) -> None:
    raw_client.request(proxy.port, "/api/x", method="POST", body=b"abc")
    (seen,) = proxy.raw.seen
    assert not {"user-agent", "accept", "content-type", "expect"} & {n for n, _ in seen.fields}


def test_headers_named_in_connection_are_dropped_but_not_ours(proxy: RunningProxy) -> None:
    """Else a client could remove the token (RFC 9110, 7.6.1)."""
    raw_client.request(
        proxy.port, "/api/x", "X-A: 1", "X-B: 2", "X-C: 3",
        "Connection: x-a, Authorization, X-Forwarded-For, x_c, Host, Via",
    )  # fmt: skip
    (seen,) = proxy.raw.seen
    assert {"x-a", "x-c"} & {name for name, _ in seen.fields} == set()
    assert seen.get("x-b") == "2"
    assert seen.get("authorization") == f"Bearer {TOKEN}"
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    assert seen.get("host") == f"127.0.0.1:{proxy.raw.port}"


def test_an_empty_header_stays_empty(proxy: RunningProxy) -> None:
    raw_client.request(proxy.port, "/api/x", "X-Empty:")
    assert proxy.raw.seen[0].get("x-empty") == ""


def test_bytes_above_127_pass_where_the_server_provides_them(proxy: RunningProxy) -> None:
    raw_client.request(proxy.port, "/api/x", "X-Name: \xc3\xa9", method="POST", body=b"abc")
    expected = "" if "granian" in proxy.server.name else "\xc3\xa9"
    assert proxy.raw.seen[0].get("x-name") == expected


@pytest.mark.parametrize(
    ("method", "name", "forwarded"),
    [
        ("PUT", "If-Match", False),
        ("PUT", "If-None-Match", False),
        ("GET", "If-Range", False),
        ("GET", "If-None-Match", True),  # Then it is only answered in full.
    ],
)
def test_a_condition_that_the_server_hides_is_refused(
    proxy: RunningProxy, method: str, name: str, forwarded: bool
) -> None:
    body = b"x" if method == "PUT" else b""
    field = f'{name}: "\xc3\xa9"'
    status = raw_client.request(proxy.port, "/api/x", field, method=method, body=body).status
    if "granian" in proxy.server.name:
        assert (status, len(proxy.raw.seen)) == ((200, 1) if forwarded else (400, 0))
    else:
        assert proxy.raw.seen[0].get(name.lower()) == '"\xc3\xa9"'


def lines_for(trusted: tuple[str, ...] = (), **environ: Any) -> list[str | bytes]:
    writer = RequestHeaders(OURS, ClientAddresses(trusted))
    return list(writer.lines({"REMOTE_ADDR": "10.0.0.1", **environ}, "t", "id"))


def test_a_control_character_in_a_header_is_refused() -> None:
    for value in ("a\r\nb: c", "a\nb", "a\0b", "a\x7f"):
        with pytest.raises(RequestRefused):
            lines_for(HTTP_X_A=value)
        with pytest.raises(RequestRefused):
            lines_for(CONTENT_TYPE=value)


def test_via_and_request_id_of_a_trusted_proxy_pass() -> None:
    given = {"HTTP_VIA": "1.1 edge", "HTTP_X_REQUEST_ID": "abcdefgh-1"}
    assert f"via: 1.1 edge, {VIA}" in lines_for(("10.0.0.0/8",), **given)
    assert f"via: {VIA}" in lines_for((), **given)
    trusting = RequestHeaders(OURS, ClientAddresses(("10.0.0.1",)))
    environ = {"REMOTE_ADDR": "10.0.0.1", **given}
    assert trusting.request_id({**environ}) == "abcdefgh-1"
    assert RequestHeaders(OURS, ClientAddresses(())).request_id({**environ}) != "abcdefgh-1"
    assert trusting.request_id({**environ, "HTTP_X_REQUEST_ID": "a b"}) != "a b"


def test_an_ipv6_client_is_quoted() -> None:
    assert 'forwarded: for="[2001:db8::1]";host="app.test";proto=https' in lines_for(
        REMOTE_ADDR="2001:db8::1"
    )


@pytest.mark.parametrize(
    "zone", ["%eth0", '%1";proto=http', "%]", "%a\r\nx-evil: 1", "%" + "z" * 70, "%", "%a%b"]
)
@pytest.mark.parametrize("trusted", [(), ("fe80::/10",)])
def test_whatever_is_no_address_is_never_written(zone: str, trusted: tuple[str, ...]) -> None:
    for chain in (f"2001:db8::7{zone}", f"2001:db8::7, rubbish{zone}", ""):
        lines = lines_for(trusted, REMOTE_ADDR=f"fe80::1{zone}", HTTP_X_FORWARDED_FOR=chain)
        forwarded, *others = (str(one) for one in lines if "forwarded" in str(one))
        assert FORWARDED.fullmatch(forwarded), forwarded
        told = {line for line in others if line.startswith("x-forwarded-for")}
        assert told <= {"x-forwarded-for: 2001:db8::7", "x-forwarded-for: fe80::1"}


def test_a_peer_without_an_address_is_unknown() -> None:
    for peer in ("", "unix:", "/run/bff.sock", 'a";proto=http'):
        lines = lines_for(("127.0.0.1",), REMOTE_ADDR=peer)
        assert 'forwarded: for=unknown;host="app.test";proto=https' in lines
        assert not [line for line in lines if str(line).startswith("x-forwarded-for")]


def test_a_websocket_is_refused_and_h2c_ignored() -> None:
    with pytest.raises(UpgradeRefused):
        check_protocol({"HTTP_UPGRADE": "WebSocket"})
    check_protocol({"HTTP_UPGRADE": "h2c"})


# ---------------------------------------------------------------- to the browser


def headers_for(*headers: tuple[str, str], status: int = 200) -> dict[str, str]:
    result = response_headers(Head(status, list(headers)), ROUTE, OURS, "/v1/x")
    assert len({name for name, _ in result}) == len(result)
    return dict(result)


DROPPED = [
    "set-cookie", "set-cookie2", "access-control-allow-origin", "access-control-allow-credentials",
    "clear-site-data", "service-worker-allowed", "strict-transport-security", "alt-svc",
    "public-key-pins", "nel", "report-to", "x-accel-redirect", "x-sendfile", "connection",
    "keep-alive", "proxy-authenticate", "trailer", "transfer-encoding", "upgrade",
    "surrogate-control", "cdn-cache-control", "edge-control", "x-lighttpd-send-file",
    "x-litespeed-location", "x-reproxy-url", "server", "x-powered-by", "x-aspnet-version",
    "set-login", "secure-session-registration", "secure-session-challenge",
    "sec-session-registration", "speculation-rules", "origin-trial", "supports-loading-mode",
    "activate-storage-access", "use-as-dictionary", "shared-storage-write", "timing-allow-origin",
    "attribution-reporting-register-source", "cache-group-invalidation", "ad-auction-result",
    "observe-browsing-topics", "accept-ch-lifetime", "x-permitted-cross-domain-policies",
    "cloudflare-cdn-cache-control", "akamai-cache-control", "x-envoy-upstream-service-time", "via",
    "x-runtime", "x-php-version", "x-powered-cms", "x-application-context", "x-request-id",
]  # fmt: skip


@pytest.mark.parametrize("name", DROPPED)
def test_a_header_for_the_origin_or_the_hop_is_dropped(name: str) -> None:
    assert name not in headers_for((name, "x"))


def test_headers_named_in_the_upstreams_connection_are_dropped() -> None:
    headers = headers_for(
        ("connection", "close, X-Hop"), ("connection", "ETag"), ("x-hop", "1"), ("etag", '"a"'),
        ("x-end", "2"),
    )  # fmt: skip
    assert {"x-hop", "etag"}.isdisjoint(headers)
    assert headers["x-end"] == "2"


def test_a_document_can_not_run_in_our_origin() -> None:
    headers = response_headers(
        Head(200, [("content-security-policy", "default-src *"), ("content-type", "text/html"),
                   ("x-content-type-options", "none")]),
        ROUTE, OURS, "/v1/x",
    )  # fmt: skip
    assert ("content-security-policy", "sandbox") in headers
    assert ("content-security-policy", "default-src *") in headers
    assert [v for n, v in headers if n == "x-content-type-options"] == ["nosniff"]


@pytest.mark.parametrize(
    ("given", "cache", "vary"),
    [
        ({}, "private, no-store", None),
        ({"etag": '"a"'}, "private, no-cache", "Cookie"),
        ({"last-modified": "x", "vary": "Accept"}, "private, no-cache", "Accept, Cookie"),
        ({"etag": '"a"', "cache-control": "no-store"}, "no-store", None),
        # Only for the header that it names.
        ({"cache-control": 'private="x-a", max-age=60'}, 'private="x-a", max-age=60, private',
         "Cookie"),
        ({"cache-control": 'private="x-a, public, x-b"'}, 'private="x-a, public, x-b", private',
         "Cookie"),
        ({"vary": "Accept"}, "private, no-store", "Accept"),
        ({"pragma": "no-cache"}, "private, no-store", None),
        ({"cache-control": "no-store"}, "no-store", None),
        ({"cache-control": "max-age=60"}, "max-age=60, private", "Cookie"),
        ({"cache-control": "no-cache"}, "no-cache, private", "Cookie"),
        ({"cache-control": "private, max-age=60"}, "private, max-age=60", "Cookie"),
        ({"cache-control": "max-age=60", "vary": "Accept"}, "max-age=60, private",
         "Accept, Cookie"),
        ({"cache-control": "max-age=60, must-revalidate"}, "max-age=60, must-revalidate, private",
         "Cookie"),
        ({"cache-control": "public, max-age=60"}, "public, max-age=60", None),
        ({"cache-control": "s-maxage=60"}, "s-maxage=60", None),
        ({"cache-control": "public, max-age=60", "vary": "Authorization"},
         "max-age=60, private", "Authorization, Cookie"),
        ({"cache-control": "public, s-maxage=9", "vary": "*"}, "private", "*"),
        ({"expires": "Thu, 01 Jan 2099 00:00:00 GMT"}, "private", "Cookie"),
    ],
)  # fmt: skip
def test_shared_caches_store_nothing_personal(
    given: dict[str, str], cache: str, vary: str | None
) -> None:
    headers = headers_for(*given.items())
    assert headers.get("cache-control") == cache
    assert headers.get("vary") == vary


def test_of_a_repeated_header_each_value_counts() -> None:
    headers = headers_for(
        ("cache-control", "no-store"), ("vary", "Authorization"),
        ("cache-control", "public"), ("vary", "Accept"),
    )  # fmt: skip
    assert headers["cache-control"] == "no-store, public"
    assert headers["vary"] == "Authorization, Accept"


def test_a_304_changes_nothing_about_caching() -> None:
    assert "cache-control" not in headers_for(("etag", '"a"'), status=304)


@pytest.mark.parametrize(
    ("challenge", "passes"),
    [
        ('Basic realm="x"', False),
        ('Bearer realm="a", Basic realm="b"', False),
        ("Bearer, Negotiate", False),
        ("bearer,NTLM", False),
        ('DPoP algs="ES256",Digest realm="x", nonce="y"', False),
        ('Bearer realm="x" Basic realm="y"', False),
        ('Bearer realm = "x",\tBasic', False),
        ("Bearer-Basic x", False),
        ('realm="x"', False),
        ("", False),
        ('Bearer error="insufficient_scope"', True),
        ("bearer", True),
        ('Bearer realm="a, Basic realm=\\"b\\"", error = invalid_token, DPoP algs="ES256"', True),
    ],
)
def test_a_challenge_that_makes_browsers_prompt_for_passwords_is_dropped(
    challenge: str, passes: bool
) -> None:
    found = headers_for(("www-authenticate", challenge), status=401)
    assert found.get("www-authenticate") == (challenge if passes else None)


@pytest.mark.parametrize("name", ["sourcemap", "x-sourcemap", "content-location", "location"])
def test_an_address_of_the_upstream_becomes_ours(name: str) -> None:
    found = headers_for((name, "http://api.test:8080/v1/y"))
    assert found[name] == "https://app.test/api/y"


@pytest.mark.parametrize(
    ("method", "response", "body"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nhi", b""),
        ("GET", b"HTTP/1.1 205 Reset\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", b""),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        ("GET", b"HTTP/1.1 418 Teapot\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        ("GET", b"HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    ],
)  # fmt: skip
def test_the_framing_of_the_response_is_right(
    proxy: RunningProxy, method: str, response: bytes, body: bytes
) -> None:
    proxy.raw.script = responding(response)
    received = raw_client.request(proxy.port, "/api/x", method=method)
    assert received.status == int(response[9:12])
    assert received.body == body
    assert "transfer-encoding" not in received.fields
    if method == "HEAD":
        assert received.fields["content-length"] == "5"


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("filename=\"für 5 €.txt\"".encode(), "filename=\"für 5 €.txt\"".encode()),
        # No UTF-8: Granian passes the same letters as UTF-8, which browsers read, too.
        ("filename=für.txt".encode("latin-1"), "filename=für.txt".encode()),
    ],
)  # fmt: skip
def test_a_file_name_arrives_as_the_upstream_sent_it(
    proxy: RunningProxy, sent: bytes, received: bytes
) -> None:
    header = b"Content-Disposition: attachment; "
    proxy.raw.script = responding(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + header + sent + b"\r\n\r\nok"
    )
    fields = raw_client.request(proxy.port, "/api/x").fields
    expected = received if "granian" in proxy.server.name else sent
    assert fields["content-disposition"].encode("latin-1") == b"attachment; " + expected


def test_a_response_on_the_wire(proxy: RunningProxy) -> None:
    """All of it at once, as the browser sees it."""
    proxy.raw.script = responding(
        b"HTTP/1.1 201 Created\r\nSet-Cookie: a=b\r\nLocation: /v1/x/1\r\nContent-Length: 2\r\n"
        b"Access-Control-Allow-Origin: *\r\nX-Own: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\nok"
    )
    received = raw_client.request(proxy.port, "/api/x", method="POST", body=b"a")
    assert received.status == 201
    assert received.fields["location"] == "https://app.test/api/x/1"
    assert received.fields["cache-control"] == "private, no-store"
    assert received.fields["content-security-policy"] == "sandbox"
    assert received.fields["x-own"] == "1"
    assert not {"set-cookie", "access-control-allow-origin", "x-hop"} & set(received.fields)
