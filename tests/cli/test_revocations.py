"""Does `python -m bff revocations` list and retry the outbox, with exit codes for a cron job?"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from bff.cli import revocations
from bff.revocation.steps import intent
from tests.support.commands import run_command, run_program
from tests.support.fake_provider import FakeProvider, Reply
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for


@pytest.fixture
def down(fake: FakeProvider) -> None:
    fake.says("/oauth/revoke", lambda: Reply(b"", 503))


def up(fake: FakeProvider) -> None:
    fake.says("/oauth/revoke", lambda: Reply(b""))


def age(bff: Receiver, seconds: int) -> None:
    """Make every entry that old."""
    for entry in bff.services.stores.outbox.waiting():
        name = bff.services.stores.database.keys.outbox_entry(entry.id)
        bff.services.stores.database.command("HSET", name, "created_at", entry.created_at - seconds)


def as_json(bff: Receiver, cwd: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    ended = run_command(bff, "revocations", "--json", *arguments, cwd=cwd)
    result: dict[str, Any] = json.loads(ended.stdout)
    return ended.returncode, result


def test_nothing_waits(bff: Receiver, tmp_path: Path) -> None:
    ended = run_program(bff, "revocations", "--older-than", "0", cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "Nothing waits.\n"), ended.stderr
    assert as_json(bff, tmp_path) == (0, {"confirmed": 0, "waiting": []})


@pytest.mark.usefixtures("down")
def test_what_waits_is_listed_without_a_token(bff: Receiver, tmp_path: Path) -> None:
    key = bff.start()
    bff.services.sessions.end(key, "logout")
    age(bff, 100)
    code, result = as_json(bff, tmp_path)
    [row] = result["waiting"]
    assert code == 0
    assert set(row) == {"age_seconds", "reason", "attempts", "last_error", "session"}
    assert 100 <= row["age_seconds"] <= 110
    assert row["attempts"] >= 1
    assert (row["reason"], row["last_error"]) == ("logout", "provider_unavailable")
    assert row["session"] == key[:12]
    shown = run_command(bff, "revocations", cwd=tmp_path)
    assert "1 wait, the oldest first" in shown.stdout
    for word in (key[:12], "logout", "provider_unavailable"):
        assert word in shown.stdout
    for text in (json.dumps(result), shown.stdout, shown.stderr):
        assert "refresh-" not in text
        assert "access-" not in text
        assert key not in text


@pytest.mark.usefixtures("down")
def test_a_long_list_is_shown_page_by_page_and_counted(bff: Receiver, tmp_path: Path) -> None:
    """After an end of everyone, the whole list was 13 MB."""
    for background in bff.services.background:
        background.stop()
    count = revocations.SHOWN * 3 + 50
    entries = [intent(f"{n:064}", "admin") for n in range(count)]
    outbox, database = bff.services.stores.outbox, bff.services.stores.database
    outbox.add_all(entries, due_in_seconds=3600)
    ages = random.Random(0).sample(range(1000, 9000), count)
    for entry, seconds in zip(entries, ages, strict=True):
        at = database.now() - seconds
        database.command("HSET", database.keys.outbox_entry(entry.id), "created_at", at)
    ages.sort(reverse=True)
    for arguments, first, shown in [
        ([], 0, revocations.SHOWN),
        (["--limit", "7"], 0, 7),
        (["--limit", "7", "--offset", "5"], 5, 7),
        (["--offset", str(count - 3)], count - 3, 3),
        (["--offset", str(count)], count, 0),
        (["--limit", str(count)], 0, count),
    ]:
        code, result = as_json(bff, tmp_path, *arguments, "--older-than", str(ages[0] - 5))
        assert code == 1, "the oldest counts, shown or not"
        expected = [pytest.approx(seconds, abs=30) for seconds in ages[first : first + shown]]
        assert [row["age_seconds"] for row in result["waiting"]] == expected
        assert result.get("not_shown", 0) == count - shown
    text = run_command(bff, "revocations", cwd=tmp_path).stdout
    assert f"{count} wait, the oldest first, {revocations.SHOWN} of them here:" in text
    assert len(text.splitlines()) == revocations.SHOWN + 2


@pytest.mark.usefixtures("down")
@pytest.mark.parametrize(("limit", "code"), [("3600", 0), ("60", 1), ("0.5", 1)])
def test_an_old_entry_gives_exit_code_1(
    bff: Receiver, tmp_path: Path, limit: str, code: int
) -> None:
    bff.services.sessions.end(bff.start(), "logout")
    bff.services.sessions.end(bff.start(sid="sid-two"), "timed_out")
    age(bff, 100)
    assert as_json(bff, tmp_path, "--older-than", limit)[0] == code


def test_a_retry_tries_what_is_not_due(bff: Receiver, fake: FakeProvider, tmp_path: Path) -> None:
    """The provider refused permanently an hour ago; now our registration is fixed."""
    fake.says("/oauth/revoke", lambda: Reply({"error": "invalid_client"}, 401))
    for number in range(3):
        bff.services.sessions.end(bff.start(sid=f"sid-{number}"), "logout")
    assert {e.last_error for e in bff.services.stores.outbox.waiting()} == {"invalid_client"}
    code, result = as_json(bff, tmp_path, "--retry", "--older-than", "0")
    assert (code, result["confirmed"], len(result["waiting"])) == (1, 0, 3)
    up(fake)
    code, result = as_json(bff, tmp_path, "--retry", "--older-than", "0")
    assert (code, result) == (0, {"confirmed": 3, "waiting": []})
    assert len(bff.revoked()) == 3


@pytest.mark.usefixtures("down")
def test_a_retry_stops_at_an_outage(bff: Receiver, fake: FakeProvider, tmp_path: Path) -> None:
    keys = [bff.start(sid=f"sid-{number}") for number in range(5)]
    for background in bff.services.background:
        background.stop()
    bff.services.sessions.end_these(keys, "logout")
    asked = fake.count("/oauth/revoke")
    code, result = as_json(bff, tmp_path, "--retry")
    assert (code, result["confirmed"], len(result["waiting"])) == (0, 0, 5)
    assert fake.count("/oauth/revoke") == asked + 1


@pytest.mark.usefixtures("down")
def test_the_servers_complete_it_when_the_provider_is_back(
    bff: Receiver, fake: FakeProvider, tmp_path: Path
) -> None:
    bff.services.sessions.end(bff.start(), "logout")
    assert len(as_json(bff, tmp_path)[1]["waiting"]) == 1
    up(fake)
    wait_for(lambda: not bff.services.stores.outbox.waiting(), "confirmed")
    assert as_json(bff, tmp_path)[1]["waiting"] == []


@pytest.mark.usefixtures("down")
def test_the_audit_lines_go_to_stderr(bff: Receiver, tmp_path: Path) -> None:
    bff.services.sessions.end(bff.start(), "logout")
    ended = run_command(bff, "revocations", "--json", "--retry", cwd=tmp_path)
    assert json.loads(ended.stdout)
    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    assert [(a["event"], a["origin"]) for a in lines] == [("revocation_queued", "command")]


def test_an_outage_of_redis_is_reported_with_1(bff: Receiver, tmp_path: Path) -> None:
    ended = run_command(bff, "revocations", cwd=tmp_path, REDIS_URL="redis://127.0.0.1:1/0")
    assert ended.returncode == 1
    assert "store_unavailable" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--older-than", "x"],
        ["--older-than"],
        ["--limit", "-1"],
        ["--offset", "x"],
        ["--what"],
        ["x"],
    ],
)
def test_wrong_arguments(bff: Receiver, tmp_path: Path, arguments: list[str]) -> None:
    assert run_command(bff, "revocations", *arguments, cwd=tmp_path).returncode == 2


def test_wrong_settings(bff: Receiver, tmp_path: Path) -> None:
    ended = run_command(bff, "revocations", cwd=tmp_path, AUTH0_SECRET="short")
    assert ended.returncode == 2
    assert "AUTH0_SECRET" in ended.stderr
