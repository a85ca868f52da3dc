"""How does a request with a bound token prove to an API that the token is ours (RFC 9449)?"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey
from werkzeug.test import Client, TestResponse

from bff.config import load
from bff.config.route import Route
from bff.core.dpop import BoundToken, DPoPKeys
from bff.core.errors import BFFError
from bff.gateway.unrouted import FlaskWithUnroutedRequests
from tests.gateway.app import DEFAULTS, OpenAccess, add_proxy
from tests.support.raw_upstream import RESPONSE, RawUpstream, Seen, Wire, responding

SECRET, NEW_SECRET = DEFAULTS["AUTH0_SECRET"], "n" * 32
KEYS = DPoPKeys([SECRET, NEW_SECRET])
OLD, NEW = (DPoPKeys([secret]).newest.jkt for secret in (SECRET, NEW_SECRET))
TOKEN = "bound.access~token"
ATH = base64.urlsafe_b64encode(hashlib.sha256(TOKEN.encode()).digest()).rstrip(b"=").decode()


class BoundAccess(OpenAccess):
    """Every request has the same access token, bound to a key or not."""

    token: str = BoundToken(TOKEN, OLD)

    def access_token(self, route: Route) -> str | None:
        return self.token


class Front:
    """The proxy of one route, in this process."""

    def __init__(self, folder: Path, *addresses: str, **keys: Any) -> None:
        self.access = BoundAccess()
        file = folder / "routes.toml"
        route = {"prefix": "/api", "upstream": list(addresses)} | keys
        lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in route.items())
        file.write_text(f"[[route]]\n{lines}\n")
        settings = {"BFF_DPOP": "auto", "AUTH0_SECRET": f"{SECRET},{NEW_SECRET}"}
        config = load(DEFAULTS | settings | {"BFF_ROUTES_FILE": str(file)})
        app = FlaskWithUnroutedRequests(__name__, static_folder=None)

        @app.errorhandler(BFFError)
        def refuse(error: BFFError) -> tuple[str, int]:
            return error.code, error.status

        add_proxy(app, config, self.access)
        self.client = Client(app, TestResponse)

    def send(self, path: str = "/api/items", method: str = "GET", **more: Any) -> TestResponse:
        return self.client.open(path, method=method, **more)


MakeFront = Callable[..., Front]


@pytest.fixture
def front_for(raw: RawUpstream, tmp_path: Path) -> Iterator[MakeFront]:
    """Makes proxies in front of *raw*, or of other addresses."""

    def make(*addresses: str, **keys: Any) -> Front:
        return Front(tmp_path, *(addresses or (raw.url,)), **keys)

    yield make


def claims_of(seen: Seen) -> dict[str, Any]:
    """The claims of the only proof, once it is checked with the key that is in it."""
    proof = seen.get("dpop")
    assert proof is not None
    header, claims, _ = map(decoded, proof.split(".")[:2] + ["e30"])
    assert header == {"typ": "dpop+jwt", "alg": "ES256", "jwk": header["jwk"]}
    key = ECKey.import_key(header["jwk"])
    jws.deserialize_compact(proof, key, algorithms=["ES256"])
    return claims | {"jkt": key.thumbprint()}


def decoded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


# ---------------------------------------------------------------- one request
@pytest.mark.parametrize("jkt", [OLD, NEW])
def test_the_api_gets_the_token_and_a_proof_by_the_key_it_is_bound_to(
    raw: RawUpstream, front_for: MakeFront, jkt: str
) -> None:
    front = front_for()
    front.access.token = BoundToken(TOKEN, jkt)
    assert front.send("/api/items?q=1", "DELETE").status_code == 200
    (seen,) = raw.seen
    assert seen.get("authorization") == f"DPoP {TOKEN}"
    claims = claims_of(seen)
    assert (claims["htm"], claims["htu"]) == ("DELETE", f"{raw.url}/items")
    assert (claims["ath"], claims["jkt"]) == (ATH, jkt)
    assert "nonce" not in claims


def test_a_bearer_token_goes_as_before(raw: RawUpstream, front_for: MakeFront) -> None:
    front = front_for()
    front.access.token = TOKEN
    front.send(headers={"DPoP": "the client's"})
    assert raw.seen[0].get("authorization") == f"Bearer {TOKEN}"
    assert raw.seen[0].get("dpop") is None


@pytest.mark.parametrize("name", ["DPoP", "dpop", "DPOP", "D-PoP", "DPoP-Nonce"])
def test_the_clients_proof_never_passes(raw: RawUpstream, front_for: MakeFront, name: str) -> None:
    front_for().send(headers={name: "smuggled"})
    assert "smuggled" not in (raw.seen[0].get("dpop") or "")
    claims_of(raw.seen[0])


@pytest.mark.parametrize(
    ("keys", "path", "htu"),
    [
        ({}, "/api/a%2Fb;v=1?x=/y", "{url}/a%2Fb;v=1"),
        ({}, "/api", "{url}/"),
        ({"strip_prefix": False}, "/api/items", "{url}/api/items"),
        ({"dpop_url": "https://api.example.com"}, "/api/items", "https://api.example.com/items"),
        ({"dpop_url": "https://api.example.com"}, "/api", "https://api.example.com/"),
        ({"dpop_url": "https://api.example.com/"}, "/api/", "https://api.example.com/"),
        ({"dpop_url": "https://a.example:8443/x"}, "/api/i?q", "https://a.example:8443/x/i"),
        (
            {"dpop_url": "https://a.example/x", "strip_prefix": False},
            "/api/i",
            "https://a.example/x/api/i",
        ),
    ],
)
def test_the_proof_names_what_the_api_takes_for_its_address(
    raw: RawUpstream, front_for: MakeFront, keys: dict[str, Any], path: str, htu: str
) -> None:
    front_for(**keys).send(path)
    assert claims_of(raw.seen[0])["htu"] == htu.format(url=raw.url)


def test_dpop_url_stands_for_the_upstreams_own_path_too(
    raw: RawUpstream, front_for: MakeFront
) -> None:
    front_for(f"{raw.url}/v1", dpop_url="https://api.example.com").send("/api/v1/items")
    assert raw.seen[0].target == "/v1/v1/items"
    assert claims_of(raw.seen[0])["htu"] == "https://api.example.com/v1/items"


def test_each_of_several_addresses_is_named(raw: RawUpstream, front_for: MakeFront) -> None:
    with RawUpstream() as other:
        front = front_for(raw.url, other.url)
        for _ in range(4):
            front.send()
        for api in (raw, other):
            assert {claims_of(one)["htu"] for one in api.seen} == {f"{api.url}/items"}


def test_no_proof_is_sent_twice(raw: RawUpstream, front_for: MakeFront) -> None:
    front = front_for()
    for _ in range(20):
        front.send()
    assert len({claims_of(seen)["jti"] for seen in raw.seen}) == 20


def test_a_token_whose_key_is_gone_reaches_nobody(raw: RawUpstream, front_for: MakeFront) -> None:
    front = front_for()
    front.access.token = BoundToken(TOKEN, "of-another")
    assert (front.send().status_code, raw.seen) == (503, [])


# ---------------------------------------------------------------- sent again
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_read_that_an_idle_connection_swallows_goes_again_with_another_proof(
    raw: RawUpstream, front_for: MakeFront, method: str
) -> None:
    """libcurl by itself would send the same header lines again."""

    def acts_and_hangs_up(upstream: RawUpstream, wire: Wire) -> None:
        for response in (RESPONSE, b""):
            if (seen := wire.read_request()) is None:
                return
            upstream.note(seen)
            wire.send(response)

    raw.script = acts_and_hangs_up
    front = front_for()
    front.send()
    assert front.send(method=method).status_code == 200
    first, second, third = (seen.connection for seen in raw.seen)
    assert first == second != third
    assert len({claims_of(seen)["jti"] for seen in raw.seen}) == 3


@pytest.mark.parametrize(("method", "body"), [("POST", b"x"), ("DELETE", None), ("POST", None)])
def test_a_write_that_an_idle_connection_swallows_is_sent_once(
    raw: RawUpstream, front_for: MakeFront, method: str, body: bytes | None
) -> None:
    def acts_and_hangs_up(upstream: RawUpstream, wire: Wire) -> None:
        for response in (RESPONSE, b""):
            if (seen := wire.read_request()) is None:
                return
            upstream.note(seen)
            wire.send(response)

    raw.script = acts_and_hangs_up
    front = front_for()
    front.send()
    assert front.send(method=method, data=body).status_code == 502
    assert len(raw.seen) == 2


# ---------------------------------------------------------------- nonces
DEMAND = 'DPoP error="use_dpop_nonce", error_description="Resource server requires nonce"'


def demand(challenge: str = DEMAND, nonce: str | None = "first", status: int = 401) -> bytes:
    line = f"DPoP-Nonce: {nonce}\r\n" if nonce else ""
    head = f"HTTP/1.1 {status} No\r\nWWW-Authenticate: {challenge}\r\n{line}"
    return f"{head}Content-Length: 2\r\n\r\nno".encode()


def demanding(*responses: bytes, then: bytes = RESPONSE) -> Callable[[RawUpstream, Wire], None]:
    left = list(responses)

    def script(upstream: RawUpstream, wire: Wire) -> None:
        while seen := wire.read_request():
            upstream.note(seen)
            wire.send(left.pop(0) if left else then)

    return script


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("POST", b""), ("DELETE", None)])
def test_a_demanded_nonce_is_sent_with_a_new_proof_and_kept(
    raw: RawUpstream, front_for: MakeFront, method: str, body: bytes | None
) -> None:
    raw.script = demanding(demand())
    front = front_for()
    response = front.send(method=method, data=body)
    assert response.status_code == 200
    front.send()
    claims = [claims_of(seen) for seen in raw.seen]
    assert [one.get("nonce") for one in claims] == [None, "first", "first"]
    assert len({one["jti"] for one in claims}) == 3


def test_a_body_is_not_kept_so_the_page_hears_of_it_once(
    raw: RawUpstream, front_for: MakeFront
) -> None:
    raw.script = demanding(demand())
    front = front_for()
    assert front.send(method="POST", data=b"x").status_code == 401
    assert front.send(method="POST", data=b"x").status_code == 200
    assert [claims_of(seen).get("nonce") for seen in raw.seen] == [None, "first"]


def test_the_newest_nonce_counts_and_never_reaches_the_browser(
    raw: RawUpstream, front_for: MakeFront
) -> None:
    raw.script = responding(b"HTTP/1.1 200 OK\r\nDPoP-Nonce: next\r\nContent-Length: 2\r\n\r\nok")
    front = front_for()
    for _ in range(2):
        assert "DPoP-Nonce" not in front.send().headers
    assert [claims_of(seen).get("nonce") for seen in raw.seen] == [None, "next"]


@pytest.mark.parametrize(
    "answer",
    [
        demand(nonce=None),
        demand(nonce="x" * 600),
        demand(nonce='a"b'),
        demand('DPoP error="invalid_token"'),
        demand('Bearer error="use_dpop_nonce"'),
        demand('DPoP error="use_dpop_nonce", error="x"'),
        demand('Basic realm="error=use_dpop_nonce"'),
        demand(status=403),
        demand(status=400),
    ],
)
def test_any_other_answer_passes(raw: RawUpstream, front_for: MakeFront, answer: bytes) -> None:
    raw.script = demanding(answer)
    response = front_for().send()
    assert (response.status_code, response.data) == (int(answer[9:12]), b"no")
    assert "DPoP-Nonce" not in response.headers
    assert len(raw.seen) == 1


def test_a_nonce_that_never_suffices_is_no_loop(raw: RawUpstream, front_for: MakeFront) -> None:
    raw.script = responding(demand())
    assert front_for().send().status_code == 401
    assert len(raw.seen) == 2


def test_a_bearer_token_is_never_sent_again_for_a_nonce(
    raw: RawUpstream, front_for: MakeFront
) -> None:
    raw.script = responding(demand())
    front = front_for()
    front.access.token = TOKEN
    assert front.send().status_code == 401
    assert len(raw.seen) == 1


def test_each_address_has_nonces_of_its_own(raw: RawUpstream, front_for: MakeFront) -> None:
    named = "HTTP/1.1 200 OK\r\nDPoP-Nonce: {}\r\nContent-Length: 2\r\n\r\nok"
    with RawUpstream(responding(named.format("b").encode())) as other:
        raw.script = responding(named.format("a").encode())
        front = front_for(raw.url, other.url)
        for _ in range(6):
            front.send()
        assert {claims_of(one).get("nonce") for one in raw.seen} == {None, "a"}
        assert {claims_of(one).get("nonce") for one in other.seen} == {None, "b"}
