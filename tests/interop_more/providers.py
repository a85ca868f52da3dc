"""Which further providers are there: how is each started, and what does it lack?"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import requests

from tests.interop_more.auth0_simulator import CA_FILE, start_auth0_simulator
from tests.interop_more.hydra_pages import hydra_pages
from tests.support.processes import Process, free_port

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / ".work/interop-more"
CLIENT_SECRET = "secret"
PATH = {"PATH": "/usr/bin:/bin:/usr/local/bin"}

Lack = Literal[
    "rotation",
    "revocation",
    "single sign-on",
    "prompt=none",
    "the way back",
    "back-channel logout",
]
"""What a provider can lack:

| lack | meaning |
|---|---|
| `rotation` | a refresh returns the same refresh token, which stays valid |
| `revocation` | it has no endpoint for it, or confirms it and accepts the token afterwards |
| `single sign-on` | it remembers nobody, so `prompt=none` is refused after a sign-in |
| `prompt=none` | it shows its form all the same |
| `the way back` | its logout doesn't lead back to `/auth/logged-out` |
| `back-channel logout` | it tells nobody of a logout |
"""


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider.

    Attributes:
        name: As in docs/interop.md.
        start: Starts it for the BFF at an address; returns its issuer.
        answers: What the person puts into its forms, by the fields' names.
        logout_answers: The same for its logout.
        settings: Of the BFF, beside issuer, client and secret.
        client_id: Ours.
        by_domain: Whether `AUTH0_DOMAIN` names it, in place of its issuer.
        lacks: What it doesn't have.
    """

    name: str
    start: Callable[[ExitStack, str], str]
    answers: Mapping[str, str] = field(default_factory=dict)
    logout_answers: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    client_id: str = "web"
    by_domain: bool = False
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


def _canaille(stack: ExitStack, base_url: str) -> str:
    port = free_port()
    python = str(next(FOLDER.glob("canaille-*/bin/python")))
    command = [python, str(HERE / "canaille_server.py"), str(port), base_url]
    process = stack.enter_context(Process(command, name="Canaille", env=PATH))
    issuer = f"http://localhost:{port}"
    process.wait_for_http(f"{issuer}/.well-known/openid-configuration", timeout_seconds=60)
    return issuer


def _hydra(stack: ExitStack, base_url: str) -> str:
    port, admin_port = free_port(), free_port()
    issuer, admin_url = f"http://localhost:{port}/", f"http://localhost:{admin_port}"
    pages = stack.enter_context(hydra_pages(admin_url))
    environment = PATH | {
        "DSN": "memory",
        "URLS_SELF_ISSUER": issuer,
        "URLS_LOGIN": f"{pages}/login",
        "URLS_CONSENT": f"{pages}/consent",
        "URLS_LOGOUT": f"{pages}/logout",
        "SERVE_PUBLIC_HOST": "localhost",
        "SERVE_PUBLIC_PORT": str(port),
        "SERVE_ADMIN_HOST": "localhost",
        "SERVE_ADMIN_PORT": str(admin_port),
        "SECRETS_SYSTEM": "0123456789abcdef0123456789abcdef",
        "STRATEGIES_ACCESS_TOKEN": "jwt",
    }
    command = [str(next(FOLDER.glob("hydra-*/hydra"))), "serve", "all", "--dev", "--sqa-opt-out"]
    process = stack.enter_context(Process(command, name="Hydra", env=environment))
    process.wait_for_http(f"{issuer}health/ready", timeout_seconds=60)
    client = {
        "client_id": "web",
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [f"{base_url}/auth/callback"],
        "post_logout_redirect_uris": [f"{base_url}/auth/logged-out"],
        "backchannel_logout_uri": f"{base_url}/auth/backchannel-logout",
        "backchannel_logout_session_required": True,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "scope": "openid profile email offline_access",
        "token_endpoint_auth_method": "client_secret_basic",
    }
    made = requests.post(f"{admin_url}/admin/clients", json=client, timeout=20)
    assert made.ok, made.text
    return issuer


def _mock_oauth2_server(stack: ExitStack, base_url: str) -> str:
    port = free_port()
    jars = str(next(FOLDER.glob("mock-oauth2-server-*")) / "*")
    main = "no.nav.security.mock.oauth2.StandaloneMockOAuth2ServerKt"
    settings = json.dumps({"interactiveLogin": True, "rotateRefreshToken": True})
    environment = PATH | {"SERVER_PORT": str(port), "JSON_CONFIG": settings}
    command = [shutil.which("java") or "java", "-cp", jars, main]
    process = stack.enter_context(Process(command, name="mock-oauth2-server", env=environment))
    issuer = f"http://localhost:{port}/default"
    process.wait_for_http(f"{issuer}/.well-known/openid-configuration", timeout_seconds=60)
    return issuer


def _dex(stack: ExitStack, base_url: str) -> str:
    port = free_port()
    issuer = f"http://localhost:{port}"
    person = {"username": "dana", "password": "verysecure"}
    settings = {
        "issuer": issuer,
        "storage": {"type": "memory"},
        "web": {"http": f"localhost:{port}"},
        "oauth2": {"skipApprovalScreen": True},
        "staticClients": [
            {
                "id": "web",
                "name": "BFF",
                "secret": CLIENT_SECRET,
                "redirectURIs": [f"{base_url}/auth/callback"],
            }
        ],
        "connectors": [{"type": "mockPassword", "id": "mock", "name": "mock", "config": person}],
    }
    file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "dex.json"
    file.write_text(json.dumps(settings))
    command = [str(next(FOLDER.glob("dex-*/dex"))), "serve", str(file)]
    process = stack.enter_context(Process(command, name="Dex", env=PATH))
    process.wait_for_http(f"{issuer}/.well-known/openid-configuration")
    return issuer


PROVIDERS = (
    Provider(
        name="Auth0 simulator",
        start=start_auth0_simulator,
        answers={"username": "dana@example.com", "password": "verysecure"},
        settings={"BFF_CA_FILE": str(CA_FILE)},
        by_domain=True,
        lacks=frozenset({"revocation", "prompt=none", "back-channel logout"}),
    ),
    Provider(
        name="Dex",
        start=_dex,
        answers={"login": "dana", "password": "verysecure"},
        lacks=frozenset({"revocation", "prompt=none", "the way back", "back-channel logout"}),
    ),
    Provider(
        name="Ory Hydra",
        start=_hydra,
        settings={
            "AUTH0_CLIENT_AUTH": "client_secret_basic",
            "BFF_LOGOUT_ID_TOKEN_HINT": "true",
        },
    ),
    Provider(
        name="Canaille",
        start=_canaille,
        answers={"login": "dana", "password": "correct horse battery staple", "answer": "accept"},
        logout_answers={"answer": "logout"},
        settings={"AUTH0_CLIENT_AUTH": "client_secret_basic"},
        lacks=frozenset({"back-channel logout"}),
    ),
    Provider(
        name="oauth2-mock-server",
        start=_oauth2_mock_server,
        lacks=frozenset({"revocation", "back-channel logout"}),
    ),
    Provider(
        name="mock-oauth2-server",
        start=_mock_oauth2_server,
        answers={"username": "dana"},
        lacks=frozenset({"prompt=none", "back-channel logout"}),
    ),
    Provider(
        name="zitadel's example",
        start=_zitadel,
        answers={"username": "test-user@localhost", "password": "verysecure"},
        lacks=frozenset({"single sign-on", "the way back", "back-channel logout"}),
    ),
)
