"""deploy/nginx in a real nginx: what it does better than, or otherwise than, every proxy."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pycurl
import pytest

from tests.deploy.api import whole
from tests.deploy.installation import MEGABYTE
from tests.deploy.nginx import BehindNginx
from tests.support.cluster import TIMEOUT_SECONDS


def bearer(here: BehindNginx) -> str:
    return f"Bearer {here.issued_token()}"


# ---------------------------------------------------------------- sign-in and API
def test_the_api_is_carried_by_nginx_and_not_by_the_bff(here: BehindNginx) -> None:
    via = here.user().api("/items").json()["fields"]["via"]
    assert via == "1.1 nginx"


def test_http2_is_spoken(here: BehindNginx) -> None:
    browser = here.user()
    received = bytearray()
    curl = pycurl.Curl()
    for option, value in {
        pycurl.URL: f"{here.url}/api/items",
        pycurl.CAINFO: str(here.certificate.ca_file),
        pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_2TLS,
        pycurl.HTTPHEADER: [
            f"Cookie: __Host-Http-session={browser.cookie}", "Sec-Fetch-Site: same-origin"
        ],
        pycurl.WRITEFUNCTION: received.extend,
        pycurl.TIMEOUT: TIMEOUT_SECONDS,
    }.items():  # fmt: skip
        curl.setopt(option, value)
    curl.perform()
    version = curl.getinfo(pycurl.INFO_HTTP_VERSION)
    curl.close()
    assert version == pycurl.CURL_HTTP_VERSION_2_0
    told = json.loads(received)
    assert told["fields"]["authorization"] == bearer(here)
    assert told["fields"]["via"] == "2.0 nginx"


def test_plain_http_is_sent_to_https(here: BehindNginx) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", here.plain_port, timeout=TIMEOUT_SECONDS)
    connection.request("GET", "/x?y=1", headers={"Host": "localhost"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"{here.url}/x?y=1")
    connection.close()


# ---------------------------------------------------------------- the API's own answers
@pytest.mark.parametrize("status", [401, 403, 404, 500, 502, 503, 504])
def test_the_apis_own_errors_pass_as_they_are(here: BehindNginx, status: int) -> None:
    challenge = 'WWW-Authenticate: Bearer error="insufficient_user_authentication"'
    answer = whole(b"its own words", challenge, status=f"{status} Whatever")
    here.api.answers["/own"] = answer
    seen = len(here.api.seen)
    got = here.user().api("/own")
    assert (got.status_code, got.text) == (status, "its own words")
    assert got.headers["WWW-Authenticate"].startswith("Bearer")
    assert len(here.api.seen) == seen + 1, "asked once, and not by the BFF again"


def test_orders_to_a_proxy_are_for_nobody(here: BehindNginx) -> None:
    """X-Accel-Redirect could reach what is internal; Basic would make the browser ask."""
    odd = ["X-Accel-Redirect: /_verify/api", "X-Accel-Limit-Rate: 1", "WWW-Authenticate: Basic"]
    here.api.answers["/orders"] = whole(b"as it is", *odd)
    answer = here.user().api("/orders")
    assert (answer.status_code, answer.text) == (200, "as it is")
    assert not {line.partition(":")[0] for line in odd} & set(answer.headers)
    assert "Cookie" in answer.headers["Vary"]


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ([], "private, no-store"),
        (["Cache-Control: max-age=60"], "max-age=60, private"),
        (["Cache-Control: private, max-age=60"], "private, max-age=60"),
        (["Cache-Control: no-store"], "no-store"),
        (["Cache-Control: public, max-age=60"], "public, max-age=60"),
        (["Expires: Thu, 01 Jan 2099 00:00:00 GMT"], "private"),
    ],
)
def test_shared_caches_stay_out(here: BehindNginx, fields: list[str], kept: str) -> None:
    here.api.answers["/cached"] = whole(b"x", *fields)
    assert here.user().api("/cached").headers["Cache-Control"] == kept


# ---------------------------------------------------------------- what the API gets
def test_the_api_gets_what_the_bff_would_tell_it(here: BehindNginx) -> None:
    fields: dict[str, Any] = here.user().api("/items").json()["fields"]
    assert fields["x-forwarded-host"] == f"localhost:{here.port}"
    assert fields["forwarded"] == f'for=127.0.0.1;host="localhost:{here.port}";proto=https'
    assert fields["host"] == "api.internal"
    assert len(fields["x-request-id"]) == 32


def test_promise_9_what_was_sent_once_is_sent_once(here: BehindNginx) -> None:
    """By itself nginx repeats a PUT or a DELETE when a connection breaks that it had kept."""
    browser = here.user()
    for method in ("PUT", "DELETE", "POST"):
        assert browser.fetch(method, "/api/items", data=b"x").status_code == 200
        seen = len(here.api.seen)
        answer = browser.fetch(method, "/api/hang-up", data=b"x")
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_unreachable")
        assert len(here.api.seen) == seen + 1


def test_large_uploads_go_through_the_bff(here: BehindNginx) -> None:
    """An early response of the API reaches the browser then (tests/gateway/test_upstream_body)."""
    for megabytes, by_bff in ((2, False), (5, True)):
        status, told = here.upload(here.user(), megabytes * MEGABYTE)
        assert (status, told["length"]) == (200, megabytes * MEGABYTE)
        assert ("bff-" in str(told["fields"])) == by_bff
    assert "auth request unexpected" not in here.front.output


def test_no_code_and_no_query_is_in_the_log(here: BehindNginx) -> None:
    here.user().api("/items?secret=1")
    log = (here.folder / "access.log").read_text()
    assert '"GET /auth/callback HTTP' in log
    assert "code=" not in log
    assert "secret" not in log
