"""deploy/nginx in a real nginx: sign-in, the API, refusals, and which fields pass."""

from __future__ import annotations

import http.client
import json
from typing import Any

import pycurl
import pytest

from bff.route import NEVER_PASSED_FIELDS
from tests.deploy.api import whole
from tests.deploy.nginx import BehindNginx
from tests.support.cluster import TIMEOUT_SECONDS


def bearer(here: BehindNginx) -> str:
    return f"Bearer {here.issued_token()}"


# ---------------------------------------------------------------- sign-in and API
def test_sign_in_and_the_api_work_through_it(here: BehindNginx) -> None:
    browser = here.browser()
    assert browser.profile().status_code == 200
    answer = browser.api("/items?n=1")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["method"], told["target"]) == ("GET", "/items?n=1")
    assert told["fields"]["authorization"] == bearer(here)
    posted = browser.fetch("POST", "/api/items", json={"a": 1})
    assert (posted.json()["method"], posted.json()["length"]) == ("POST", 8)


def test_the_api_is_carried_by_nginx_and_not_by_the_bff(here: BehindNginx) -> None:
    via = here.browser().api("/items").json()["fields"]["via"]
    assert via == "1.1 nginx"


def test_http2_is_spoken(here: BehindNginx) -> None:
    browser = here.browser()
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


# ---------------------------------------------------------------- refusals, in the BFF's words
def test_without_a_session_the_answer_is_the_bffs_own(here: BehindNginx) -> None:
    seen = len(here.api.seen)
    for method in ("GET", "POST"):
        answer = here.browser(signed_in=False).fetch(method, "/api/items")
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["login_url"]) == ("session_missing", "/auth/login")
    assert len(here.api.seen) == seen


def test_promise_8_another_site_is_refused(here: BehindNginx) -> None:
    browser, seen = here.browser(), len(here.api.seen)
    for method, site in (("GET", "cross-site"), ("POST", "same-site"), ("POST", "none")):
        answer = browser.fetch(method, "/api/items", headers={"Sec-Fetch-Site": site})
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert len(here.api.seen) == seen


def test_promise_2_nothing_new_passes_after_the_logout(here: BehindNginx) -> None:
    browser = here.browser()
    cookie = {"Cookie": f"__Host-Http-session={browser.cookie}", "Sec-Fetch-Site": "same-origin"}
    assert here.ask("/api/items", headers=cookie).status_code == 200
    assert browser.log_out().status_code == 200
    seen = len(here.api.seen)
    for path in ("/api/items", "/api/live/1", "/api/events"):
        answer = here.ask(path, headers=cookie)
        assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
    assert len(here.api.seen) == seen


# ---------------------------------------------------------------- the API's own answers
@pytest.mark.parametrize("status", [401, 403, 404, 500, 502, 503, 504])
def test_the_apis_own_errors_pass_as_they_are(here: BehindNginx, status: int) -> None:
    challenge = 'WWW-Authenticate: Bearer error="insufficient_user_authentication"'
    answer = whole(b"its own words", challenge, status=f"{status} Whatever")
    here.api.answers["/own"] = answer
    seen = len(here.api.seen)
    got = here.browser().api("/own")
    assert (got.status_code, got.text) == (status, "its own words")
    assert got.headers["WWW-Authenticate"].startswith("Bearer")
    assert len(here.api.seen) == seen + 1, "asked once, and not by the BFF again"


def test_an_answer_gets_the_same_fields_as_from_the_bff(here: BehindNginx) -> None:
    """What speaks for a whole origin, or to a proxy, doesn't come through."""
    dropped = [
        "Set-Cookie: __Host-Http-session=evil; Path=/; Secure", "Access-Control-Allow-Origin: *",
        "Access-Control-Allow-Credentials: true", "Clear-Site-Data: \"cookies\"",
        "Service-Worker-Allowed: /", "Strict-Transport-Security: max-age=0", "NEL: {}",
        "X-Accel-Redirect: /_verify/api", "X-Accel-Limit-Rate: 1", "Alt-Svc: h2=\"evil:443\"",
        "WWW-Authenticate: Basic realm=x", "X-Content-Type-Options: none",
    ]  # fmt: skip
    here.api.answers["/odd"] = whole(b"<script>", "Content-Type: text/html", *dropped)
    answer = here.browser().api("/odd")
    assert answer.status_code == 200
    names = {line.partition(":")[0].lower() for line in dropped}
    kept = {"strict-transport-security", "x-content-type-options"}
    assert not names - kept & {name.lower() for name in answer.headers} - kept
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "private, no-store"
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
    assert here.browser().api("/cached").headers["Cache-Control"] == kept


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("/items/7", "/api/items/7"),
        ("http://api.internal/items/7", "{url}/api/items/7"),
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
    ],
)
def test_a_location_of_the_api_becomes_ours(here: BehindNginx, theirs: str, ours: str) -> None:
    here.api.answers["/made"] = whole(b"", f"Location: {theirs}", status="201 Created")
    assert here.browser().api("/made").headers["Location"] == ours.format(url=here.url)


# ---------------------------------------------------------------- what the API gets
def test_promise_9_the_client_smuggles_nothing_in(here: BehindNginx) -> None:
    browser = here.browser()
    written = {name for name in NEVER_PASSED_FIELDS if name not in NOT_SENT}
    smuggled: dict[str, str] = dict.fromkeys(written, "smuggled")
    smuggled |= {"X-Forwarded-User": "smuggled", "X-Auth-Request-Email": "smuggled"}
    smuggled |= {"X_Forwarded_For": "smuggled", "X-Forward-Auth-Key": "smuggled"}
    smuggled |= {"X-Original-Method": "DELETE", "X-Forwarded-Uri": "/api/other"}
    told = browser.api("/items", headers=smuggled).json()
    assert told["target"] == "/items"
    fields: dict[str, Any] = told["fields"]
    assert "smuggled" not in " ".join(fields.values())
    assert fields["authorization"] == bearer(here)
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-host"] == f"localhost:{here.port}"
    assert fields["x-forwarded-proto"] == "https"
    assert fields["forwarded"] == f'for=127.0.0.1;host="localhost:{here.port}";proto=https'
    assert fields["host"] == "api.internal"
    assert len(fields["x-request-id"]) == 32
    assert not fields.keys() & {"cookie", "x-csrf", "x-forward-auth-key", "x-original-uri"}


NOT_SENT = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "expect", "te", "cookie",
     "upgrade", "content-type", "trailer", "keep-alive"}
)  # fmt: skip
"""Those would change the request itself, or are nginx's to read."""


def test_promise_9_what_was_sent_once_is_sent_once(here: BehindNginx) -> None:
    """By itself nginx repeats a PUT or a DELETE when a connection breaks that it had kept."""
    browser = here.browser()
    for method in ("PUT", "DELETE", "POST"):
        assert browser.fetch(method, "/api/items", data=b"x").status_code == 200
        seen = len(here.api.seen)
        answer = browser.fetch(method, "/api/hang-up", data=b"x")
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_unreachable")
        assert len(here.api.seen) == seen + 1


def test_no_code_and_no_query_is_in_the_log(here: BehindNginx) -> None:
    here.browser().api("/items?secret=1")
    log = (here.folder / "access.log").read_text()
    assert '"GET /auth/callback HTTP' in log
    assert "code=" not in log
    assert "secret" not in log
