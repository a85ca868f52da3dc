"""How does a test start a BFF, a demo provider or a demo API without its imports?

They cost half a second of CPU time for each of hundreds of processes. So such a program is forked
from a process that has imported its modules and done nothing else (`warm_python.py`); from then on
it is a process as any other. Whatever must act before the imports, such as a variable of Python or
of the linker, gets a usual start, and so does everything on other systems than Linux.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from tests.support.processes import Process

ROOT = Path(__file__).resolve().parents[2]
IMPORTS = {
    "bff": ("bff.cli.main", "bff.cli.draining", "bff.app.factory"),
    "demo.provider": ("demo.provider.server", "tests.support.provider_keys"),
    "demo.api": ("bff.resource_server", "demo.api.app", "demo.api.serving"),
}
"""What each program imports; not its `__main__`, which each fork runs."""
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
SETTINGS = ("APP_", "AUTH0_", "BFF_", "DENY_LIST_", "EXCHANGE_", "OIDC_", "REDIS_")
"""How the variables begin that a program reads after its imports."""


class WarmProcess(Process):
    """A program of `IMPORTS` in this repository, started by `python -m`."""

    def _spawn(self) -> subprocess.Popen[str]:
        _, _, module, *arguments = self.command
        env = self._env or {}
        early = {name: env[name] for name in env if not name.startswith(SETTINGS)}
        if sys.platform != "linux" or early != ENVIRONMENT:
            return super()._spawn()
        program = _warm(module).start(arguments, env, self._cwd or Path.cwd())
        return cast("subprocess.Popen[str]", program)


class _Warm:
    """A process that has imported what *module* imports; it ends with this one."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.warm_python", *IMPORTS[module]],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=ROOT,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        atexit.register(self._end)

    def start(self, arguments: list[str], env: Mapping[str, str], cwd: Path) -> _Forked:
        """Fork a program; it runs when this returns."""
        request = {"module": self._module, "arguments": arguments, "env": env, "cwd": str(cwd)}
        output, its_output = os.pipe()
        outcome, its_outcome = os.pipe()
        text = json.dumps(request).encode() + b"\n"
        with self._lock:
            sent = socket.send_fds(self._requests, [text], [its_output, its_outcome])
            self._requests.sendall(text[sent:])
        os.close(its_output)
        os.close(its_outcome)
        return _Forked(output, outcome)

    def _end(self) -> None:
        self._requests.close()
        self._process.wait()


@functools.cache
def _warm(module: str) -> _Warm:
    return _Warm(module)


class _Forked:
    """A forked program, as what `Child` uses of `subprocess.Popen`."""

    def __init__(self, output: int, outcome: int) -> None:
        self.stdout = os.fdopen(output, errors="replace")
        self.returncode: int | None = None
        self._outcome = os.fdopen(outcome)
        self._lock = threading.Lock()
        self.pid = int(self._outcome.readline())

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        with self._lock:
            if self.returncode is None and self._has_ended(0):
                with self._outcome:
                    self.returncode = int(self._outcome.readline())
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, when it has ended.

        Raises:
            subprocess.TimeoutExpired: It runs on.
        """
        if self.poll() is None:
            self._has_ended(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def _has_ended(self, timeout: float | None) -> bool:
        # Not `select.select`, which takes the first 1024 files of a process only.
        poll = select.poll()
        poll.register(self._outcome, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)
