"""Where is nginx, and how does a test start it with a configuration?

`NGINX` selects another. Without one, the tests fail and say what to install; nothing is skipped.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.support.processes import Process

PLACES = ("/usr/sbin/nginx", "/usr/local/sbin/nginx", "/opt/homebrew/bin/nginx")
ADVICE = "No nginx was found. Install one (Debian: apt-get install nginx-light)."
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class NoNginx(Exception):
    """No nginx was found; the message says what to install."""


def installed() -> Path:
    """The nginx of this machine; raises NoNginx."""
    named = os.environ.get("NGINX") or shutil.which("nginx")
    found = [Path(place) for place in (named, *PLACES) if place and Path(place).exists()]
    if not found:
        raise NoNginx(ADVICE)
    return found[0]


def nginx(folder: Path, configuration: str, port: int) -> Process:
    """Start nginx in the foreground with its files in *folder*; returns when it listens."""
    folders = "".join(f"    {name}_temp_path {folder / name};\n" for name in TEMPORARY)
    own = f"http {{\n    access_log off;\n{folders}"
    file = folder / "nginx.conf"
    file.write_text(configuration.replace("http {\n", own, 1))
    more = f"daemon off; pid {folder / 'pid'}; error_log stderr info;"
    command = [str(installed()), "-p", str(folder), "-e", "stderr", "-c", str(file), "-g", more]
    process = Process(command, name="nginx")
    process.start()
    process.wait_for_port(port)
    return process


def main() -> int:
    """Print which nginx is used (`python -m tests.support.nginx`); 1 without one."""
    try:
        print(f"nginx: {installed()}")
    except NoNginx as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
