"""A program that is paused does nothing more, however busy the machine is."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.processes import Process
from tests.support.waiting import wait_for

BUSY = """
import os
for _ in range(30):
    if os.fork() == 0:
        while True:
            pass
print('{"ready": true}', flush=True)
os.wait()
"""
COUNTING = """
import threading, time
def count():
    counted = 0
    with open("count", "w") as file:
        while True:
            counted += 1
            file.seek(0)
            print(counted, file=file, flush=True)
threading.Thread(target=count, daemon=True).start()
while True:
    time.sleep(60)
"""


def test_nothing_runs_any_more_when_pause_returns(tmp_path: Path) -> None:
    """Not the thread that didn't get the signal either."""
    count = tmp_path / "count"
    command = [sys.executable, "-c", COUNTING]
    with (
        Process([sys.executable, "-c", BUSY], name="others"),
        Process(command, name="counting", cwd=tmp_path) as process,
    ):
        for _ in range(20):
            before = count.read_text() if count.exists() else ""
            wait_for(lambda: count.exists() and count.read_text() != before, "it counts on")  # noqa: B023
            process.pause()
            before = count.read_text()
            for _ in range(50):
                assert count.read_text() == before
            process.resume()
