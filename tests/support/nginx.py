"""Where is nginx, and how does a test start it with a configuration?

`NGINX` names another. If there is none, the tests fail and say what to install; nothing is skipped.
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
    """There is none here; the text says what to do."""


def installed() -> Path:
    """The nginx of this machine; raises NoNginx."""
    named = os.environ.get("NGINX") or shutil.which("nginx")
    found = [Path(place) for place in (named, *PLACES) if place and Path(place).exists()]
    if not found:
        raise NoNginx(ADVICE)
    return found[0]


def nginx(folder: Path, configuration: str, port: int) -> Process:
    """Start nginx in the foreground; all that it writes is in *folder*. Returns when it listens."""
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
    """Say which nginx would be used (`python -m tests.support.nginx`); 1 if there is none."""
    try:
        print(f"nginx: {installed()}")
    except NoNginx as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
