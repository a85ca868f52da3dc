"""The usual hand-written BFF: gunicorn, Flask, Flask-Session, requests; `peers/handwritten.py`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.contestants.contestant import Contestant, Surroundings
from benchmarks.ground import AUDIENCE, HERE
from benchmarks.programs import SERVER_CORE, Missing, Pinned

PYTHON = HERE.parent / ".work/bench-venv/bin/python"
"""With `peers/requirements.txt`; `.ci/bench-peers` makes it."""
WORKERS, THREADS = 3, 8
"""gunicorn's advice for one core: 2 × cores + 1 workers."""


class Handwritten(Contestant):
    """gunicorn's threaded worker, since it waits for the API most of the time."""

    name = "hand-written"

    def start(self, around: Surroundings) -> None:
        """Start it with nothing in its environment but its settings."""
        if not Path(PYTHON).exists():
            raise Missing(f"{PYTHON} is missing; `.ci/bench-peers` makes it.")
        told = self.settings(around) | {"audience": AUDIENCE}
        command = [
            str(PYTHON), "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--worker-class",
            "gthread", "--workers", str(WORKERS), "--threads", str(THREADS), "--keep-alive", "60",
            "--no-control-socket", "handwritten:app",
        ]  # fmt: skip
        env = {f"PEER_{name.upper()}": value for name, value in told.items()}
        env["PYTHONPATH"] = str(HERE / "peers")
        folder = around.ground.subfolder(self.name)
        program = Pinned(self.name, command, core=SERVER_CORE, folder=folder, env=env)
        around.ground.run(program).wait_for_http(f"{self.base_url}/api/1k", status=401)
        self.programs = [program]
