"""How is express-openid-connect set up? With connect-redis and a proxy: `node/express.mjs`."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.contestants.contestant import Contestant, RunContext
from benchmarks.programs import READY_SECONDS, SERVER_CORE, Pinned, find
from benchmarks.testbed import AUDIENCE, HERE


class Express(Contestant):
    """One Node process for one core."""

    name = "express-openid-connect"

    def start(self, context: RunContext) -> None:
        """Start it in production mode."""
        folder = context.testbed.subfolder(self.name)
        output: dict[str, Any] = self.settings(context) | {"audience": AUDIENCE}
        (folder / "express.json").write_text(json.dumps(output | {"port": self.port}))
        command = [find("node"), str(HERE / "node/express.mjs"), str(folder / "express.json")]
        program = Pinned(
            self.name, command, core=SERVER_CORE, folder=folder, env={"NODE_ENV": "production"}
        )
        context.testbed.run(program).wait_ready(READY_SECONDS)
        self.programs = [program]
