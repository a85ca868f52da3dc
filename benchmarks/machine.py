"""On which machine and with which versions did the benchmark run?"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from json import loads
from pathlib import Path

from benchmarks.contestants import oauth2_proxy
from benchmarks.programs import find
from benchmarks.testbed import HERE

PACKAGES = ("flask", "granian", "pycurl", "redis", "hiredis")
MODULES = ("express-openid-connect", "connect-redis", "http-proxy-middleware", "oidc-provider")
DEBIAN = ("apache2", "libapache2-mod-auth-openidc", "nginx", "redis-server", "wrk")


def description() -> str:
    """A Markdown list."""
    cores = os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    lines = [
        f"{_processor()}, {cores} cores, {memory:.0f} GiB; {_system()}, Linux {platform.release()}",
        f"Python {platform.python_version()}: " + _listed(PACKAGES, version),
        f"Node {_said('node', '--version').lstrip('v')}: " + _listed(MODULES, _npm_version),
        "Debian: " + _listed(DEBIAN, _debian_version),
    ]
    if oauth2_proxy.is_here():
        lines.append(_said(oauth2_proxy.PROGRAM, "--version"))
    return "\n".join(f"- {line}" for line in lines)


def _listed(names: tuple[str, ...], version_of: object) -> str:
    assert callable(version_of)
    return ", ".join(f"{name} {version_of(name)}" for name in names)


def _processor() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _system() -> str:
    found = re.search(r'^PRETTY_NAME="(.*)"$', Path("/etc/os-release").read_text(), re.MULTILINE)
    return found[1] if found else "unknown"


def _npm_version(name: str) -> str:
    return str(loads((HERE / "node/node_modules" / name / "package.json").read_text())["version"])


def _debian_version(name: str) -> str:
    return _said("dpkg-query", "--show", "--showformat=${Version}", name) or "not of Debian"


def _said(program: str, *arguments: str) -> str:
    command = [find(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
