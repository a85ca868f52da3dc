"""What does `check` make of the answers of different providers, of clocks and of servers?"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from bff.cli.check import connecting, discovery, questions, redis_server, start_log
from bff.cli.check.finding import Finding
from bff.core.errors import ProviderUnavailable
from bff.store.server_info import ServerInfo
from tests.support.certificate import Certificate
from tests.support.fake_provider import FakeProvider, Reply, Request, _Handler
from tests.support.tls_front import Front

CALLBACK = "http://localhost:8000/auth/callback"
LOGIN_REQUIRED = f"{CALLBACK}?error=login_required&state=s"


@pytest.fixture
def usual(fake: FakeProvider) -> FakeProvider:
    """It knows client and callback, as most do."""
    fake.token({"error": "invalid_grant"}, 400)
    fake.says("/authorize", lambda: Reply(b"", 302, {"Location": LOGIN_REQUIRED}))
    return fake


def rows(fake: FakeProvider, **settings: str) -> dict[str, Finding]:
    found = questions.of_provider(fake.config(**settings))
    by_subject = {row.subject: row for row in found}
    assert len(by_subject) == len(found)
    return by_subject


TOKEN: dict[str, tuple[int, Any, str]] = {
    "Auth0, right": (403, {"error": "invalid_grant"}, "ok"),
    "Auth0, wrong": (
        401,
        {"error": "access_denied", "error_description": "Unauthorized"},
        "failed",
    ),
    "Keycloak, right": (400, {"error": "invalid_grant"}, "ok"),
    "Keycloak, wrong": (401, {"error": "unauthorized_client"}, "failed"),
    "Hydra, wrong": (401, {"error": "invalid_client"}, "failed"),
    "oidc-provider, right": (400, {"error": "invalid_grant"}, "ok"),
    "Cognito, wrong": (400, {"error": "invalid_client"}, "failed"),
    "another word": (400, {"error": "invalid_request"}, "warning"),
    "a limit": (429, {"error": "too_many_requests"}, "failed"),
    "down": (503, b"", "failed"),
    "a page": (200, b"<p>", "failed"),
}


@pytest.mark.parametrize("case", TOKEN)
def test_a_made_up_code_shows_whether_the_secret_is_right(case: str, usual: FakeProvider) -> None:
    status, body, expected = TOKEN[case]
    usual.token(body, status)
    found = rows(usual)
    assert found["client secret"].status == expected, found
    assert ("revocation" in found) == (expected != "failed")


def test_a_key_is_named_as_the_file_that_it_comes_from(usual: FakeProvider, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(RSAKey.generate_key(2048).as_pem(private=True))
    usual.token({"error": "invalid_client"}, 401)
    settings = {"AUTH0_CLIENT_AUTH": "private_key_jwt", "AUTH0_CLIENT_PRIVATE_KEY_FILE": str(file)}
    row = rows(usual, **settings)["client secret"]
    assert row.status == "failed"
    assert row.variables[0] == "AUTH0_CLIENT_PRIVATE_KEY_FILE"
    file.write_text("no key")
    assert rows(usual, **settings)["AUTH0_CLIENT_PRIVATE_KEY_FILE"].status == "failed"


ROUTES = """
[[route]]
prefix = "/api/reports"
upstream = "http://127.0.0.1:9"
token = "client"
client_id = "reporting"
client_secret_env = "REPORTING_SECRET"
audience = "https://reports"
"""


@pytest.mark.parametrize("accepted", [True, False])
def test_the_client_of_a_route_is_looked_at_too(
    accepted: bool, usual: FakeProvider, tmp_path: Path
) -> None:
    file = tmp_path / "routes.toml"
    file.write_text(ROUTES)

    def revoke(handler: _Handler, request: Request) -> Reply:
        if accepted or request.form.get("client_id") != "reporting":
            return Reply(b"")
        return Reply({"error": "invalid_client"}, 401)

    usual.responders["/oauth/revoke"] = revoke
    found = rows(usual, BFF_ROUTES_FILE=str(file), REPORTING_SECRET="r" * 40)
    row = found["client reporting"]
    assert found["revocation"].status == "ok"
    assert row.status == ("ok" if accepted else "failed")
    assert ("BFF_ROUTES_FILE" in row.variables) != accepted


def test_entra_says_the_same_of_a_wrong_secret_so_it_cannot_be_seen(usual: FakeProvider) -> None:
    usual.metadata["authorization_endpoint"] = f"{usual.issuer}t/oauth2/v2.0/authorize"
    usual.says("/t/oauth2/v2.0/authorize", lambda: Reply(b"<p>"))
    found = rows(usual)
    assert found["client secret"].meaning.startswith("can't be seen")
    assert found["callback address"].status == "warning"


AUTHORIZATION: dict[str, tuple[Reply, str, str]] = {
    "known": (Reply(b"", 302, {"Location": LOGIN_REQUIRED}), "callback address", "ok"),
    "known, by 303": (Reply(b"", 303, {"Location": LOGIN_REQUIRED}), "callback address", "ok"),
    "Keycloak and Okta": (Reply(b"<p>", 400), "callback address", "failed"),
    "Auth0": (Reply(b"<p>", 403), "callback address", "failed"),
    "Cognito": (
        Reply(b"", 302, {"Location": "/error?error=redirect_mismatch"}),
        "callback address", "failed",
    ),
    "Hydra": (
        Reply(b"", 303, {"Location": "/oauth2/fallbacks/error?error=invalid_request"}),
        "callback address", "failed",
    ),
    "a page": (Reply(b"<p>"), "callback address", "warning"),
    "a sign-in page": (Reply(b"", 302, {"Location": "/login?x=1"}), "callback address", "warning"),
    "a scope": (
        Reply(b"", 302, {"Location": f"{CALLBACK}?error=invalid_scope"}), "sign-in", "failed",
    ),
    "an API": (
        Reply(b"", 302, {"Location": f"{CALLBACK}?error=invalid_target"}), "audience", "failed",
    ),
    "down": (Reply(b"", 503), "callback address", "warning"),
}  # fmt: skip


@pytest.mark.parametrize("case", AUTHORIZATION)
def test_a_request_without_a_cookie_shows_whether_the_callback_is_known(
    case: str, usual: FakeProvider
) -> None:
    reply, subject, expected = AUTHORIZATION[case]
    usual.says("/authorize", lambda: reply)
    assert rows(usual, AUTH0_AUDIENCE="https://api")[subject].status == expected


PUSHED: dict[str, tuple[Reply, str, str]] = {
    "known": (Reply({"request_uri": "urn:x", "expires_in": 60}, 201), "callback address", "ok"),
    "unknown": (Reply({"error": "invalid_redirect_uri"}, 400), "callback address", "failed"),
    "a scope": (Reply({"error": "invalid_scope"}, 400), "sign-in", "failed"),
    "refused": (Reply({"error": "invalid_client"}, 401), "callback address", "warning"),
}


@pytest.mark.parametrize("case", PUSHED)
def test_a_pushed_request_shows_it_too(case: str, usual: FakeProvider) -> None:
    reply, subject, expected = PUSHED[case]
    usual.metadata["pushed_authorization_request_endpoint"] = f"{usual.issuer}par"
    usual.says("/par", lambda: reply)
    assert rows(usual)[subject].status == expected


REVOCATION: dict[str, tuple[Reply, str]] = {
    "right": (Reply(b""), "ok"),
    "it tells made-up tokens": (Reply({"error": "unsupported_token_type"}, 400), "ok"),
    "another way to authenticate": (Reply({"error": "invalid_client"}, 401), "failed"),
    "not there": (Reply(b"", 404), "failed"),
    "down": (Reply(b"", 503), "failed"),
}


@pytest.mark.parametrize("case", REVOCATION)
def test_a_made_up_refresh_token_shows_whether_a_logout_revokes(
    case: str, usual: FakeProvider
) -> None:
    reply, expected = REVOCATION[case]
    usual.says("/oauth/revoke", lambda: reply)
    assert rows(usual)["revocation"].status == expected


def test_without_a_revocation_endpoint_a_logout_revokes_nothing(usual: FakeProvider) -> None:
    del usual.metadata["revocation_endpoint"]
    assert rows(usual)["revocation"].status == "warning"


def test_an_error_page_without_prompt_is_of_the_api(usual: FakeProvider) -> None:
    """The same request with `prompt=none` was not refused."""
    replies = [Reply(b"", 302, {"Location": LOGIN_REQUIRED}), Reply(b"<p>", 403)]
    usual.says("/authorize", lambda: replies.pop(0))
    assert rows(usual, AUTH0_AUDIENCE="https://no")["audience"].status == "failed"


def test_a_control_character_of_another_server_stays_out_of_the_log(
    usual: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    bad = {"Location": f"{CALLBACK}?error=a%0Ab"}
    usual.says("/authorize", lambda: Reply(b"", 302, bad))
    start_log.look(usual.config()).join(10)
    [record] = [r for r in caplog.records if "refuses the request" in r.getMessage()]
    assert "a?b" in record.getMessage()


@pytest.mark.parametrize(("ahead", "side"), [(3600, " s ahead of"), (-3600, " s behind"), (5, "")])
def test_a_clock_that_is_off_is_told(
    ahead: int, side: str, usual: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(time=lambda: time.time() + ahead)
    monkeypatch.setattr(discovery, "time", clock)
    row = rows(usual)["clock"]
    assert (row.status, "BFF_CLOCK_SKEW_SECONDS" in row.variables) == (
        ("failed", True) if side else ("ok", False)
    )
    assert side in row.meaning, row


def test_the_log_of_a_server_is_silent_about_what_is_asked_here(
    usual: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    usual.token({"error": "invalid_grant", "error_description": "Invalid code"}, 403)
    config = usual.config(AUTH0_AUDIENCE="https://api", BFF_API_URL=usual.issuer.rstrip("/") + "/x")
    assert {row.status for row in questions.at_start(config)} == {"ok"}
    assert not [record for record in caplog.records if record.name.startswith("bff")]


# ------------------------------------------------------------------ servers


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_an_upstream_gets_a_handshake_and_no_byte_more(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[bytes] = []

    def listen(server: socket.socket) -> None:
        connection, _ = server.accept()
        with certificate.server_context().wrap_socket(connection, server_side=True) as secure:
            received.append(secure.recv(1))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=listen, args=(server,))
        thread.start()
        port = server.getsockname()[1]
        row = connecting.look("api", ("https", "localhost", port), (str(certificate.ca_file),), "X")
        thread.join(10)
    # The test's certificate is short-lived.
    assert row.meaning.startswith("its certificate expires in ")
    assert (row.status, received) == ("warning", [b""])
    monkeypatch.setattr(connecting, "EXPIRES_SOON_DAYS", 0)
    assert connecting._of_certificate("api", 0.5, "TLSv1.3").status == "ok"


def test_a_certificate_of_an_unknown_ca_is_told_from_other_faults(
    certificate: Certificate, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import certifi

    with Front(silent, certificate.server_context()) as front:
        row = connecting.look("api", ("https", "localhost", front.port), (certifi.where(),), "X")
    assert (row.status, row.variables) == ("failed", ("BFF_CA_FILE",))
    monkeypatch.setattr(connecting, "TIMEOUT_SECONDS", 0.1)
    row = connecting.look("api", ("https", "localhost", silent), (certifi.where(),), "BFF_API_URL")
    assert (row.status, row.variables) == ("failed", ("BFF_API_URL",))


INFO = b"redis_version:7.2.4\r\nrole:master\r\nmaxmemory:0\r\naof_enabled:1\r\n"
SERVERS: dict[str, tuple[bytes, list[str]]] = {
    "right": (INFO, ["ok", "ok"]),
    "too old": (INFO.replace(b"7.2.4", b"6.0.16"), ["failed"]),
    "no append-only file": (INFO.replace(b"aof_enabled:1", b"aof_enabled:0"), ["ok", "failed"]),
    "evicts": (
        INFO.replace(b"maxmemory:0", b"maxmemory:100\r\nmaxmemory_policy:allkeys-lru"),
        ["ok", "failed"],
    ),
    "a replica": (INFO.replace(b"master", b"slave"), ["ok", "failed", "ok"]),
    "may not be asked": (b"", ["warning"]),
}


@pytest.mark.parametrize("case", SERVERS)
def test_redis_is_judged_by_what_it_says_of_itself(case: str, fake: FakeProvider) -> None:
    info, expected = SERVERS[case]
    found = list(redis_server._of_server(fake.config(), info, "no TLS"))
    assert [row.status for row in found] == expected
    assert all("REDIS_URL" in row.variables for row in found if row.status == "failed")
    assert ServerInfo.of(INFO).version == "7.2.4"
    lenient = fake.config(BFF_REDIS_MAY_LOSE_DATA="true")
    if case in ("evicts", "no append-only file"):
        assert [r.status for r in redis_server._of_server(lenient, info, "")] == ["ok", "warning"]


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        ("redis+cluster://127.0.0.1:1", ("REDIS_URL",)),
        ("redis+sentinel://127.0.0.1:1/mymaster/0", ("REDIS_URL",)),
        ("rediss://:geheim@127.0.0.1:1", ("REDIS_URL", "BFF_CA_FILE")),
    ],
)
def test_every_kind_of_redis_is_named_by_its_variables(
    url: str, variables: tuple[str, ...], fake: FakeProvider
) -> None:
    [row] = redis_server.findings(fake.config(REDIS_URL=url))
    assert (row.status, row.variables) == ("failed", variables)
    assert not re.search("geheim|<", row.meaning + row.advice)


def test_keys_that_cannot_be_had_are_told_from_a_provider_that_is_not_there(
    usual: FakeProvider,
) -> None:
    usual.says("/jwks", lambda: Reply(b"", 404))
    row = rows(usual)["provider"]
    assert row.status == "failed"
    assert row.meaning.startswith(f"the keys of {usual.issuer} ({usual.issuer}jwks): ")


def test_a_proxy_that_hangs_is_named(fake: FakeProvider) -> None:
    config = fake.config(BFF_PROVIDER_PROXY="http://127.0.0.1:1")
    late = ProviderUnavailable("the deadline passed")
    assert discovery._advice(config, late).startswith("Set BFF_PROVIDER_PROXY")
    assert discovery._advice(fake.config(), late).startswith("Set OIDC_ISSUER")


REFUSALS = {
    "NOPERM this user has no permissions to run the 'eval' command": "Allow the user",
    "NOAUTH Authentication required.": "Set user and password",
    "ERR DB index is out of range": "a database that it has",
    "LOADING Redis is loading the dataset in memory": "Wait",
    "DENIED Redis is running in protected mode because protected mode is enabled": "a password",
    "ERR max number of clients reached": "Raise maxclients",
    "MOVED 1 10.0.0.1:6379": "redis+cluster://",
    "ERR unknown command 'SENTINEL'": "a Sentinel",
}


@pytest.mark.parametrize("said", REFUSALS)
def test_what_redis_refuses_is_told_from_one_that_is_not_there(
    said: str, fake: FakeProvider
) -> None:
    def refuse(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    while connection.recv(4096):
                        connection.sendall(f"-{said}\r\n".encode())

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=refuse, args=(server,), daemon=True).start()
        url = f"redis://127.0.0.1:{server.getsockname()[1]}"
        [row] = redis_server.findings(fake.config(REDIS_URL=url))
        server.shutdown(socket.SHUT_RDWR)
    assert (row.status, row.variables[0]) == ("failed", "REDIS_URL")
    assert REFUSALS[said] in row.advice


def test_a_question_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "LIMIT_SECONDS", 0.05)
    release = threading.Event()

    def hang() -> list[Finding]:
        release.wait(10)
        return []

    asked = [("slow", hang), ("fast", lambda: [Finding("fast", "ok", "yes")])]
    assert [row.status for row in questions._answers(asked)] == ["failed", "ok"]
    release.set()
