"""What do the servers log: in which form, at which level, and without which secrets?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from bff.core.model import LoginTransaction
from bff.core.sealing import Sealer
from tests.cli.test_serve import environment, run
from tests.support.browser_client import BrowserClient
from tests.support.cluster import CLIENT_SECRET, EMAIL, PASSWORD, Cluster
from tests.support.leaks import leaks, tokens_of
from tests.support.processes import Process, free_port
from tests.support.provider_form import sign_in_at_provider
from tests.support.servers import start_server
from tests.support.waiting import wait_for

JSON = {"BFF_LOG_FORMAT": "json", "BFF_LOG_LEVEL": "debug", "BFF_RESPONSE_LOG": "true"}
PATHS = {
    "api": "/api/items?key=in-the-query", "nothing": "/api/nothing", "own": "/auth/profile",
    "page": "/", "error": "/auth/nothing", "health": "/healthz", "ready": "/readyz",
}  # fmt: skip


@dataclass
class Flow:
    """A sign-in, calls, a refresh and a logout at one server, and what must not be in its log."""

    cluster: Cluster
    process: Process
    secrets: set[str] = field(default_factory=set)
    request_ids: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[dict[str, Any]]:
        """All lines; each must be a JSON object."""
        return [json.loads(line) for line in self.process.output.splitlines()]

    def responses(self, route: str | None) -> list[dict[str, Any]]:
        """The lines of the response log for *route*."""
        found = [line for line in self.lines() if line.get("logger") == "bff.responses"]
        return [line for line in found if line["route"] == route]


def goes_through(flow: Flow, browser: BrowserClient, url: str) -> None:
    """The user signs in, calls the API, has a token refreshed, opens a stream, and signs out."""
    secrets, ids = flow.secrets, flow.request_ids
    secrets |= {parse_qs(urlsplit(url).query)[name][0] for name in ("state", "nonce")}
    for cookie in browser.here.cookies:
        if "login-" in cookie.name and cookie.value:
            context = f"login transaction {cookie.name}"
            text = Sealer([flow.cluster.secret]).open_text(cookie.value, context)
            transaction = msgspec.json.decode(text, type=LoginTransaction)
            secrets |= {cookie.value, transaction.code_verifier}
    location = sign_in_at_provider(browser.at_provider, url, EMAIL, PASSWORD)
    secrets.add(parse_qs(urlsplit(location).query)["code"][0])
    assert browser.come_back(location).status_code == 303
    secrets.add(browser.cookie or "no cookie")
    for name, path in PATHS.items():
        ids[name] = browser.fetch("GET", path).headers["X-Request-ID"]
    with browser.fetch("GET", "/api/events", stream=True) as stream:
        ids["stream"] = stream.headers["X-Request-ID"]
        next(stream.iter_content(1))
    before = len(flow.cluster.issued("access_token"))
    wait_for(
        lambda: browser.api("/items").ok and len(flow.cluster.issued("access_token")) > before,
        "a refresh",
    )
    assert browser.log_out().ok
    issued = flow.cluster.control("GET", "tokens")
    secrets |= tokens_of(issued) | {token["value"] for token in issued}
    secrets |= {token["sid"] for token in issued} | {CLIENT_SECRET, flow.cluster.secret}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(env=JSON, provider={"access_token_seconds": 4}) as started:
        yield started


@pytest.fixture(scope="module")
def served(cluster: Cluster) -> Flow:
    """Of `bff serve`, at the level `debug`."""
    flow, browser = Flow(cluster, cluster.replicas[0]), cluster.browser()
    goes_through(flow, browser, browser.authorize_url())
    return flow


@pytest.fixture(scope="module")
def embedded(cluster: Cluster) -> Iterator[Flow]:
    """Of gunicorn with an application that has configured the root logger, at DEBUG."""
    port = free_port()
    env = cluster.environment() | {"BFF_LOG_FORMAT": "text"}
    app = "tests.support.logs_everything:app"
    with start_server("gunicorn", app, env=env, port=port) as process:
        flow = Flow(cluster, process)
        browser = BrowserClient([f"http://localhost:{port}"], EMAIL, PASSWORD)
        goes_through(flow, browser, browser.authorize_url())
        browser.close()
        yield flow


# ------------------------------------------------------------------ what no line has


def test_no_line_has_a_secret_at_debug(served: Flow) -> None:
    assert len(served.secrets) > 15
    assert leaks(["sign_in_succeeded"], [("serve", served.process.output)])
    assert leaks(served.secrets, [("serve", served.process.output)]) == []


def test_libraries_log_no_secret_where_an_application_logs_everything(embedded: Flow) -> None:
    output = embedded.process.output
    assert "DEBUG:urllib3" in output, "the root logger is at DEBUG"
    assert leaks(embedded.secrets, [("gunicorn", output)]) == []


def test_the_root_logger_of_an_application_stays_its_own(embedded: Flow) -> None:
    lines = [line for line in embedded.process.output.splitlines() if "sign_in_succeeded" in line]
    assert len(lines) == 1, "once, not by a handler of ours, too"
    assert lines[0].startswith("INFO:bff.audit:{")


# ------------------------------------------------------------------ the form


def test_each_line_is_json_and_the_audit_log_is_told_apart(served: Flow) -> None:
    lines = served.lines()
    audit = [line for line in lines if "event" in line]
    others = [line for line in lines if "event" not in line]
    assert {"sign_in_succeeded", "session_ended"} <= {line["event"] for line in audit}
    assert all("logger" not in line and "outcome" in line for line in audit)
    assert all({"at", "level", "logger", "message"} <= line.keys() for line in others)
    assert {"_granian", "bff.responses"} <= {line["logger"] for line in others}


def test_the_line_of_an_error_has_the_id_that_the_response_has(served: Flow) -> None:
    [line] = [one for one in served.lines() if one.get("logger") == "bff.web.error_responses"]
    assert line["request_id"] == served.request_ids["error"]
    assert line["message"].startswith("404 not_found")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_wrong_setting_is_an_error_with_its_name(tmp_path: Path, form: str) -> None:
    wrong = {"BFF_UPSTREAM_TIMEOUT_SECONDS": "soon", "AUTH0_SECRET": "short", "BFF_LOG_LEVLE": "x"}
    ended = run(env=environment() | wrong | {"BFF_LOG_FORMAT": form}, cwd=tmp_path)
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    for name in wrong:
        [line] = [line for line in lines if f" {name}: " in line or f'"{name}: ' in line]
        assert "ERROR" in line
        if form == "json":
            assert json.loads(line)["variables"][0] == name
    if form == "json":
        assert all(json.loads(line)["level"] == "ERROR" for line in lines)


def test_a_fault_that_only_a_worker_finds_is_one_line(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_text("no key")
    more = {"AUTH0_CLIENT_AUTH": "private_key_jwt", "AUTH0_CLIENT_PRIVATE_KEY_FILE": str(key)}
    env = {n: v for n, v in environment().items() if n != "AUTH0_CLIENT_SECRET"}
    ended = run("--port", str(free_port()), env=env | more, cwd=tmp_path)
    assert ended.returncode != 0
    assert "ERROR bff.settings AUTH0_CLIENT_PRIVATE_KEY_FILE: holds no private key" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("configured", [True, False])
def test_under_gunicorn_it_is_the_same(tmp_path: Path, configured: bool) -> None:
    """With two lines of configuration, gunicorn's own lines have the form, too."""
    more = "from bff.cli.logging_config import logging_config\nlogconfig_dict = logging_config()\n"
    (tmp_path / "gunicorn.conf.py").write_text(more if configured else "")
    options = ["-c", str(tmp_path / "gunicorn.conf.py"), "--bind", f"127.0.0.1:{free_port()}"]
    ended = subprocess.run(
        [sys.executable, "-m", "gunicorn", *options, "--no-control-socket", "wsgi:app"],
        capture_output=True,
        text=True,
        env=environment() | JSON | {"AUTH0_SECRET": "short"},
        timeout=60,
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert {line["logger"] for line in lines} == {
        "bff.settings",
        *(["gunicorn.error"] if configured else []),
    }
    [fault] = [line for line in lines if line["message"].startswith("AUTH0_SECRET: ")]
    assert (fault["level"], fault["variables"]) == ("ERROR", ["AUTH0_SECRET"])


def test_at_debug_calls_of_the_provider_and_the_api_have_lines(served: Flow) -> None:
    lines = [line for line in served.lines() if line.get("logger") == "bff.calls"]
    assert {line["level"] for line in lines} == {"DEBUG"}
    texts = {line["message"].partition(" in ")[0]: line for line in lines}
    call = texts["upstream GET /api: 200"]
    assert call["request_id"]
    assert any(one.startswith("provider POST /") and one.endswith(": 200") for one in texts)


# ------------------------------------------------------------------ the response log


def test_each_response_has_a_line_with_its_id_and_nothing_of_its_address(served: Flow) -> None:
    ids = served.request_ids
    [call] = [line for line in served.responses("/api") if line["request_id"] == ids["api"]]
    assert (call["method"], call["status"], call["complete"]) == ("GET", 200, True)
    assert call["milliseconds"] >= call["upstream_milliseconds"] > 0
    assert call["bytes"] > 10
    assert "in-the-query" not in served.process.output
    for name, route, status in (
        ("nothing", "/api", 404),
        ("own", "/auth/profile", 200),
        ("page", "/", 200),
        ("error", None, 404),
    ):
        [line] = [one for one in served.responses(route) if one["request_id"] == ids[name]]
        assert (line["status"], line["upstream_milliseconds"] is None) == (status, route != "/api")
    health = served.responses("/healthz") + served.responses("/readyz")
    assert not [line for line in health if line["status"] == 200], "they are noise"


def test_the_line_of_a_stream_comes_when_it_ends(served: Flow) -> None:
    def lines() -> list[dict[str, Any]]:
        stream = served.request_ids["stream"]
        return [one for one in served.responses("/api") if one["request_id"] == stream]

    wait_for(lambda: len(lines()) == 1, "the end of the stream")
    assert lines()[0]["complete"] is False, "the browser has left"
