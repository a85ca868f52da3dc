"""How is the BFF started behind nginx? With `deploy/nginx`: nginx carries the bytes.

The files are used unchanged except for addresses, TLS (no contestant has it, so our cookies have no
`__Host-`) and the access log (no contestant writes one). The CPU time of nginx counts.
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path

from benchmarks.contestants.contestant import RunContext
from benchmarks.contestants.ours import SOURCE, Ours
from benchmarks.programs import SERVER_CORE
from benchmarks.testbed import nginx
from tests.support.nginx import TEMPORARY
from tests.support.processes import free_port

DEPLOY = SOURCE / "deploy/nginx"
ACCESS_LOG = "access_log off;"
COOKIES_WITHOUT_TLS = "(?: session= | login- | browser- )"
LETSENCRYPT = "/etc/letsencrypt/live/app.example.com"


class OursBehindNginx(Ours):
    """nginx and one BFF process on one core."""

    name = "ours-nginx"

    def __init__(self) -> None:
        super().__init__()
        self.bff_port, self.plain_port = free_port(), free_port()
        self.key = secrets.token_hex(32)

    def start(self, context: RunContext) -> None:
        """Start both."""
        self.folder = context.testbed.subfolder("nginx")
        self._write_files(context, self.folder)
        bff = self._serve(context, self.bff_port)
        text = (self.folder / "nginx.conf").read_text()
        front = nginx("nginx", text, self.folder, core=SERVER_CORE)
        context.testbed.run(front).wait_for_port(self.port)
        self.programs = [bff, front]

    def environment(self, context: RunContext) -> dict[str, str]:
        """The settings that `deploy/nginx/nginx.conf` requires."""
        given = super().environment(context)
        del given["BFF_API_URL"]
        return given | {
            "BFF_FORWARD_AUTH_KEY": self.key,
            "BFF_TRUSTED_PROXIES": "127.0.0.1",
            "BFF_ROUTES_FILE": str(self.folder / "routes.toml"),
        }

    def check_seen(self, seen: dict[str, str]) -> None:
        """Check that nginx forwarded the request; it passes it to the BFF if forward-auth fails."""
        super().check_seen(seen)
        assert seen["via"] == "1.1 nginx", seen

    def _write_files(self, context: RunContext, folder: Path) -> None:
        for file in DEPLOY.iterdir():
            shutil.copy(file, folder)
        upstream = context.upstream.removeprefix("http://")
        temporary = "".join(f"    {name}_temp_path {folder / name};\n" for name in TEMPORARY)
        here = f"127.0.0.1:{self.port}"
        _replace(folder / "routes.toml", {"127.0.0.1:8002": upstream})
        _replace(folder / "key.conf", {"put BFF_FORWARD_AUTH_KEY here": self.key})
        _replace(folder / "maps.conf", {"(?: __Host- )": COOKIES_WITHOUT_TLS})
        _replace(folder / "log.conf", {"access_log /var/log/nginx/access.log bff;": ACCESS_LOG})
        _replace(
            folder / "api-request.conf",
            {"app.example.com": here, "X-Forwarded-Proto https": "X-Forwarded-Proto http"},
        )
        _replace(
            folder / "nginx.conf",
            {
                "user www-data;\n": "user www-data;\n" if os.geteuid() == 0 else "",
                "pid /run/nginx.pid;\n": "",
                "error_log /var/log/nginx/error.log;\n": "error_log stderr warn;\n",
                "worker_processes auto;": "worker_processes 1;",
                # A thousand users sign in from one address here.
                "zone=sign_in:10m rate=30r/s": "zone=sign_in:10m rate=10000r/s",
                "http {\n": f"http {{\n{temporary}",
                "server 127.0.0.1:8000 ": f"server 127.0.0.1:{self.bff_port} ",
                "127.0.0.1:8002": upstream,
                "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
                "listen 443 ssl http2": f"listen {here}",
                "        ssl_reject_handshake on;": "        return 444;",
                f"        ssl_certificate {LETSENCRYPT}/fullchain.pem;\n": "",
                f"        ssl_certificate_key {LETSENCRYPT}/privkey.pem;\n": "",
                "https://app.example.com": self.base_url,
                "server_name app.example.com": "server_name 127.0.0.1",
            },
        )


def _replace(file: Path, replacements: dict[str, str]) -> None:
    text = file.read_text()
    for written, here in replacements.items():
        assert written in text, f"{file.name} has no {written!r}"
        text = text.replace(written, here)
    file.write_text(text)
