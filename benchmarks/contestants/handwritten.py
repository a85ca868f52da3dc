"""How is the usual hand-written BFF set up? With gunicorn: `peers/handwritten.py`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.contestants.contestant import Contestant, RunContext
from benchmarks.programs import SERVER_CORE, Missing, Pinned
from benchmarks.testbed import AUDIENCE, HERE

PYTHON = HERE.parent / ".work/bench-venv/bin/python"
"""With `peers/requirements.txt`; `.ci/bench-peers` makes it."""
WORKERS, THREADS = 3, 8
"""gunicorn's recommendation for one core: 2 × cores + 1 workers."""


class Handwritten(Contestant):
    """gunicorn's threaded worker, since it waits for the API most of the time."""

    name = "hand-written"

    def start(self, context: RunContext) -> None:
        """Start it with only its settings in the environment."""
        if not Path(PYTHON).exists():
            raise Missing(f"{PYTHON} is missing; `.ci/bench-peers` makes it.")
        output = self.settings(context) | {"audience": AUDIENCE}
        command = [
            str(PYTHON), "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--worker-class",
            "gthread", "--workers", str(WORKERS), "--threads", str(THREADS), "--keep-alive", "60",
            "--no-control-socket", "handwritten:app",
        ]  # fmt: skip
        env = {f"PEER_{name.upper()}": value for name, value in output.items()}
        env["PYTHONPATH"] = str(HERE / "peers")
        folder = context.testbed.subfolder(self.name)
        program = Pinned(self.name, command, core=SERVER_CORE, folder=folder, env=env)
        context.testbed.run(program).wait_for_http(f"{self.base_url}/api/1k", status=401)
        self.programs = [program]
