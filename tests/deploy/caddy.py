"""How does a test get what `deploy/caddy` describes?"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.deploy.installation import Installation
from tests.support.processes import Process


class BehindCaddy(Installation):
    """With the Caddy of requirements-dev.txt in front."""

    def _write_files(self) -> None:
        bff = " ".join(f"127.0.0.1:{port}" for port in self.cluster.ports)
        self.write(
            "caddy/Caddyfile",
            {
                "127.0.0.1:8000": bff,
                "127.0.0.1:8002": f"127.0.0.1:{self.api.port}",
                "app.example.com {\n": f"{self.url} {{\n\ttls {self._pem_files()}\n",
            },
        )
        self.write("caddy/log.caddy", {})
        file = self.folder / "Caddyfile"
        file.write_text(self._global_options() + file.read_text())

    def _pem_files(self) -> str:
        return f"{self.certificate.chain_file} {self.certificate.key_file}"

    def _global_options(self) -> str:
        ports = f"http_port {self.plain_port}\n\thttps_port {self.port}"
        log = f"import {self.folder / 'log.caddy'}"
        return f"{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\t{ports}\n\t{log}\n}}\n"

    def _front(self) -> Process:
        env = {
            **os.environ,
            "BFF_FORWARD_AUTH_KEY": self.key,
            # Caddy writes what it remembers below.
            "HOME": str(self.folder),
            "XDG_DATA_HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder),
        }
        caddy = str(Path(sys.executable).with_name("caddy"))
        command = [caddy, "run", "--config", str(self.folder / "Caddyfile")]
        return Process(command, name="caddy", env=env)
