"""deploy/: nginx, Caddy and Traefik pass the proof of a bound token on, and no client's own."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from bff.core.dpop import DPoPKeys
from bff.core.sealing import Sealer
from tests.deploy.installation import Installation
from tests.deploy.test_every_proxy import PROXIES
from tests.gateway.test_dpop import claims_of
from tests.support.ageing import record_name, session_key, stored_tokens
from tests.support.browser_client import BrowserClient
from tests.support.raw_upstream import Seen


@pytest.fixture(scope="module", params=PROXIES.values(), ids=list(PROXIES))
def here(request: pytest.FixtureRequest) -> Iterator[Installation]:
    with request.param() as here:
        yield here


def bind_access_token(here: Installation, browser: BrowserClient) -> str:
    """Note that the session's token is bound to the BFF's key; returns the thumbprint."""
    cluster, cookie = here.cluster, browser.cookie
    jkt = DPoPKeys([cluster.secret]).newest.jkt
    tokens = msgspec.structs.replace(stored_tokens(cluster, cookie), jkt=jkt)
    context = f"session {session_key(cookie)} tokens"
    sealed = Sealer([cluster.secret]).seal(msgspec.json.encode(tokens), context)
    cluster.store().hset(record_name(cluster, cookie), "tokens", sealed)
    cluster.wait_for_caches()
    return jkt


def test_a_bound_token_reaches_the_api_with_a_proof_of_ours(here: Installation) -> None:
    browser = here.browser()
    jkt = bind_access_token(here, browser)
    proofs = set()
    for method in ("GET", "DELETE", "GET"):
        response = browser.fetch(method, "/api/items?n=1", headers={"DPoP": "smuggled"})
        told = response.json()
        fields = told["fields"]
        assert fields["authorization"].startswith("DPoP ")
        lines = f"{method} / HTTP/1.1\r\ndpop: {fields['dpop']}\r\n\r\n"
        claims = claims_of(Seen(lines.encode()))
        assert (claims["htm"], claims["jkt"]) == (method, jkt)
        assert claims["htu"] == f"http://127.0.0.1:{here.api.port}/items"
        proofs.add(claims["jti"])
    assert len(proofs) == 3


@pytest.mark.parametrize("name", ["DPoP", "dpop", "D_PoP"])
def test_with_a_bearer_token_no_client_has_a_proof(here: Installation, name: str) -> None:
    fields = here.browser().api("/items", headers={name: "smuggled"}).json()["fields"]
    assert fields["authorization"].startswith("Bearer ")
    assert "smuggled" not in fields.values()
    assert "dpop" not in fields
