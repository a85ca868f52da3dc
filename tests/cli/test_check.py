"""Does `python -m bff check` name each wrong setting, and say what to do about it?"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bff.cli.main import main
from demo.provider.server import RunningProvider, start_provider
from demo.provider.settings import ClientSettings, ProviderSettings
from tests.support.processes import Process, free_port
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
SECRET = secrets.token_urlsafe(32)
WRONG_SECRET = secrets.token_urlsafe(32)
PASSWORD = "s3cret-of-redis"
AUDIENCE = "https://api.example.com"


class Place(msgspec.Struct, frozen=True):
    """A provider, an upstream that listens, and settings that fit both."""

    provider: RunningProvider
    port: int
    environ: dict[str, str]


class Row(msgspec.Struct):
    """One finding, as printed."""

    subject: str
    status: str
    meaning: str
    advice: str
    variables: list[str]


@pytest.fixture(scope="module")
def place(redis_server: RedisServer) -> Iterator[Place]:
    port = free_port()
    base_url = f"http://localhost:{port}"
    client = ClientSettings("right-client", SECRET, (f"{base_url}/auth/callback",))
    upstream = socket.create_server(("127.0.0.1", 0))
    settings = ProviderSettings(port=0, clients=(client,), audiences=(AUDIENCE,))
    with upstream, start_provider(settings) as provider:
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "OIDC_ISSUER": provider.issuer,
            "AUTH0_CLIENT_ID": client.client_id,
            "AUTH0_CLIENT_SECRET": SECRET,
            "AUTH0_SECRET": secrets.token_hex(32),
            "AUTH0_AUDIENCE": AUDIENCE,
            "APP_BASE_URL": base_url,
            "BFF_API_URL": f"http://127.0.0.1:{upstream.getsockname()[1]}",
            "REDIS_URL": redis_server.url,
            "BFF_REDIS_PREFIX": f"test-{secrets.token_hex(6)}",
        }
        yield Place(provider, port, environ)


class Checking:
    """Runs the command in this process, with settings that may be wrong."""

    def __init__(self, place: Place, patch: pytest.MonkeyPatch, cap: pytest.CaptureFixture[str]):
        self._place, self._patch, self._cap = place, patch, cap

    def __call__(self, *options: str, **changed: str | None) -> tuple[int, str]:
        environ = self._place.environ | changed
        for name in os.environ:
            if name.startswith(("BFF_", "AUTH0_", "OIDC_")):
                self._patch.delenv(name)
        for name, value in environ.items():
            if value is not None:
                self._patch.setenv(name, value)
        code = main(["check", *options])
        printed = self._cap.readouterr()
        for secret in (SECRET, WRONG_SECRET, PASSWORD, self._place.environ["AUTH0_SECRET"]):
            assert secret not in printed.out + printed.err
        assert "Traceback" not in printed.err
        return code, printed.out

    def rows(self, *options: str, **changed: str | None) -> tuple[int, list[Row]]:
        code, printed = self("--json", *options, **changed)
        found = json.loads(printed)
        rows = msgspec.convert(found["findings"], list[Row])
        for status in ("ok", "warning", "failed"):
            assert found[status] == sum(row.status == status for row in rows)
        assert code == (1 if found["failed"] else 0)
        return code, rows


@pytest.fixture
def check(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Checking:
    monkeypatch.chdir(tmp_path)
    return Checking(place, monkeypatch, capsys)


def bad(rows: list[Row]) -> list[Row]:
    """All that is not well, without the warning that every test has: it is not https."""
    return [r for r in rows if r.status != "ok" and r.subject != "APP_BASE_URL"]


# ------------------------------------------------------------------ what is right


def test_a_right_configuration_is_right_and_nothing_is_written(
    check: Checking, place: Place, redis_server: RedisServer
) -> None:
    with redis_server.client() as client:
        keys = set(client.scan_iter(f"{place.environ['BFF_REDIS_PREFIX']}*"))
        issued = place.provider.state.ledger.listing()
        code, rows = check.rows()
        assert (code, bad(rows)) == (0, [])
        assert [row.subject for row in rows if row.status == "ok"] == [
            "settings", "provider", "clock", "client secret", "revocation", "callback address",
            "audience", "refresh token", "Redis", "Redis's memory", "Redis's latency",
            f"upstream {place.environ['BFF_API_URL']}",
        ]  # fmt: skip
        assert set(client.scan_iter(f"{place.environ['BFF_REDIS_PREFIX']}*")) == keys
        assert place.provider.state.ledger.listing() == issued


def test_a_person_gets_a_table(check: Checking) -> None:
    code, printed = check(AUTH0_CLIENT_SECRET=WRONG_SECRET)
    assert code == 1
    assert "ok       provider: http://127.0.0.1:" in printed
    assert (
        "FAILED   client secret: the provider refuses this client: invalid_client (HTTP 401).\n"
        "         -> Set AUTH0_CLIENT_SECRET to "
    ) in printed
    assert printed.endswith("10 ok, 1 warning, 1 failed.\n")
    assert max(map(len, printed.splitlines())) <= 100


# ------------------------------------------------------------------ what is wrong

NO_FOLDER = "/nowhere"
WRONG: dict[str, tuple[dict[str, str | None], str, str, str]] = {
    # Each with the subject and status of its row, and a part of its advice.
    "secret": ({"AUTH0_CLIENT_SECRET": WRONG_SECRET}, "client secret", "failed", "provider has"),
    "authentication": (
        {"AUTH0_CLIENT_AUTH": "client_secret_basic"},
        "client secret", "failed", "(client_secret_basic) to how it is registered",
    ),
    "issuer without its slash": (
        {"OIDC_ISSUER": "{issuer}"}, "provider", "failed", "a slash at its end counts",
    ),
    "issuer that isn't there": (
        {"OIDC_ISSUER": "http://127.0.0.1:1/"}, "provider", "failed", "able to reach it",
    ),
    "proxy": (
        {"BFF_PROVIDER_PROXY": "http://127.0.0.1:1"}, "provider", "failed", "or unset it",
    ),
    "callback": (
        {"APP_BASE_URL": "http://localhost:1"}, "callback address", "failed", "Register",
    ),
    "audience missing": ({"AUTH0_AUDIENCE": None}, "audience", "warning", "Set AUTH0_AUDIENCE"),
    "audience unknown": ({"AUTH0_AUDIENCE": "https://no"}, "audience", "failed", "provider knows"),
    "scope": ({"AUTH0_SCOPE": "openid"}, "refresh token", "warning", "Add offline_access"),
    "pushed requests": ({"BFF_PAR": "required"}, "pushed requests", "failed", "auto"),
    "Redis": ({"REDIS_URL": "redis://127.0.0.1:1"}, "Redis", "failed", "host and port"),
    "Redis's password": (
        {"REDIS_URL": f"redis://someone:{PASSWORD}@{{redis}}"}, "Redis", "failed", "password",
    ),
    "upstream": (
        {"BFF_API_URL": "http://127.0.0.1:1"}, "upstream http://127.0.0.1:1", "failed", "Start it",
    ),
    "key too short": ({"AUTH0_SECRET": "short"}, "AUTH0_SECRET", "failed", "settings.md"),
    "name misspelt": ({"BFF_SCOPES": "openid"}, "BFF_SCOPES", "failed", "Rename BFF_SCOPES"),
    "folder": ({"BFF_SPA_DIR": NO_FOLDER}, "BFF_SPA_DIR", "failed", "Correct BFF_SPA_DIR"),
    "routes": ({"BFF_ROUTES_FILE": NO_FOLDER}, "BFF_ROUTES_FILE", "failed", "settings.md"),
    "CA": ({"BFF_CA_FILE": NO_FOLDER}, "BFF_CA_FILE", "failed", "Correct BFF_CA_FILE"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_setting_is_named_in_one_row_with_what_to_do(
    case: str, check: Checking, place: Place
) -> None:
    changed, subject, status, advice = WRONG[case]
    redis = place.environ["REDIS_URL"].removeprefix("redis://")
    issuer = place.provider.issuer.rstrip("/")
    [variable] = changed
    value = changed[variable]
    filled = value and value.format(redis=redis, issuer=issuer)
    _, rows = check.rows(**{variable: filled})
    [row, *rest] = bad(rows)
    assert (row.subject, row.status) == (subject, status)
    assert variable in row.variables
    assert advice in row.advice
    assert [one.subject for one in rest] in ([], ["everything else"])


def test_all_wrong_settings_are_named_at_once(check: Checking) -> None:
    """And a file that can't be read is one of them."""
    Path(".env").write_bytes(b"BFF_REDIS_PREFIX=\xff")
    code, rows = check.rows(
        AUTH0_SECRET="short", BFF_SPA_DIR=NO_FOLDER, OIDC_ISSUER=None, BFF_USERINFOS="true"
    )
    assert code == 1
    assert {r.subject for r in rows if r.status == "failed"} == {
        ".env", "AUTH0_SECRET", "BFF_SPA_DIR", "OIDC_ISSUER", "BFF_USERINFOS",
    }  # fmt: skip
    assert "Set OIDC_ISSUER; docs/settings.md says to what" in {r.advice for r in rows}


def test_what_fails_by_a_fault_of_the_check_hides_no_other_row(
    check: Checking, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("bff.cli.check.redis_server.connect", broken)
    _, rows = check.rows()
    [row] = bad(rows)
    assert (row.subject, row.meaning) == ("Redis", "the check itself failed: KeyError")
    assert len(rows) == 11


# ------------------------------------------------------------------ at the start, and from outside


def test_the_log_names_a_wrong_secret_at_the_start_and_the_provider_is_asked_once(
    place: Place, check: Checking, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "bff", "serve", "--port", str(place.port), "--workers", "2"]
    environ = place.environ | {"AUTH0_CLIENT_SECRET": WRONG_SECRET}
    environ.pop("AUTH0_AUDIENCE")
    place.provider.state.counts.clear()
    with Process(command, name="the BFF", env=environ, cwd=tmp_path) as server:
        for number in (1, 2):
            server.wait_for_output(f"Started worker-{number}")
        wait_for(lambda: "bff.check audience" in server.output, "the last line of the check")
        _, rows = check.rows("--from-outside")
        assert (rows[-1].subject, rows[-1].status) == ("from outside", "ok"), rows[-1]
    # After its end nothing more can follow, of the other worker neither.
    lines = [line for line in server.output.splitlines() if " bff.check " in line]
    assert [line.split()[2:4] for line in lines] == [
        ["ERROR", "bff.check"], ["WARNING", "bff.check"],
    ]  # fmt: skip
    assert "Set AUTH0_CLIENT_SECRET to" in lines[0]
    assert "Set AUTH0_AUDIENCE to" in lines[1]
    counts = place.provider.state.counts.listing()
    assert counts["token.authorization_code.invalid_client"] == 1


def test_another_program_at_the_base_url_is_told_from_a_bff(place: Place, check: Checking) -> None:
    _, rows = check.rows("--from-outside", APP_BASE_URL=place.provider.issuer.rstrip("/"))
    [row] = [r for r in rows if r.subject == "from outside" and r.status == "failed"]
    assert "leads to something else: /auth/profile is answered with HTTP 404" in row.meaning
    assert "APP_BASE_URL" in row.variables
    _, rows = check.rows("--from-outside", APP_BASE_URL="http://localhost:1")
    assert (rows[-1].subject, rows[-1].variables) == ("from outside", ["APP_BASE_URL"])


def test_as_a_command_of_its_own_it_says_nothing_else(place: Place, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bff", "check"]
    ended = subprocess.run(
        command, env=place.environ, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
