"""How does a test get what `deploy/traefik` describes?"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.deploy.installation import Installation
from tests.support.processes import Process

CERTIFICATE = "/etc/letsencrypt/live/app.example.com"


class BehindTraefik(Installation):
    """With the Traefik of requirements-dev.txt in front; one replica, since it asks one address."""

    def _write_files(self) -> None:
        self.write(
            "traefik/traefik.yml",
            {
                '":80"': f'"127.0.0.1:{self.plain_port}"',
                '":443"': f'"127.0.0.1:{self.port}"',
                "/etc/traefik": str(self.folder),
            },
        )
        self.write(
            "traefik/bff.yml",
            {
                "put BFF_FORWARD_AUTH_KEY here": self.key,
                f"{CERTIFICATE}/fullchain.pem": str(self.certificate.chain_file),
                f"{CERTIFICATE}/privkey.pem": str(self.certificate.key_file),
                "app.example.com": "localhost",
                "127.0.0.1:8000": f"127.0.0.1:{self.cluster.ports[0]}",
                "127.0.0.1:8002": f"127.0.0.1:{self.api.port}",
            },
        )

    def _front(self) -> Process:
        traefik = str(Path(sys.executable).with_name("traefik"))
        return Process([traefik, f"--configfile={self.folder / 'traefik.yml'}"], name="traefik")
