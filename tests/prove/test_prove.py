"""Is the proof green for the product, and what does it print, refuse and leave behind?"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.prove.command import Interruption, parsed
from tests.demo.test_launch import family, nothing_left
from tests.prove.proof import ALL, LIMIT_SECONDS, ROOT, prove, rows
from tests.support.processes import Process

GREEN = (
    "spa,link,second-at-once,restored-tabs,backchannel-sid,admin-user,log-logout,in-flight,"
    "refresh,provider-503,redis-away"
)
"""The scenarios of a reduced run; `make prove` runs all."""


def test_the_proof_is_green_with_three_replicas() -> None:
    chosen = [] if ALL else ["--only", GREEN]
    status, result = prove("--replicas", "3", *chosen)
    assert rows(result, "broken") == {}
    assert rows(result, "not run") == {}
    assert status == 0
    assert result["held"] is True
    assert len(result["rows"]) > (100 if ALL else 30)
    assert len({row["id"] for row in result["rows"]}) == len(result["rows"])


@pytest.mark.parametrize("name", ["cookie", "access_token"])
def test_a_value_may_begin_with_a_dash(name: str) -> None:
    option = f"--{name.replace('_', '-')}"
    assert getattr(parsed([option, "--6eN7J-VOTh8", "--tries", "3"]), name) == "--6eN7J-VOTh8"


def test_the_default_output_is_a_table() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.prove", "--replicas", "1", "--only", "spa"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert "Signed out by the SPA" in done.stdout
    assert "4 held, 0 broken, 0 not run." in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [["--url", "https://x.example"], ["--cookie", "x"], ["--only", "spa,tea"], ["--replicas", "0"]],
    ids=" ".join,
)
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo.prove", *arguments], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert "error:" in done.stderr


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_counts_though_its_exception_was_dropped(number: signal.Signals) -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(number)

    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        interruption = Interruption()
        interruption.check()
        Finalized()
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_proof_that_is_stopped_leaves_nothing_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    env = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with Process([sys.executable, "-m", "demo.prove"], name="the proof", env=env) as process:
        process.wait_for_output("Signed out by a link", 60)
        started = family(process)
        os.kill(process.pid, number)
        process.process.wait(120)
        assert nothing_left(started, tmp_path)
