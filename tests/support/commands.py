"""How does a test run `python -m bff …` beside a BFF, on the same Redis?

A start of Python with all imports costs half a second, so a table of commands forks a process that
has imported everything and done nothing else. Each command is still a process of its own, with its
own environment, folder, output and exit code. One test of each file runs the program itself.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory

from bff.cli import main
from tests.support.receiver import Receiver

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SECONDS = 60

Ended = subprocess.CompletedProcess[str]


def run_command(bff: Receiver, *arguments: str, cwd: Path, **env: str) -> Ended:
    """Run a command with the settings of *bff*, in a fork; *env* overrides them."""
    return run_forked(*arguments, env=_settings(bff) | env, cwd=cwd)


def run_program(bff: Receiver, *arguments: str, cwd: Path) -> Ended:
    """The same by `python -m bff`."""
    told = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, "-m", "bff", *arguments],
        capture_output=True, text=True, env=told | _settings(bff), cwd=cwd, timeout=LIMIT_SECONDS,
    )  # fmt: skip


def run_forked(*arguments: str, env: Mapping[str, str], cwd: Path) -> Ended:
    """Run a command in a fork; *env* is its whole environment."""
    with TemporaryDirectory() as folder:
        outputs = (Path(folder, "stdout"), Path(folder, "stderr"))
        process = _forks().Process(target=_run, args=(arguments, dict(env), cwd, outputs))
        process.start()
        process.join(LIMIT_SECONDS)
        code = process.exitcode
        process.kill()
        process.join()
        process.close()
        if code is None:
            raise subprocess.TimeoutExpired(arguments, LIMIT_SECONDS)
        return Ended(arguments, code, *(file.read_text("utf-8") for file in outputs))


def _settings(bff: Receiver) -> dict[str, str]:
    config = bff.config
    assert config.client_secret
    return {
        "OIDC_ISSUER": config.issuer,
        "AUTH0_CLIENT_ID": config.client_id,
        "AUTH0_CLIENT_SECRET": config.client_secret.get_secret_value(),
        "AUTH0_SECRET": ",".join(key.get_secret_value() for key in config.secrets),
        "APP_BASE_URL": config.app_base_url,
        "BFF_API_URL": config.api_url or "",
        "REDIS_URL": config.redis_url.get_secret_value(),
        "BFF_REDIS_PREFIX": config.redis_prefix,
    }


@functools.cache
def _forks() -> ForkServerContext:
    """Forks of a process without threads, which pytest isn't."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "bff.app.services"])
    return context


def _run(
    arguments: tuple[str, ...], env: dict[str, str], cwd: Path, outputs: tuple[Path, Path]
) -> None:
    for number, (name, file) in enumerate(zip(("stdout", "stderr"), outputs, strict=True), 1):
        stream = file.open("w", encoding="utf-8", buffering=1)
        os.dup2(stream.fileno(), number)
        setattr(sys, name, stream)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.exit(main.main(arguments))
