"""Is a stream of security events set up, tried and deleted by `python -m bff signals`?"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bff.provider.security_event import ENDING
from tests.support.commands import run_command, run_program
from tests.support.fake_provider import Reply
from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver
from tests.support.transmitter import POLL, TOKEN, US, Transmitter

Run = subprocess.CompletedProcess[str]


def run(bff: Receiver, transmitter: Transmitter, cwd: Path, *arguments: str, **env: str) -> Run:
    settings = {"BFF_SSF_ISSUER": transmitter.issuer, "BFF_SSF_TOKEN": TOKEN} | env
    return run_command(bff, "signals", *arguments, cwd=cwd, **settings)


def audited(ended: Run) -> list[tuple[str, str]]:
    lines = [json.loads(one) for one in ended.stderr.splitlines() if one.startswith("{")]
    return [(one["outcome"], one["reason"]) for one in lines if one["event"] == "admin_called"]


def test_a_stream_is_created_verified_and_deleted(
    receiver_for: MakeReceiver, transmitter: Transmitter, tmp_path: Path
) -> None:
    bff = receiver_for(**transmitter.settings, BFF_SSF_POLL_SECONDS="1")
    created = run(bff, transmitter, tmp_path, "create", "--delivery", "poll")
    assert created.returncode == 0, created.stderr
    assert f"Set BFF_SSF_POLL_URL={transmitter.poll_url}\n" in created.stdout
    assert "BFF_SSF_AUDIENCE" not in created.stdout
    assert audited(created) == [("ok", "signals create: poll")]
    listed = json.loads(run(bff, transmitter, tmp_path, "list", "--json").stdout)["streams"]
    assert [(one["stream_id"], one["method"]) for one in listed] == [("stream-1", POLL)]
    assert listed[0]["events_delivered"] == list(ENDING)
    verified = run(bff, transmitter, tmp_path, "verify")
    assert (verified.returncode, verified.stdout) == (0, "It has arrived.\n")
    assert audited(verified) == [("ok", "signals verify: arrived")]
    deleted = run(bff, transmitter, tmp_path, "delete", "--json")
    assert json.loads(deleted.stdout) == {"deleted": "stream-1"}
    assert transmitter.streams == {}
    assert TOKEN not in created.stdout + created.stderr + verified.stderr + deleted.stderr


def test_a_stream_may_be_pushed(bff: Receiver, transmitter: Transmitter, tmp_path: Path) -> None:
    created = run(bff, transmitter, tmp_path, "create", "--delivery", "push", "--json")
    assert created.returncode == 0, created.stderr
    [stream] = transmitter.streams.values()
    url = f"{US}/webhooks/ssf"
    assert stream["delivery"] == {"method": "urn:ietf:rfc:8935", "endpoint_url": url}
    assert json.loads(created.stdout)["not_delivered"] == []


def test_what_the_transmitter_gives_instead_is_said(
    bff: Receiver, transmitter: Transmitter, tmp_path: Path
) -> None:
    stream = {
        "stream_id": "one\x1b[2J", "iss": transmitter.issuer, "aud": "https://rx.example",
        "events_delivered": list(ENDING[1:]), "delivery": {"endpoint_url": transmitter.poll_url},
    }  # fmt: skip
    transmitter.in_the_way = [Reply(stream, 201)]
    created = run(bff, transmitter, tmp_path, "create", "--delivery", "poll")
    assert created.returncode == 0
    assert f"The transmitter doesn't deliver {ENDING[0]}\n" in created.stdout
    assert "Set BFF_SSF_AUDIENCE=https://rx.example\n" in created.stdout
    assert "\x1b" not in created.stdout
    assert "BFF_SSF_AUDIENCE" not in run_again(bff, transmitter, tmp_path, stream)


def run_again(bff: Receiver, transmitter: Transmitter, cwd: Path, stream: Any) -> str:
    transmitter.in_the_way = [Reply(stream, 201)]
    env = {"BFF_SSF_AUDIENCE": "https://rx.example"}
    return run(bff, transmitter, cwd, "create", "--delivery", "poll", **env).stdout


def test_an_event_that_does_not_arrive_is_told(
    bff: Receiver, transmitter: Transmitter, tmp_path: Path
) -> None:
    """No server polls here."""
    assert run(bff, transmitter, tmp_path, "create", "--delivery", "poll").returncode == 0
    ended = run(bff, transmitter, tmp_path, "verify", "--wait", "0.3", "--json")
    assert ended.returncode == 1
    assert json.loads(ended.stdout) == {"stream_id": "stream-1", "arrived": False}
    assert audited(ended) == [("failed", "signals verify: not arrived")]
    ended = run(bff, transmitter, tmp_path, "verify", "--wait", "0", "--stream", "stream-1")
    assert ended.returncode == 0


def test_the_stream_is_named_where_there_are_several(
    bff: Receiver, transmitter: Transmitter, tmp_path: Path
) -> None:
    none = run(bff, transmitter, tmp_path, "delete")
    assert (none.returncode, "there are none" in none.stderr) == (1, True)
    for delivery in ("push", "poll"):
        assert run(bff, transmitter, tmp_path, "create", "--delivery", delivery).returncode == 0
    several = run(bff, transmitter, tmp_path, "delete")
    assert several.returncode == 1
    assert "several streams: 'stream-1', 'stream-2'" in several.stderr
    assert run(bff, transmitter, tmp_path, "delete", "--stream", "stream-2").returncode == 0
    assert list(transmitter.streams) == ["stream-1"]
    unknown = run(bff, transmitter, tmp_path, "delete", "--stream", "../x?y&z=\u00e9")
    assert (unknown.returncode, audited(unknown)) == (
        1,
        [("failed", "signals delete: transmitter_refused")],
    )
    assert transmitter.asked[-1].query == {"stream_id": ["../x?y&z=\u00e9"]}


STREAM = {"stream_id": "s", "iss": "ISSUER", "delivery": {"method": POLL, "endpoint_url": "URL"}}
BAD: dict[str, tuple[Reply, str]] = {
    "401": (Reply({}, 401), "transmitter_refused"),
    "409": (Reply({}, 409), "python -m bff signals list"),
    "429": (Reply({}, 429), "transmitter_unavailable"),
    "500": (Reply({}, 500), "transmitter_unavailable"),
    "a redirect": (Reply({}, 302, {"Location": "/streams"}), "transmitter_refused"),
    "HTML": (Reply(b"<html>"), "not JSON"),
    "nothing": (Reply(b""), "not JSON"),
    "depth": (Reply(b"[" * 100_000), "not JSON"),
    "a list": (Reply([]), "no stream"),
    "no id": (Reply(STREAM | {"stream_id": ""}), "no stream"),
    "no delivery": (Reply(STREAM | {"delivery": None}), "no stream"),
    "another issuer": (Reply(STREAM | {"iss": "https://evil.example"}), "another issuer"),
    "no address": (Reply(STREAM), "no https endpoint_url"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_answer_is_told_and_exits_with_1(
    bff: Receiver, transmitter: Transmitter, tmp_path: Path, name: str
) -> None:
    reply, says = BAD[name]
    if isinstance(reply.body, dict) and reply.body.get("iss") == "ISSUER":
        reply = Reply(reply.body | {"iss": transmitter.issuer}, reply.status)
    transmitter.in_the_way = [reply]
    ended = run(bff, transmitter, tmp_path, "create", "--delivery", "poll")
    assert ended.returncode == 1, ended.stderr
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    [(outcome, _)] = audited(ended)
    assert outcome == "failed"


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"issuer": "https://evil.example"}, "another issuer"),
        ({"configuration_endpoint": "http://evil.example/"}, "no https configuration_endpoint"),
        ({"configuration_endpoint": None}, "no https configuration_endpoint"),
        ({"delivery_methods_supported": ["urn:ietf:rfc:8935"]}, f"doesn't support {POLL}"),
    ],
)  # fmt: skip
def test_metadata_that_can_t_be_used_gets_no_token(
    bff: Receiver, transmitter: Transmitter, tmp_path: Path, metadata: Any, says: str
) -> None:
    transmitter.metadata |= metadata
    ended = run(bff, transmitter, tmp_path, "create", "--delivery", "poll")
    assert (ended.returncode, says in ended.stderr) == (1, True), ended.stderr
    assert not [one for one in transmitter.asked if "Authorization" in one.headers]


@pytest.mark.parametrize("missing", ["BFF_SSF_ISSUER", "BFF_SSF_TOKEN"])
def test_a_missing_setting_is_named_and_exits_with_2(
    bff: Receiver, transmitter: Transmitter, tmp_path: Path, missing: str
) -> None:
    ended = run(bff, transmitter, tmp_path, "list", **{missing: ""})
    assert (ended.returncode, f"{missing}: is missing" in ended.stderr) == (2, True)
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("create",),
        ("create", "--delivery", "pull"),
        ("verify", "--wait", "nan"),
        ("verify", "--wait", "-1"),
    ],
)
def test_wrong_arguments_exit_with_2(
    bff: Receiver, transmitter: Transmitter, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert run(bff, transmitter, tmp_path, *arguments).returncode == 2


def test_the_program_itself(bff: Receiver, tmp_path: Path) -> None:
    assert run_program(bff, "signals", "list", cwd=tmp_path).returncode == 2
