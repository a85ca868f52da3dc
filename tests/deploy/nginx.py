"""How does a test get what `deploy/nginx` describes?"""

from __future__ import annotations

import os
import signal

from tests.deploy.installation import DEPLOY, Installation
from tests.support.nginx import TEMPORARY, installed
from tests.support.processes import Process

NOT_IN_A_TEST = (
    "user www-data;\n",
    "pid /run/nginx.pid;\n",
    "error_log /var/log/nginx/error.log;\n",
)


class BehindNginx(Installation):
    """With Debian's nginx in front.

    Args:
        replicas: How many BFF processes.
        env: More environment variables of the BFF.
        changed: Texts of nginx.conf and what a test puts in their place.
    """

    def __init__(
        self,
        replicas: int = 1,
        env: dict[str, str] | None = None,
        changed: dict[str, str] | None = None,
    ) -> None:
        super().__init__(replicas, env)
        self._changed = changed or {}

    def _write_files(self) -> None:
        changes = {
            "key.conf": {"put BFF_FORWARD_AUTH_KEY here": self.key},
            "log.conf": {"/var/log/nginx": str(self.folder)},
            "api-request.conf": {"app.example.com": f"localhost:{self.port}"},
            "nginx.conf": self._nginx_conf(),
        }
        for file in DEPLOY.glob("nginx/*.conf"):
            self.write(f"nginx/{file.name}", changes.get(file.name, {}))

    def _nginx_conf(self) -> dict[str, str]:
        folders = "".join(f"    {name}_temp_path {self.folder / name};\n" for name in TEMPORARY)
        servers = "\n        ".join(
            f"server 127.0.0.1:{port} fail_timeout=2s;" for port in self.cluster.ports
        )
        certificate = "/etc/letsencrypt/live/app.example.com"
        return (
            dict.fromkeys(NOT_IN_A_TEST, "")
            | self._changed
            | {
                "http {\n": f"http {{\n{folders}",
                "server 127.0.0.1:8000 fail_timeout=2s;": servers,
                "127.0.0.1:8002": f"127.0.0.1:{self.api.port}",
                "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
                "listen 443 ": f"listen 127.0.0.1:{self.port} ",
                f"{certificate}/fullchain.pem": str(self.certificate.chain_file),
                f"{certificate}/privkey.pem": str(self.certificate.key_file),
                "https://app.example.com": self.url,
                "app.example.com": "localhost",
            }
        )

    def _front(self) -> Process:
        user = "user root; " if os.geteuid() == 0 else ""
        own = f"{user}daemon off; pid {self.folder / 'pid'}; error_log stderr warn;"
        file = str(self.folder / "nginx.conf")
        command = [str(installed()), "-p", str(self.folder), "-e", "stderr", "-c", file, "-g", own]
        return Process(command, name="nginx")

    def reload(self) -> None:
        """Have nginx start new workers, and end the old ones after `worker_shutdown_timeout`."""
        assert self.front.pid is not None
        os.kill(self.front.pid, signal.SIGHUP)
