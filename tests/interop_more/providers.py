"""Which further providers are there: how is each started, and what does it lack?"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.support.processes import Process, free_port

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / ".work/interop-more"
CLIENT_SECRET = "secret"
PATH = {"PATH": "/usr/bin:/bin:/usr/local/bin"}

Lack = Literal[
    "rotation",
    "revocation",
    "single sign-on",
    "the way back",
]
"""What a provider can lack:

| lack | meaning |
|---|---|
| `rotation` | a refresh returns the same refresh token, which stays valid |
| `revocation` | it confirms a revocation, and accepts the token afterwards |
| `single sign-on` | it remembers nobody, so `prompt=none` is refused after a sign-in |
| `the way back` | its logout doesn't lead back to `/auth/logged-out` |
"""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider.

    Attributes:
        name: As in docs/interop.md.
        start: Starts it for the BFF at an address; returns its issuer.
        answers: What the person puts into its forms, by the fields' names.
        settings: Of the BFF, beside issuer, client and secret.
        client_id: Ours.
        lacks: What it doesn't have.
    """

    name: str
    start: Callable[[ExitStack, str], str]
    answers: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    client_id: str = "web"
    lacks: frozenset[Lack] = frozenset()


def _oauth2_mock_server(stack: ExitStack, base_url: str) -> str:
    port = free_port()
    program = HERE / "node_modules/oauth2-mock-server/dist/oauth2-mock-server.mjs"
    command = [shutil.which("node") or "node", str(program), "-a", "localhost", "-p", str(port)]
    process = stack.enter_context(Process(command, name="oauth2-mock-server", env=PATH))
    issuer = f"http://localhost:{port}"
    process.wait_for_http(f"{issuer}/.well-known/openid-configuration")
    return issuer


def _zitadel(stack: ExitStack, base_url: str) -> str:
    port = free_port()
    environment = PATH | {"PORT": str(port), "REDIRECT_URI": f"{base_url}/auth/callback"}
    command = [str(next(FOLDER.glob("zitadel-*/server")))]
    process = stack.enter_context(Process(command, name="zitadel", env=environment))
    issuer = f"http://localhost:{port}/"
    process.wait_for_http(f"{issuer}.well-known/openid-configuration")
    return issuer


PROVIDERS = (
    Provider(
        name="oauth2-mock-server",
        start=_oauth2_mock_server,
        lacks=frozenset({"revocation"}),
    ),
    Provider(
        name="zitadel's example",
        start=_zitadel,
        answers={"username": "test-user@localhost", "password": "verysecure"},
        lacks=frozenset({"single sign-on", "the way back"}),
    ),
)
