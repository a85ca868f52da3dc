"""Two cookies with our name are told in the audit log wherever the cookie is read, and once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.processes import free_port
from tests.support.signing_in import NAVIGATION

ROUTES = """
[[route]]
prefix = "/open"
upstream = "http://127.0.0.1:{port}"
token = "optional"
"""
FETCHED = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/auth/login", NAVIGATION),
        ("/auth/callback?state=x&code=y", NAVIGATION),
        ("/auth/profile", FETCHED),
        ("/open/x", FETCHED),
    ],
)
@pytest.mark.parametrize("planted", ["junk", "A" * 43])
def test_two_cookies_of_our_name_are_told(
    receiver_for: MakeReceiver, audit_lines: AuditLines, tmp_path: Path, path: str,
    headers: dict[str, str], planted: str,
) -> None:  # fmt: skip
    """No cookie is of a session: a sibling may have planted both."""
    file = tmp_path / "routes.toml"
    file.write_text(ROUTES.format(port=free_port()))
    receiver = receiver_for(BFF_ROUTES_FILE=str(file))
    name = "__Host-Http-session" if receiver.config.https else "session"
    client = receiver.app.test_client(use_cookies=False)
    for cookies, told in ((1, 0), (2, 1)):
        seen = len(audit_lines())
        sent = "; ".join(f"{name}={planted}" for _ in range(cookies))
        client.get(path, headers=headers | {"Cookie": sent})
        events = [line["event"] for line in audit_lines()[seen:]]
        assert events.count("cookie_repeated") == told
