"""Starts Canaille in memory, with one user and the BFF as its client; run by Canaille's Python.

python canaille_server.py PORT BASE_URL
"""

from __future__ import annotations

import datetime
import os
import sys
import uuid
from importlib import import_module
from typing import Any
from wsgiref.simple_server import make_server

USER, PASSWORD = "dana", "correct horse battery staple"
CLIENT_ID, CLIENT_SECRET = "web", "secret"


def configuration(port: int) -> dict[str, Any]:
    """Plain http on the loopback, and a new signing key."""
    key = import_module("joserfc.jwk").RSAKey.generate_key(2048)
    key.ensure_kid()
    return {
        "TESTING": True,
        "SECRET_KEY": str(uuid.uuid4()),
        "WTF_CSRF_ENABLED": False,
        "PREFERRED_URL_SCHEME": "http",
        "SERVER_NAME": f"localhost:{port}",
        "CANAILLE": {
            "DATABASE": "memory",
            "JAVASCRIPT": False,
            "ACL": {"DEFAULT": {"PERMISSIONS": ["use_oidc"]}},
        },
        "CANAILLE_OIDC": {"ACTIVE_JWKS": [key.as_dict(private=True)]},
    }


def fill(app: Any, base_url: str) -> None:
    """Create the user and the client."""
    models = import_module("canaille.app").models
    backend = import_module("canaille.backends").Backend.instance
    with app.app_context():
        user = models.User(
            formatted_name="Dana Demo", family_name="Demo", user_name=USER,
            emails=["dana@example.com"], password=PASSWORD,
        )  # fmt: skip
        backend.save(user)
        client = models.Client(
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            client_name="BFF",
            client_id_issued_at=datetime.datetime.now(datetime.UTC),
            redirect_uris=[f"{base_url}/auth/callback"],
            post_logout_redirect_uris=[f"{base_url}/auth/logged-out"],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            scope=["openid", "profile", "email", "offline_access"],
            token_endpoint_auth_method="client_secret_basic",
            id_token_signed_response_alg="RS256",
        )
        backend.save(client)
        client.audience = [client]
        backend.save(client)


def main() -> None:
    """Serve until stopped."""
    port, base_url = int(sys.argv[1]), sys.argv[2]
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    app = import_module("canaille").create_app(config=configuration(port), env_file=None)
    fill(app, base_url)
    make_server("localhost", port, app).serve_forever()


if __name__ == "__main__":
    main()
