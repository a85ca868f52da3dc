"""Which process do programs of ours fork from? `python -m tests.support.warm_python MODULE…`.

It imports the modules, and waits on the socket that is its standard input. For each request it
forks a program, which then runs as `python -m` runs it; `warm_start.py` sends the requests. No
thread and no connection is made before the fork, and every fork has its own environment, folder and
output.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

REQUEST_MAX_BYTES = 1 << 20
STDIN, STDOUT, STDERR = range(3)


def main(modules: list[str]) -> None:
    """Import *modules* and fork programs until the socket closes; returns nowhere else."""
    for name in modules:
        importlib.import_module(name)
    assert len([*Path("/proc/self/task").iterdir()]) == 1, "a fork has none of these threads"
    gc.freeze()
    with socket.socket(fileno=os.dup(STDIN)) as requests:
        request = _first_in_fork(requests)
    if request is not None:
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        sys.argv[1:] = request["arguments"]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


def _first_in_fork(requests: socket.socket) -> dict[str, Any] | None:
    """Return in each fork with what it shall run, and with None when the socket has closed."""
    while True:
        text, files, _, _ = socket.recv_fds(requests, REQUEST_MAX_BYTES, 2)
        if not text:
            _forget_ended()
            return None
        while not text.endswith(b"\n"):
            text += requests.recv(REQUEST_MAX_BYTES)
        output, outcome = files
        watching = os.fork()
        if watching == 0:
            requests.close()
            program = os.fork()
            if program == 0:
                os.close(outcome)
                _take(output)
                return dict(json.loads(text))
            os.close(output)
            _report(program, outcome)
        os.close(output)
        os.close(outcome)
        _forget_ended()


def _take(output: int) -> None:
    """Make *output* that of this process, which gets a group of its own."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for file, number in ((nothing, STDIN), (output, STDOUT), (output, STDERR)):
        os.dup2(file, number)
    os.close(nothing)
    os.close(output)


def _report(program: int, outcome: int) -> None:
    """Tell the process id, and at the program's end its exit code."""
    os.write(outcome, f"{program}\n".encode())
    _, status = os.waitpid(program, 0)
    os.write(outcome, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _forget_ended() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
