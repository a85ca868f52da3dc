"""What does `/auth/verify` hand out for a token that is bound to a key (RFC 9449)?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from werkzeug.test import TestResponse

from bff.access.session_cookie import cookie_name
from bff.core.dpop import DPoPKeys
from tests.gateway.test_dpop import claims_of
from tests.support.fixtures import MakeReceiver
from tests.support.raw_upstream import Seen
from tests.support.receiver import Receiver

KEY = "k" * 32
JKT = DPoPKeys(["0123456789abcdef0123456789abcdef"]).newest.jkt
ROUTES = """
[[route]]
prefix = "/api"
upstream = "http://127.0.0.1:9/v1"

[[route]]
prefix = "/strict"
upstream = "http://127.0.0.1:9"
dpop = "required"
dpop_url = "https://api.example.com/strict"

[[route]]
prefix = "/maybe"
upstream = "http://127.0.0.1:9"
token = "optional"
dpop = "required"

[[route]]
prefix = "/open"
upstream = "http://127.0.0.1:9"
token = "none"
"""


@pytest.fixture
def bff(receiver_for: MakeReceiver, tmp_path: Path) -> Receiver:
    file = tmp_path / "routes.toml"
    file.write_text(ROUTES)
    return receiver_for(
        BFF_FORWARD_AUTH_KEY=KEY, BFF_TRUSTED_PROXIES="127.0.0.1", BFF_ROUTES_FILE=str(file),
        BFF_API_URL="", BFF_DPOP="auto",
    )  # fmt: skip


def verify(bff: Receiver, uri: str, jkt: str | None, method: str = "GET") -> TestResponse:
    """As a proxy asks about a request of somebody whose token is bound to *jkt*."""
    fields = {
        "X-Forward-Auth-Key": KEY, "X-Original-Method": method, "X-Original-URI": uri,
        "Sec-Fetch-Site": "same-origin", "DPoP": "the client's",
    }  # fmt: skip
    if jkt is not None:
        sign_in = bff.sign_in()
        tokens = msgspec.structs.replace(sign_in.tokens, jkt=jkt)
        cookie_id = bff.services.sessions.start(msgspec.structs.replace(sign_in, tokens=tokens))
        fields["Cookie"] = f"{cookie_name(bff.config)}={cookie_id}"
    route = "/" + uri.split("/")[1]
    client = bff.app.test_client(use_cookies=False)
    return client.get(
        f"/auth/verify?route={route}", headers=fields, environ_base={"REMOTE_ADDR": "127.0.0.1"}
    )


def proof_in(response: TestResponse) -> dict[str, Any]:
    return claims_of(Seen(f"GET / HTTP/1.1\r\ndpop: {response.headers['DPoP']}\r\n\r\n".encode()))


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_bound_token_comes_with_a_proof_for_the_request_that_is_asked_about(
    bff: Receiver, method: str
) -> None:
    response = verify(bff, "/api/a%2Fb?x=1", JKT, method)
    assert (response.status_code, response.headers["Authorization"]) == (204, "DPoP access-1")
    claims = proof_in(response)
    assert (claims["htm"], claims["htu"]) == (method, "http://127.0.0.1:9/v1/a%2Fb")
    assert claims["jkt"] == JKT
    assert claims["ath"]


def test_its_address_is_what_the_api_takes_for_its_own(bff: Receiver) -> None:
    claims = proof_in(verify(bff, "/strict/items", JKT))
    assert claims["htu"] == "https://api.example.com/strict/items"


@pytest.mark.parametrize(
    ("uri", "jkt", "authorization"),
    [
        ("/api/x", "", "Bearer access-1"),
        ("/maybe/x", None, None),
        ("/open/x", None, None),
        ("/open/x", JKT, None),
    ],
)
def test_without_a_bound_token_there_is_no_proof(
    bff: Receiver, uri: str, jkt: str | None, authorization: str | None
) -> None:
    response = verify(bff, uri, jkt)
    assert response.status_code == 204
    assert response.headers.get("Authorization") == authorization
    assert "DPoP" not in response.headers


@pytest.mark.parametrize("uri", ["/strict/x", "/maybe/x"])
def test_a_route_that_demands_a_bound_token_gives_no_bearer_token_away(
    bff: Receiver, uri: str
) -> None:
    response = verify(bff, uri, "")
    assert (response.status_code, response.headers["X-BFF-Code"]) == (502, "token_not_bound")
    assert "Authorization" not in response.headers
    assert "access-" not in response.text
