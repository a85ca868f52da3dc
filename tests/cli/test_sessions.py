"""Which sessions can the person on call list and end, by `python -m bff sessions`?"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bff.core.errors import SignInTooOld
from bff.sessions.lifecycle import session_key
from tests.support.commands import run_command, run_program
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for

DANA = ("--user", "auth0|demo")


def run(bff: Receiver, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(bff, "sessions", *arguments, cwd=cwd)


def as_json(bff: Receiver, cwd: Path, *arguments: str) -> dict[str, Any]:
    ended = run(bff, cwd, *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


@pytest.fixture
def people(bff: Receiver) -> tuple[list[str], str]:
    """Two sessions of Dana and one of Eve."""
    dana = [bff.start(), bff.start(sid="sid-two")]
    return dana, bff.start(subject="auth0|eve", sid="sid-eve", claims={"email": "eve@example.com"})


@pytest.mark.parametrize("whose", [DANA, ("--email", "Dana@example.com")])
def test_a_users_sessions_are_listed(
    bff: Receiver, people: tuple[list[str], str], tmp_path: Path, whose: tuple[str, str]
) -> None:
    listed = as_json(bff, tmp_path, "list", *whose)["sessions"]
    assert [s["sub"] for s in listed] == ["auth0|demo"] * 2
    shown = run(bff, tmp_path, "list", *whose)
    assert shown.returncode == 0
    assert len(shown.stdout.splitlines()) == 2
    for session in listed:
        assert session["id"] in shown.stdout
    for key in people[0]:
        assert key[:12] not in shown.stdout


def test_an_unknown_user_has_no_sessions(bff: Receiver, tmp_path: Path) -> None:
    assert run(bff, tmp_path, "list", "--user", "nobody").stdout == "No sessions.\n"
    assert as_json(bff, tmp_path, "end", "--user", "nobody") == {"ended": 0}


@pytest.mark.parametrize("whose", [DANA, ("--email", "Dana@example.com"), ("--everyone",)])
def test_an_end_is_lifted_and_that_is_audited(
    bff: Receiver, people: tuple[list[str], str], tmp_path: Path, whose: tuple[str, ...]
) -> None:
    assert as_json(bff, tmp_path, "end", *whose)["ended"] >= 2
    with pytest.raises(SignInTooOld):
        bff.start(auth_time=None)
    lifted = run(bff, tmp_path, "allow", *whose, "--reason", "no auth_time", "--json")
    assert json.loads(lifted.stdout) == {"lifted": 1, "still_refused_before": None}
    [line] = [json.loads(one) for one in lifted.stderr.splitlines() if one.startswith("{")]
    assert (line["event"], line["outcome"]) == ("admin_called", "ok")
    kind = "everyone" if whose == ("--everyone",) else whose[0].removeprefix("--")
    assert line["reason"] == f'allow {kind}: lifted 1 "no auth_time"'
    key = bff.start(auth_time=None)
    assert bff.has_session(key)
    assert not any(bff.has_session(one) for one in people[0]), "an ended session came back"
    assert run(bff, tmp_path, "allow", *whose).stdout == "Nothing to lift.\n"


@pytest.mark.parametrize("whose", [DANA, ("--everyone",)])
@pytest.mark.parametrize(
    ("env", "carried", "warned"),
    [
        ({}, None, True),
        ({}, 1, False),
        ({"BFF_ACCEPT_IAT_FOR_AUTH_TIME": "true"}, None, False),
    ],
    ids=["never seen", "seen", "iat is accepted"],
)
def test_an_end_that_may_lock_users_out_is_warned_of(
    bff: Receiver,
    tmp_path: Path,
    whose: tuple[str, ...],
    env: dict[str, str],
    carried: int | None,
    warned: bool,
) -> None:
    bff.start(auth_time=carried)
    ended = run_command(bff, "sessions", "end", *whose, cwd=tmp_path, **env)
    assert ended.returncode == 0
    assert ("has carried auth_time" in ended.stderr) == warned


@pytest.mark.parametrize("whose", [DANA, ("--email", "Dana@example.com")])
def test_all_of_a_users_are_ended(
    bff: Receiver, people: tuple[list[str], str], tmp_path: Path, whose: tuple[str, str]
) -> None:
    dana, eve = people
    assert as_json(bff, tmp_path, "end", *whose, "--reason", "laptop stolen") == {"ended": 2}
    assert [bff.has_session(key) for key in (*dana, eve)] == [False, False, True]
    wait_for(lambda: len(bff.revoked()) == 2, "the server revokes their refresh tokens")


def test_one_is_ended(bff: Receiver, people: tuple[list[str], str], tmp_path: Path) -> None:
    listed = as_json(bff, tmp_path, "list", *DANA)["sessions"]
    response = as_json(bff, tmp_path, "end", *DANA, "--id", listed[0]["id"])
    assert response == {"ended": 1}
    assert sum(bff.has_session(key) for key in people[0]) == 1
    again = run(bff, tmp_path, "end", *DANA, "--id", listed[0]["id"])
    assert again.returncode == 1
    assert "session_unknown" in again.stderr


def test_everyones_are_ended(bff: Receiver, people: tuple[list[str], str], tmp_path: Path) -> None:
    ended = run_program(bff, "sessions", "end", "--everyone", cwd=tmp_path)
    assert (ended.returncode, ended.stdout.split()[0]) == (0, "3")
    assert not any(bff.has_session(key) for key in (*people[0], people[1]))


def test_every_call_is_audited(
    bff: Receiver, people: tuple[list[str], str], tmp_path: Path
) -> None:
    def audited(*arguments: str) -> list[dict[str, Any]]:
        ended = run(bff, tmp_path, *arguments)
        return [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]

    [listed] = audited("list", *DANA)
    assert (listed["event"], listed["reason"]) == ("admin_called", "list user: found 2")
    *ended, called = audited("end", *DANA, "--reason", 'stolen\n{"event": "forged"}')
    assert [e["event"] for e in ended] == ["session_ended"] * 2
    assert called["reason"] == 'end user: ended 2 "stolen\n{"event": "forged"}"'
    for line in (listed, called):
        assert (line["origin"], line["caller"], line["request_id"]) == ("command", "command", None)
    assert called["user"] == ended[0]["user"] is not None


def test_a_hostile_browser_cannot_steer_the_terminal(bff: Receiver, tmp_path: Path) -> None:
    subject, browser = "x\x1b[2Jy\r\nz\u202e\x7f", "\x1b]0;owned\x07"
    key = session_key(bff.services.sessions.start(bff.sign_in(subject=subject), browser=browser))
    assert key
    shown = run(bff, tmp_path, "list", "--user", subject)
    assert shown.returncode == 0, shown.stderr
    [line] = shown.stdout.splitlines()
    assert line.isprintable()
    assert line.isascii()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["what"],
        ["list"],
        ["end"],
        ["list", "--everyone"],
        ["list", *DANA, "--email", "dana@example.com"],
        ["end", *DANA, "--everyone"],
        ["end", "--user", ""],
        ["end", "--user", "\udcff"],
        ["end", *DANA, "--reason", "x" * 201],
        ["list", *DANA, "--reason", "x"],
        ["allow"],
        ["allow", *DANA, "--everyone"],
        ["allow", *DANA, "--id", "x"],
    ],
    ids=str,
)
def test_wrong_arguments_end_nothing(
    bff: Receiver, people: tuple[list[str], str], tmp_path: Path, arguments: list[str]
) -> None:
    assert run(bff, tmp_path, *arguments).returncode == 2
    assert all(bff.has_session(key) for key in (*people[0], people[1]))


def test_an_outage_of_redis_is_reported(bff: Receiver, tmp_path: Path) -> None:
    ended = run_command(
        bff, "sessions", "end", *DANA, cwd=tmp_path, REDIS_URL="redis://127.0.0.1:1/0"
    )
    assert ended.returncode == 1
    assert "store_unavailable" in ended.stderr
    assert ended.stdout == ""
    assert '"outcome": "failed"' in ended.stderr
