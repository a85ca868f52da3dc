"""How is the Auth0 simulator started, which speaks https only?"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.certificate import Certificate
from tests.support.processes import Process, free_port

HERE = Path(__file__).parent
HOME = HERE.parent.parent / ".work/interop-more/auth0-simulator"
CERTIFICATES = HOME / ".simulacrum/certs"
CA_FILE = CERTIFICATES / "ca.pem"
"""A setting of the BFF, so that it lies at the same place in each run."""


def start_auth0_simulator(stack: ExitStack, base_url: str) -> str:
    """Start it with a new certificate; its issuer."""
    CERTIFICATES.mkdir(parents=True, exist_ok=True)
    certificate = Certificate(CERTIFICATES)
    shutil.copy(certificate.chain_file, CERTIFICATES / "localhost.pem")
    shutil.copy(certificate.key_file, CERTIFICATES / "localhost-key.pem")
    # For what the test itself and its browsers ask.
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("REQUESTS_CA_BUNDLE", str(CA_FILE))
    port = free_port()
    command = [shutil.which("node") or "node", str(HERE / "auth0_simulator.mjs"), str(port)]
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(HOME)}
    process = stack.enter_context(Process(command, name="Auth0 simulator", env=environment))
    process.wait_for_output("ready")
    return f"https://localhost:{port}/"
