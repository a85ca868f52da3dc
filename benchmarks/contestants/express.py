"""The peer express-openid-connect with connect-redis, http-proxy-middleware: `node/express.mjs`."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.contestants.contestant import Contestant, Surroundings
from benchmarks.ground import AUDIENCE, HERE
from benchmarks.programs import READY_SECONDS, SERVER_CORE, Pinned, find


class Express(Contestant):
    """One Node process for one core."""

    name = "express-openid-connect"

    def start(self, around: Surroundings) -> None:
        """Start it as in production."""
        folder = around.ground.subfolder(self.name)
        told: dict[str, Any] = self.settings(around) | {"audience": AUDIENCE}
        (folder / "express.json").write_text(json.dumps(told | {"port": self.port}))
        command = [find("node"), str(HERE / "node/express.mjs"), str(folder / "express.json")]
        program = Pinned(
            self.name, command, core=SERVER_CORE, folder=folder, env={"NODE_ENV": "production"}
        )
        around.ground.run(program).wait_ready(READY_SECONDS)
        self.programs = [program]
