"""An event is one line of the audit log, with fixed fields, whatever a caller sent."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from flask import Blueprint, Flask

from bff.core import audit

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "audit.md").read_text()
FIELDS = [
    "at", "event", "outcome", "reason", "origin", "user", "caller", "session", "status", "rule",
    "request_id", "trace_id",
]  # fmt: skip

Lines = Callable[[], list[str]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    caplog.set_level(logging.INFO, logger="bff.audit")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "bff.audit"]


@pytest.fixture
def naming() -> Iterator[None]:
    before = audit._name_user
    audit.name_users(lambda issuer, subject: f"{issuer}#{subject}")
    yield
    audit.name_users(before)


def parsed(lines: Lines) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(lines()[-1])
    return line


def rows(title: str) -> list[str]:
    """The first cell of every row of the table below a heading."""
    section = PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_the_page_has_every_event_and_no_other() -> None:
    assert sorted(rows("Events")) == sorted(get_args(audit.Event))


def test_the_page_has_every_field_in_its_order(lines: Lines) -> None:
    audit.record("session_ended", "ok")
    assert list(parsed(lines)) == FIELDS == rows("Fields")


def test_the_page_has_every_reason_for_which_the_code_ends_a_session() -> None:
    """Those that are literals in the code."""
    code = "\n".join(path.read_text() for path in sorted((ROOT / "bff").rglob("*.py")))
    ends = r"\b(?:end|end_these|end_group)\(\s*[\w.\[\]()]+,\s*\"(\w+)\""
    given = set(re.findall(ends, code)) | set(re.findall(r"reason=\"(signed_in\w+)\"", code))
    assert {"logout", "timed_out", "signed_in_again", "ended_by_user"} <= given
    assert given <= set(rows("Reasons of `session_ended`"))


@pytest.mark.parametrize("outcome", get_args(audit.Outcome))
def test_a_failure_is_a_warning(caplog: pytest.LogCaptureFixture, outcome: Any) -> None:
    caplog.set_level(logging.INFO, logger="bff.audit")
    audit.record("sign_in_failed", outcome)
    assert caplog.records[-1].levelno == (logging.INFO if outcome == "ok" else logging.WARNING)


def test_the_instant_is_utc(lines: Lines) -> None:
    audit.record("session_ended", "ok")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", parsed(lines)["at"])


HOSTILE = [
    'x\n{"at": "2026-01-01", "event": "session_ended"}',
    "\r\nforged",
    "\x1b[2J\x00\x7f",
    "\u2028line\u2029separators\x85",
    "\u202eright to left",
    '", "outcome": "ok',
    "x" * 10_000,
    "\ud800 half a character",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_breaks_a_line(lines: Lines, naming: None, text: str) -> None:
    audit.record("admin_called", "refused", reason=text, user=("issuer", text))
    [line] = lines()
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 5000
    assert list(parsed(lines)) == FIELDS
    assert parsed(lines)["outcome"] == "refused"


def test_a_session_is_named_by_a_prefix_of_its_hash(lines: Lines) -> None:
    audit.record("session_ended", "ok", session_key="0123456789abcdef" * 4)
    assert parsed(lines)["session"] == "0123456789ab"


def test_the_user_is_named_as_configured(lines: Lines, naming: None) -> None:
    audit.record("session_ended", "ok", user=("https://issuer/", "auth0|dana"))
    assert parsed(lines)["user"] == "https://issuer/#auth0|dana"
    audit.record("session_ended", "ok")
    assert parsed(lines)["user"] is None


def test_the_origin_is_the_blueprint_or_the_work_outside_of_requests(lines: Lines) -> None:
    app, blueprint = Flask(__name__), Blueprint("devices", __name__)

    @blueprint.get("/x")
    def view() -> str:
        audit.record("session_ended", "ok")
        audit.record("session_ended", "ok")
        return ""

    app.register_blueprint(blueprint)
    app.test_client().get("/x")
    first, second = (json.loads(line) for line in lines())
    assert first["origin"] == "devices"
    assert first["request_id"] == second["request_id"] is not None
    audit.record("session_ended", "ok")
    assert (parsed(lines)["origin"], parsed(lines)["request_id"]) == ("background", None)


def test_no_count_is_lost_among_threads(lines: Lines) -> None:
    before = audit.counts["stream_ended", "ok"]

    def work() -> None:
        for _ in range(200):
            audit.record("stream_ended", "ok")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert audit.counts["stream_ended", "ok"] == before + 1600
