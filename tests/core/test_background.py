"""Background jobs run on after errors and in forked children, until they are stopped."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from bff.core import background
from bff.core.background import Background
from bff.core.errors import StoreUnavailable

LONG_SECONDS = 3600.0
WAIT_SECONDS = 10.0


class Job:
    """Counts its runs, and may fail."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.runs = 0
        self._ran = threading.Condition()

    def __call__(self) -> None:
        with self._ran:
            self.runs += 1
            self._ran.notify_all()
        if self.error is not None:
            raise self.error

    def wait_for(self, runs: int) -> bool:
        with self._ran:
            return self._ran.wait_for(lambda: self.runs >= runs, WAIT_SECONDS)


Start = Callable[..., Background]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts jobs with a short tick, and stops them after the test."""
    monkeypatch.setattr(background, "TICK_SECONDS", 0.01)
    started: list[Background] = []

    def start_it(*jobs: tuple[float, Callable[[], object]]) -> Background:
        started.append(Background(list(jobs)))
        started[-1].start()
        return started[-1]

    yield start_it
    for one in started:
        one.stop()


def test_every_job_runs_at_the_start_and_then_at_its_own_pace(start: Start) -> None:
    rare, often, last = Job(), Job(), Job()
    start((LONG_SECONDS, rare), (0, often), (LONG_SECONDS, last))
    assert often.wait_for(5)
    assert (rare.runs, last.runs) == (1, 1)


def test_a_job_that_was_added_runs_like_one_of_the_constructor() -> None:
    first, added = Job(), Job()
    running = Background([(LONG_SECONDS, first)])
    running.every(LONG_SECONDS, added)
    running.start()
    try:
        assert first.wait_for(1)
        assert added.wait_for(1)
        running.run_soon(added)
        assert added.wait_for(2)
    finally:
        running.stop()
    assert (first.runs, added.runs) == (1, 2)


def test_a_job_can_t_be_added_after_the_start() -> None:
    running = Background()
    running.start()
    try:
        with pytest.raises(RuntimeError):
            running.every(LONG_SECONDS, Job())
    finally:
        running.stop()


@pytest.mark.parametrize(
    ("error", "level"),
    [(RuntimeError("a bug"), logging.ERROR), (StoreUnavailable("away"), logging.WARNING)],
    ids=["unexpected", "expected"],
)
def test_an_error_stops_neither_the_job_nor_the_others(
    start: Start, caplog: pytest.LogCaptureFixture, error: Exception, level: int
) -> None:
    failing, other = Job(error), Job()
    start((0, failing), (0, other))
    assert failing.wait_for(3)
    assert other.wait_for(3)
    levels = {record.levelno for record in caplog.records if record.name == "bff.core.background"}
    assert levels == {level}


def test_stop_waits_for_the_running_job_and_nothing_runs_afterwards(start: Start) -> None:
    begun, go_on, job = threading.Event(), threading.Event(), Job()

    def slow() -> None:
        begun.set()
        assert go_on.wait(WAIT_SECONDS)
        job()

    running = start((0, slow))
    assert begun.wait(WAIT_SECONDS)
    stopping = threading.Thread(target=running.stop)
    stopping.start()
    assert running._stop.wait(WAIT_SECONDS)
    stopping.join(0.2)
    assert stopping.is_alive(), "it did not wait for the job"
    go_on.set()
    stopping.join(WAIT_SECONDS)
    assert (stopping.is_alive(), job.runs) == (False, 1)
    assert running._thread
    assert not running._thread.is_alive()


def test_stop_before_the_start_is_no_error() -> None:
    Background([]).stop()


def test_run_once_runs_every_job_here_also_after_an_error() -> None:
    failing, other = Job(StoreUnavailable("away")), Job()
    Background([(LONG_SECONDS, failing), (LONG_SECONDS, other)]).run_once()
    assert (failing.runs, other.runs) == (1, 1)


def run_program(program: str) -> str:
    """Run *program* in another process, since it forks or exits."""
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=3 * WAIT_SECONDS, check=True
    )
    return done.stdout


def test_it_runs_in_a_forked_child_too() -> None:
    """gunicorn with `--preload` creates the application first and forks its workers then."""
    program = f"""
import os, threading
from bff.core.background import Background

ran = threading.Event()
Background([({LONG_SECONDS}, ran.set)]).start()
assert ran.wait({WAIT_SECONDS})
ran.clear()
child = os.fork()
if child == 0:
    os._exit(0 if ran.wait({WAIT_SECONDS}) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_program(program) == "0\n"


def test_a_fork_waits_for_the_running_job_and_its_locks() -> None:
    """Otherwise a preloaded worker would wait for ever for the lock of the provider's metadata."""
    program = f"""
import os, threading
from bff.core.background import Background

lock, begun = threading.Lock(), threading.Event()

def work():
    with lock:
        begun.set()
        threading.Event().wait(0.3)

Background([({LONG_SECONDS}, work)]).start()
assert begun.wait({WAIT_SECONDS})
child = os.fork()
if child == 0:
    os._exit(0 if lock.acquire(timeout={WAIT_SECONDS / 2}) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_program(program) == "0\n"


def test_a_child_of_a_stopped_process_does_not_start_again() -> None:
    program = f"""
import os
from bff.core.background import Background

background = Background([({LONG_SECONDS}, lambda: None)])
background.start()
background.stop()
child = os.fork()
if child == 0:
    os._exit(1 if background._thread.is_alive() else 0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_program(program) == "0\n"


def test_it_does_not_keep_a_process_from_ending() -> None:
    program = f"""
import threading
from bff.core.background import Background

begun = threading.Event()
Background([(0, lambda: (begun.set(), threading.Event().wait()))]).start()
assert begun.wait({WAIT_SECONDS})
print("the end")
"""
    assert run_program(program) == "the end\n"
