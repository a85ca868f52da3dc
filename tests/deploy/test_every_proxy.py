"""deploy/: what nginx, Caddy and Traefik, each a real one, promise alike."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from posixpath import normpath
from urllib.parse import unquote

import pytest

from bff.config.header_names import CLAIMS, NEVER_PASSED
from tests.deploy.api import whole
from tests.deploy.caddy import BehindCaddy
from tests.deploy.installation import MEGABYTE, Installation, sha256
from tests.deploy.nginx import BehindNginx
from tests.deploy.test_outside import ALL_THAT_NGINX_SAYS, SPELLINGS, TARGETS
from tests.deploy.traefik import BehindTraefik
from tests.deploy.wire import cookie, handshake, opened, page, talk
from tests.support.waiting import wait_for

PROXIES: dict[str, type[Installation]] = {
    "nginx": BehindNginx, "caddy": BehindCaddy, "traefik": BehindTraefik
}  # fmt: skip
UPLOAD_BYTES = 32 * MEGABYTE
ADMIN_KEY = "a" * 40


@pytest.fixture(scope="module", params=PROXIES.values(), ids=list(PROXIES))
def here(request: pytest.FixtureRequest) -> Iterator[Installation]:
    with request.param(env={"BFF_ADMIN_KEY": ADMIN_KEY}) as here:
        yield here


# ---------------------------------------------------------------- sign-in and API
def test_sign_in_and_the_api_work_through_it(here: Installation) -> None:
    browser = here.browser()
    assert browser.profile().status_code == 200
    told = browser.api("/items?n=1&m=a%2Fb").json()
    assert (told["method"], told["target"]) == ("GET", "/items?n=1&m=a%2Fb")
    assert told["fields"]["authorization"] == f"Bearer {here.issued_token()}"
    assert "bff-" not in told["fields"].get("via", ""), "the proxy carries it"
    posted = browser.fetch("POST", "/api/items", json={"a": 1}).json()
    assert (posted["method"], posted["length"]) == ("POST", 8)


def test_the_bff_gets_no_foreign_cookie(here: Installation) -> None:
    """One with an umlaut hides all others from it; Traefik can't pick cookies."""
    foreign = "city=Zürich; __Host-theme=größer; a=b"
    if isinstance(here, BehindTraefik):
        answer = here.ask("/auth/profile", headers={"Cookie": foreign, "X-CSRF": "1"})
        assert (answer.status_code, answer.json()["code"]) == (401, "cookies_unreadable")
        return
    browser = here.browser(signed_in=False)
    for name in ("größe", "city", "zz"):
        browser.here.cookies.set(name, "Zürich")
    for _ in range(5):
        browser.authorize_url()
    browser.log_in()
    many = "; ".join(f"__Host-browser-{number}=v" for number in range(40))
    for before, after in (
        (f"{many}; {foreign}; ", f"; {many}"),
        ("", ""),
        (f"{foreign}; ", ""),
        ("", f"; {foreign}"),
        ("ü=1;", ";ö=2"),
    ):
        cookies = f"{before}__Host-Http-session={browser.cookie}{after}"
        for path in ("/auth/profile", "/api/items"):
            answer = here.ask(path, headers={"Cookie": cookies, "X-CSRF": "1"})
            assert answer.status_code == 200, (path, before, after)
    for cookies in (foreign, "a=b"):
        answer = here.ask("/auth/profile", headers={"Cookie": cookies, "X-CSRF": "1"})
        assert (answer.status_code, answer.json()["code"]) == (401, "session_missing")


def test_without_a_session_the_answer_is_the_bffs_own(here: Installation) -> None:
    seen = len(here.api.seen)
    for method in ("GET", "POST"):
        answer = here.browser(signed_in=False).fetch(method, "/api/items")
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["code"], problem["login_url"]) == ("session_missing", "/auth/login")
    assert len(here.api.seen) == seen


def test_promise_8_another_site_is_refused(here: Installation) -> None:
    browser, seen = here.user(), len(here.api.seen)
    for method, site in (("GET", "cross-site"), ("POST", "same-site"), ("POST", "none")):
        answer = browser.fetch(method, "/api/items", headers={"Sec-Fetch-Site": site})
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")
    assert len(here.api.seen) == seen


def test_promise_2_nothing_new_passes_after_the_logout(here: Installation) -> None:
    browser = here.browser()
    old = dict(field.split(": ", 1) for field in page(browser))
    assert here.ask("/api/items", headers=old).status_code == 200
    assert browser.log_out().status_code == 200
    seen = len(here.api.seen)
    for path in ("/api/items", "/api/live/1", "/api/events"):
        answer = here.ask(path, headers=old)
        assert (answer.status_code, answer.json()["code"]) == (401, "session_ended")
    assert len(here.api.seen) == seen


# ---------------------------------------------------------------- what is long
def test_a_websocket_echoes_for_our_own_pages_only(here: Installation) -> None:
    browser = here.browser()

    async def talked() -> tuple[set[int], int, str]:
        refused = [
            ("/api/live/room", [*cookie(browser), *handshake("https://evil.example")]),
            ("/api/live/room", [*cookie(browser), *handshake(None)]),
            ("/api/live/room", handshake(here.url)),
            ("/api/items", [*cookie(browser), *handshake(here.url)]),
        ]
        statuses = [
            (await opened(here.port, here.tls(), path, fields)).status for path, fields in refused
        ]
        fields = cookie(browser) + handshake(here.url)
        socket = await opened(here.port, here.tls(), "/api/live/room", fields)
        return set(statuses), socket.status, await socket.echo("hello")

    seen = len(here.api.seen)
    refusals, status, echo = talk(talked())
    # By the BFF in other words behind nginx, which gives it the whole request.
    assert refusals <= {401, 403, 501}
    assert (status, echo) == (101, "hello")
    asked = here.api.seen[seen:]
    assert [one.target for one in asked] == ["/live/room"]
    assert asked[0].fields["authorization"] == f"Bearer {here.issued_token()}"
    assert "cookie" not in asked[0].fields


def test_promise_2_the_bff_ends_its_streams_and_the_proxy_cant(here: Installation) -> None:
    browser = here.browser()

    async def listen() -> tuple[str, str, str]:
        by_proxy = await opened(here.port, here.tls(), "/api/stream", page(browser))
        by_bff = await opened(here.port, here.tls(), "/api/events", page(browser))
        wait_for(lambda: here.api.open_streams == 2, "both streams")
        here.api.send_event("before")
        before = await by_bff.next_event() + await by_proxy.next_event()
        assert browser.log_out().status_code == 200
        ended = await by_bff.next_event()
        wait_for(lambda: here.api.open_streams == 1, "the API to lose the BFF's stream")
        here.api.send_event("still here")
        return before, ended, await by_proxy.next_event()

    assert talk(listen()) == ("beforebefore", "", "still here")
    wait_for(lambda: here.api.open_streams == 0, "the API to learn that the client left")


def test_a_large_upload_arrives_whole(here: Installation) -> None:
    status, told = here.upload(here.user(), UPLOAD_BYTES)
    assert status == 200
    assert (told["length"], told["sha256"]) == (UPLOAD_BYTES, sha256(UPLOAD_BYTES))


# ---------------------------------------------------------------- which fields pass
NOT_SENT = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "expect", "te", "cookie",
     "upgrade", "content-type", "trailer", "keep-alive"}
)  # fmt: skip
"""Those would change the request itself, or are the proxy's to read."""


def test_an_answer_gets_the_same_fields_as_from_the_bff(here: Installation) -> None:
    """What speaks for a whole origin, or to a proxy, doesn't come through."""
    dropped = [
        "Set-Cookie: __Host-Http-session=evil; Path=/; Secure", "Access-Control-Allow-Origin: *",
        "Access-Control-Allow-Credentials: true", "Clear-Site-Data: \"cookies\"",
        "Service-Worker-Allowed: /", "NEL: {}", "X-Accel-Redirect: /x", "Alt-Svc: h2=\"evil:443\"",
        "Set-Login: logged-out", "Secure-Session-Registration: (ES256);path=\"/x\"",
        "Sec-Session-Challenge: x", "DPoP-Nonce: evil", "Speculation-Rules: \"/x\"",
        "Origin-Trial: x", "Use-As-Dictionary: match=\"/*\"", "Refresh: 0;url=http://api.internal/x",
    ]  # fmt: skip
    odd = [*dropped, "Strict-Transport-Security: max-age=0", "X-Content-Type-Options: none"]
    here.api.answers["/odd"] = whole(b"<script>", "Content-Type: text/html", *odd)
    answer = here.user().api("/odd")
    assert (answer.status_code, answer.text) == (200, "<script>")
    names = {name.lower() for name in answer.headers}
    # Of the proxy's own HTTP/3, if it speaks that.
    assert not {line.partition(":")[0].lower() for line in dropped} & names - {"alt-svc"}
    assert "evil" not in answer.headers.get("Alt-Svc", "")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_promise_9_the_client_smuggles_nothing_in(here: Installation) -> None:
    browser = here.browser()
    written = {name for name in NEVER_PASSED | CLAIMS if name not in NOT_SENT}
    smuggled: dict[str, str] = dict.fromkeys(written, "smuggled")
    smuggled |= {"X-Forwarded-User": "smuggled", "X-Auth-Request-Email": "smuggled"}
    smuggled |= {"X-SSL-Client-Cert": "smuggled", "X-MS-Client-Principal": "smuggled"}
    smuggled |= {"X_Forwarded_For": "smuggled", "X-Forward-Auth-Key": "smuggled"}
    smuggled |= {"X-Forwarded-Uri": "/api/other", "X-Forwarded-Method": "DELETE"}
    smuggled["x-bff-session"] = browser.profile().json()["session"]["id"]
    told = browser.api("/items", headers=smuggled).json()
    fields: dict[str, str] = told["fields"]
    assert told["target"] == "/items"
    assert not [name for name, value in fields.items() if "smuggled" in value]
    assert fields["authorization"] == f"Bearer {here.issued_token()}"
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "https"
    dropped = {"cookie", "x-csrf", "x-bff-session", "x-forward-auth-key", "x-original-uri"}
    assert not fields.keys() & dropped


@pytest.mark.parametrize(
    ("method", "said", "code"),
    [
        ("GET", {"Sec-Fetch-Dest": "script", "Sec-Fetch-Mode": "no-cors"}, "code_refused"),
        ("GET", {"Sec-Fetch-Dest": "worker"}, "code_refused"),
        ("GET", {"Service-Worker": "script"}, "code_refused"),
        ("POST", {"Sec-Fetch-Mode": "same-origin"}, "cross_site"),
    ],
)
def test_what_the_browser_says_of_the_request_is_judged(
    here: Installation, method: str, said: dict[str, str], code: str
) -> None:
    seen = len(here.api.seen)
    response = here.user().fetch(method, "/api/items", headers=said)
    assert (response.status_code, response.json()["code"]) == (403, code)
    assert len(here.api.seen) == seen


@pytest.mark.parametrize("own", ["", 'Bearer error="insufficient_scope"'])
def test_no_api_has_the_browser_ask_for_a_password(here: Installation, own: str) -> None:
    """Of several challenges, which one header may have, only those for tokens pass."""
    if isinstance(here, BehindTraefik):
        return  # It can't tell them apart.
    for more in ('Basic realm="x"', "Negotiate", 'Digest realm="x", nonce="y"'):
        challenge = f"{own}, {more}" if own else more
        here.api.answers["/asks"] = whole(b"x", f"WWW-Authenticate: {challenge}", status="401 No")
        told = here.user().api("/asks").headers.get("WWW-Authenticate", "")
        assert told in ("", own), (challenge, told)


def test_a_request_for_another_session_is_refused(here: Installation) -> None:
    response = here.user().api("/items", headers={"X-BFF-Session": "another"})
    assert response.status_code in (403, 409)
    assert response.json()["code"] == "session_changed"


# ---------------------------------------------------------------- /auth/verify, and past it
@pytest.mark.parametrize("target", SPELLINGS)
def test_promise_1_verify_cant_be_reached_from_outside(here: Installation, target: str) -> None:
    browser = here.user()
    token = here.issued_token().encode()
    fields = (*page(browser), *ALL_THAT_NGINX_SAYS, f"X-Forward-Auth-Key: {here.key}")
    status, received = here.raw(target, *fields)
    assert token not in received
    head = received.partition(b"\r\n\r\n")[0].lower()
    assert b"authorization" not in head
    # Who cleans paths answers some of them with a page or the API's answer; never with a token.
    assert status != 204
    if unquote(target).startswith("/auth/verify"):
        assert status in (400, 404)
        assert b"x-bff-code" not in head, "the question was put to the BFF"


MISSPELT = (
    "//admin/sessions", "/%2Fadmin/sessions", "/%2f%2fadmin/sessions", "///admin/sessions",
    "/./admin/sessions", "/%2e/admin/sessions", "/x/../admin/sessions", "/x/%2e%2e/admin/sessions",
    "/;x/admin/sessions", "/admin//sessions", "/admin;x/sessions", "/admin/sessions;x",
    "/admin/sessions%3Bx=1", "/admin/;x/sessions", "/admin/sessions/", "/admin/sessions//",
    "/admin/sessions%2F", "/admin%2Fsessions", "/admin%252Fsessions", "/%61dmin/sessions",
    "/Admin/sessions", "/ADMIN/SESSIONS", "/admin/Sessions", "/admin/./sessions",
    "/admin/%2E/sessions", "/admin/x/../sessions", "/admin%5Csessions", "/%5Cadmin/sessions",
    "/admin/sessions%20", "/admin/sessions.", "/admin/sessions%3Fx", "/admin/sessions%00",
    "//auth/check-token", "/%2Fauth/check-token", "/auth//check-token", "/auth%2Fcheck-token",
    "/auth;x/check-token", "/AUTH/check-token", "/auth/check-token/", "/./auth/check-token",
    "/auth/check%2Dtoken", "//auth/login", "/auth/login;x", "/%2Fauth/login", "/Auth/login",
    "//healthz", "/healthz/", "/%2Freadyz", "/healthz;x", "/HEALTHZ", "//webhooks/ssf",
)  # fmt: skip


@pytest.mark.parametrize("target", MISSPELT)
def test_promise_10_a_path_of_ours_has_one_spelling(here: Installation, target: str) -> None:
    """Not even who has the key gets past a location of the exact path."""
    if isinstance(here, BehindTraefik) and target == "/%61dmin/sessions":
        return  # It is `/admin/sessions` before any of its rules sees it (RFC 3986, 6.2.2.2).
    for query in ("", "?sub=nobody"):
        status, received = here.raw(target + query, f"Authorization: Bearer {ADMIN_KEY}")
        assert status in (400, 404), received[:300]
        assert b"Location:" not in received


def test_the_exact_path_of_ours_passes(here: Installation) -> None:
    key = {"Authorization": f"Bearer {ADMIN_KEY}"}
    assert here.ask("/admin/sessions?sub=nobody", headers=key).json() == {"sessions": []}
    assert here.ask("/healthz").status_code == 200
    assert here.ask("/auth/check-token", headers=key).status_code == 404


@pytest.mark.parametrize("dash", ["-", "_"])
@pytest.mark.parametrize("pair", ["Original", "Forwarded"])
def test_promise_9_what_is_judged_is_what_was_asked(
    here: Installation, pair: str, dash: str
) -> None:
    """Whatever else a client says that it asked, also in the spelling that is one in WSGI."""
    browser, names = here.user(), [dash.join(("X", pair, what)) for what in ("Uri", "Method")]
    told = [f"{names[0]}: /api/items", f"{names[1]}: GET"]
    seen = len(here.api.seen)
    # Not a target that anybody may ask for, nor a method that a page of another site may use.
    here.raw("/api/a%5cb", *page(browser), *told)
    another_site = [*cookie(browser), "Sec-Fetch-Site: same-site", "Content-Length: 0"]
    status, _ = here.raw("/api/items", *another_site, *told, method="POST")
    assert status == 403
    assert len(here.api.seen) == seen
    status, _ = here.raw("/api/other", *page(browser), *told)
    assert (status, here.api.seen[-1].target) == (200, "/other")


@pytest.mark.parametrize(("name", "target"), TARGETS.items(), ids=list(TARGETS))
def test_promise_9_no_path_means_something_else_upstream(
    here: Installation, name: str, target: str
) -> None:
    """What reaches the API has one reading only; a cleaned path was judged as it was cleaned."""
    browser, seen = here.user(), len(here.api.seen)
    status, _ = here.raw(target, *page(browser))
    arrived = [one.target for one in here.api.seen[seen:]]
    assert len(arrived) <= 1
    assert status == 200 or not arrived
    for path in (one.partition("?")[0] for one in arrived):
        decoded = unquote(path)
        assert path.startswith("/")
        assert "//" not in decoded
        assert "\\" not in decoded
        assert "\0" not in decoded
        assert not {".", ".."} & {part.split(";")[0] for part in decoded.split("/")}
        if "admin" in decoded:
            assert normpath(unquote(target)).startswith("/api/"), name


# ---------------------------------------------------------------- many sign-ins
@pytest.mark.parametrize("proxy", [BehindNginx, BehindTraefik])
@pytest.mark.parametrize("path", ["/auth/login", "/auth/callback?state=x&code=secret-code"])
def test_one_address_begins_and_ends_so_many_sign_ins_only(
    proxy: type[Installation], path: str
) -> None:
    """Caddy can't limit them without a plugin (docs/deploy.md)."""
    with proxy() as here:
        browser = here.browser()
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: here.ask(path), range(400)))
        refused = [one for one in answers if one.status_code == 429]
        assert 20 <= len(refused) < 400
        assert refused[0].headers["Retry-After"]
        for _ in range(100):
            assert browser.api("/items").status_code == 200
        assert "secret-code" not in here.front.output


# ---------------------------------------------------------------- when something is away
def test_promise_5_nobody_notices_a_dead_replica() -> None:
    """Behind Caddy; Traefik puts the question to one address."""
    with BehindCaddy(replicas=2) as here:
        browser = here.browser()
        here.cluster.replicas[0].stop()
        for _ in range(6):
            assert browser.api("/items").status_code == 200
            assert browser.profile().status_code == 200


@pytest.mark.parametrize("proxy", PROXIES.values(), ids=list(PROXIES))
def test_promise_5_what_is_away_lets_nobody_in_and_signs_nobody_out(
    proxy: type[Installation],
) -> None:
    with proxy() as here:
        browser = here.browser()
        here.cluster.redis.stop()
        answer = browser.api("/items")
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        here.cluster.redis.start_again()
        assert browser.api("/items").status_code == 200

        seen = len(here.api.seen)
        here.cluster.replicas[0].stop()
        for method in ("GET", "POST"):
            answer = browser.fetch(method, "/api/items")
            assert answer.status_code == AWAY[proxy]
            assert "Set-Cookie" not in answer.headers
        assert len(here.api.seen) == seen
        here.cluster.start_replica(here.cluster.ports[0])
        wait_for(lambda: browser.api("/items").status_code == 200, "an answer")
        here.api.stop()
        assert browser.api("/items").status_code == 502


AWAY = {BehindNginx: 503, BehindCaddy: 503, BehindTraefik: 500}
"""docs/deploy.md says so."""
