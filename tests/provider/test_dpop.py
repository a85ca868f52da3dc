"""Which token requests carry a proof, and which answers to it are taken (RFC 9449)?"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from bff.config.route import ACCESS_TOKEN_TYPE, TokenRule
from bff.core.dpop import BoundToken, DPoPKeys
from bff.core.errors import (
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
    TokenResponseUnusable,
)
from bff.provider.route_grants import rejection_reason
from tests.support.fake_provider import FakeProvider, Reply, Request, transaction
from tests.support.standalone_provider import ListingSink, StandaloneProvider

MakeClient = Callable[..., StandaloneProvider]

SECRET, NEW_SECRET = "0123456789abcdef0123456789abcdef", "n" * 32
KEY = DPoPKeys([SECRET]).newest
EXCHANGE = TokenRule(mode="exchange", audience="https://orders")
CLIENT = TokenRule(mode="client", audience="https://stock")
NEVER = TokenRule(mode="client", audience="https://stock", dpop="never")
AUDIENCE = TokenRule(mode="audience", audience="https://orders")
AUDIENCE_NEVER = TokenRule(mode="audience", audience="https://orders", dpop="never")

GRANTS: dict[str, Callable[[StandaloneProvider], Any]] = {
    "code": lambda client: client.exchange_code("the-code", transaction()).tokens,
    "refresh": lambda client: client.refresh("old"),
    "audience": lambda client: client.refresh("old", rule=AUDIENCE),
    "exchange": lambda client: client.exchange("of-the-user", EXCHANGE),
    "client": lambda client: client.client_token(CLIENT),
}


@pytest.fixture(autouse=True)
def announced(fake: FakeProvider) -> None:
    fake.metadata["dpop_signing_alg_values_supported"] = ["RS256", "ES256"]
    answer(fake)


def answer(fake: FakeProvider, kind: str | None = "DPoP", **more: Any) -> None:
    grant = {"token_type": kind, "issued_token_type": ACCESS_TOKEN_TYPE} | more
    fake.token(fake.grant(**grant))


def asked(fake: FakeProvider, path: str = "/oauth/token") -> list[Request]:
    return [one for one in fake.asked if one.path == path]


def proof_of(request: Request) -> str | None:
    named = {name.lower(): value for name, value in request.headers.items()}
    return named.get("dpop")


def claims_of(request: Request) -> dict[str, Any]:
    """The claims of the request's proof, once it is checked with the key that is in it."""
    header, claims, _ = (proof_of(request) or "").split(".")
    jwk = decoded(header)["jwk"]
    assert decoded(header) == {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
    key = ECKey.import_key(jwk)
    jws.deserialize_compact(proof_of(request) or "", key, algorithms=["ES256"])
    return decoded(claims) | {"jkt": key.thumbprint()}


def decoded(part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


@pytest.mark.parametrize("name", GRANTS)
@pytest.mark.parametrize("setting", ["auto", "required"])
def test_every_grant_proves_the_key(
    fake: FakeProvider, client_for: MakeClient, name: str, setting: str
) -> None:
    found = GRANTS[name](client_for((EXCHANGE, CLIENT, AUDIENCE), BFF_DPOP=setting))
    (request,) = asked(fake)
    claims = claims_of(request)
    assert (claims["htm"], claims["htu"]) == ("POST", f"{fake.issuer}oauth/token")
    assert "ath" not in claims
    assert "nonce" not in claims
    assert found.jkt == claims["jkt"] == KEY.jkt


@pytest.mark.parametrize("name", GRANTS)
@pytest.mark.parametrize(
    ("setting", "supported"),
    [("off", ["ES256"]), ("auto", None), ("auto", []), ("auto", ["EdDSA"]), ("auto", "ES256")],
)
def test_without_dpop_nothing_is_proved(
    fake: FakeProvider, client_for: MakeClient, name: str, setting: str, supported: Any
) -> None:
    fake.metadata["dpop_signing_alg_values_supported"] = supported
    answer(fake, "Bearer")
    found = GRANTS[name](client_for((EXCHANGE, CLIENT, AUDIENCE), BFF_DPOP=setting))
    (request,) = asked(fake)
    assert proof_of(request) is None
    assert found.jkt == ""


def test_required_needs_no_announcement(fake: FakeProvider, client_for: MakeClient) -> None:
    del fake.metadata["dpop_signing_alg_values_supported"]
    assert client_for(BFF_DPOP="required").refresh("old").jkt == KEY.jkt


@pytest.mark.parametrize("rule", [NEVER, AUDIENCE_NEVER])
def test_a_route_may_have_a_bearer_token(
    fake: FakeProvider, client_for: MakeClient, rule: TokenRule
) -> None:
    answer(fake, "Bearer")
    client = client_for((rule,), BFF_DPOP="required")
    is_client = rule.mode == "client"
    found = client.client_token(rule) if is_client else client.refresh("old", rule=rule)
    assert proof_of(asked(fake)[0]) is None
    assert found.jkt == ""
    assert rule.name != TokenRule(mode=rule.mode, audience=rule.audience).name


@pytest.mark.parametrize("name", GRANTS)
@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_a_silent_downgrade_is_refused_and_its_refresh_token_discarded(
    fake: FakeProvider, client_for: MakeClient, name: str, kind: str
) -> None:
    answer(fake, kind, refresh_token="unusable")
    sink = ListingSink()
    with pytest.raises(TokenResponseUnusable, match="BFF_DPOP"):
        GRANTS[name](client_for((EXCHANGE, CLIENT, AUDIENCE), sink, BFF_DPOP="required"))
    assert sink.discarded == [("unusable", None)]


def test_auto_takes_a_bearer_token_and_says_so_once(
    fake: FakeProvider, client_for: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer(fake, "Bearer")
    client = client_for(BFF_DPOP="auto")
    with caplog.at_level(logging.WARNING, "bff.provider"):
        assert [client.refresh("old").jkt for _ in range(3)] == ["", "", ""]
    assert len([one for one in caplog.messages if "bearer tokens though proofs" in one]) == 1


@pytest.mark.parametrize("name", [one for one in GRANTS if one != "exchange"])
def test_a_bound_token_without_a_proof_is_refused(
    fake: FakeProvider, client_for: MakeClient, name: str
) -> None:
    with pytest.raises(TokenResponseUnusable, match="token_type"):
        GRANTS[name](client_for((CLIENT, AUDIENCE), ListingSink(), BFF_DPOP="off"))


def test_an_exchanged_token_that_is_bound_to_no_key_of_ours_is_refused(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    issued = client_for((EXCHANGE,), BFF_DPOP="off").exchange("of-the-user", EXCHANGE)
    assert rejection_reason(EXCHANGE, issued) == "wrong_token_type"
    bound = client_for((EXCHANGE,), BFF_DPOP="auto").exchange("of-the-user", EXCHANGE)
    assert rejection_reason(EXCHANGE, bound) is None


@pytest.mark.parametrize("setting", ["off", "auto", "required"])
@pytest.mark.parametrize("supported", [["ES256"], None])
def test_an_operator_hears_that_the_provider_does_not_announce_it(
    fake: FakeProvider,
    client_for: MakeClient,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    supported: list[str] | None,
) -> None:
    """Once at the start, and in `bff check`."""
    fake.metadata["dpop_signing_alg_values_supported"] = supported
    with caplog.at_level(logging.WARNING, "bff.provider"):
        client_for(BFF_DPOP=setting).warm_up_once()
    told = [one for one in caplog.messages if "DPoP" in one]
    assert len(told) == (0 if setting == "off" or supported else 1)


# ---------------------------------------------------------------- nonces
def demand(fake: FakeProvider, *nonces: str | None, status: int = 400) -> None:
    """Demand each of *nonces* once (None: without a value), and accept then."""
    left = list(nonces)

    def reply() -> Reply:
        if not left:
            return Reply(fake.grant(token_type="DPoP"))
        nonce = left.pop(0)
        headers = {"DPoP-Nonce": nonce} if nonce else {}
        return Reply({"error": "use_dpop_nonce"}, status, headers)

    fake.says("/oauth/token", reply)


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize("name", ["code", "refresh", "client"])
def test_a_demanded_nonce_is_sent_with_a_new_proof_and_kept(
    fake: FakeProvider, client_for: MakeClient, name: str, status: int
) -> None:
    demand(fake, "first", status=status)
    client = client_for((CLIENT,), BFF_DPOP="auto")
    assert GRANTS[name](client).jkt == KEY.jkt
    first, second = map(claims_of, asked(fake))
    assert "nonce" not in first
    assert second["nonce"] == "first"
    assert first["jti"] != second["jti"]
    client.refresh("old")
    assert claims_of(asked(fake)[2])["nonce"] == "first"


def test_the_newest_nonce_counts_also_that_of_a_success(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    fake.token(fake.grant(token_type="DPoP"), DPoP_Nonce="next")
    client = client_for(BFF_DPOP="auto")
    client.refresh("old")
    client.refresh("old")
    assert [claims_of(one).get("nonce") for one in asked(fake)] == [None, "next"]


@pytest.mark.parametrize(
    ("nonces", "requests"),
    [((None,), 1), (("a b",), 1), (("x" * 600,), 1), (("one", "two", "three"), 2)],
)
def test_a_nonce_that_never_suffices_is_an_outage_and_no_loop(
    fake: FakeProvider, client_for: MakeClient, nonces: tuple[str | None, ...], requests: int
) -> None:
    demand(fake, *nonces)
    with pytest.raises(ProviderUnavailable, match="nonce") as raised:
        client_for(BFF_DPOP="auto").refresh("old")
    assert not raised.value.maybe_acted
    assert len(asked(fake)) == requests


@pytest.mark.parametrize("setting", ["off", "auto"])
def test_the_error_without_a_proof_is_an_error_as_before(
    fake: FakeProvider, client_for: MakeClient, setting: str
) -> None:
    fake.metadata["dpop_signing_alg_values_supported"] = None
    demand(fake, "first")
    with pytest.raises(ProviderRejected, match="use_dpop_nonce"):
        client_for(BFF_DPOP=setting).refresh("old")
    assert len(asked(fake)) == 1


def test_a_clients_assertion_is_new_with_the_nonce_too(
    fake: FakeProvider, client_for: MakeClient, tmp_path: Path
) -> None:
    """Its `jti` may be used once, as that of the proof (RFC 7523, 3)."""
    file = tmp_path / "key.pem"
    file.write_bytes(RSAKey.generate_key(2048).as_pem(private=True))
    demand(fake, "first")
    settings = {"AUTH0_CLIENT_AUTH": "private_key_jwt", "AUTH0_CLIENT_SECRET": ""}
    client_for(
        BFF_DPOP="auto", AUTH0_CLIENT_PRIVATE_KEY_FILE=str(file), **settings
    ).refresh("old")  # fmt: skip
    assertions = {one.form["client_assertion"] for one in asked(fake)}
    assert len(assertions) == 2


def test_each_of_our_secrets_is_tried_with_a_proof_of_its_own(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    fake.token({"error": "invalid_client"}, 401)
    with pytest.raises(ProviderMisconfigured):
        client_for(BFF_DPOP="auto", AUTH0_CLIENT_SECRET="new\nold").refresh("old")
    jtis = {claims_of(one)["jti"] for one in asked(fake)}
    assert len(jtis) == len(asked(fake)) == 2


# ---------------------------------------------------------------- the sign-in
@pytest.mark.parametrize("pushed", [False, True])
def test_the_code_is_bound_to_the_key_from_the_start(
    fake: FakeProvider, client_for: MakeClient, *, pushed: bool
) -> None:
    """RFC 9449, section 10."""
    if pushed:
        fake.metadata["pushed_authorization_request_endpoint"] = f"{fake.issuer}par"
        fake.says("/par", lambda: Reply({"request_uri": "urn:one", "expires_in": 30}, 201))
    client = client_for(BFF_DPOP="auto")
    begun = transaction(dpop_jkt=client.proofs.jkt_of_sign_in())
    url = client.authorization_url(begun, {})
    in_address = parse_qs(urlsplit(url).query).get("dpop_jkt")
    if pushed:
        assert in_address is None
        assert asked(fake, "/par")[0].form["dpop_jkt"] == KEY.jkt
    else:
        assert in_address == [KEY.jkt]


def test_without_dpop_an_authorization_request_is_as_before(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    client = client_for(BFF_DPOP="off")
    assert client.proofs.jkt_of_sign_in() == ""
    url = client.authorization_url(transaction(), {})
    assert "dpop" not in url


def test_without_metadata_a_sign_in_begins_without_a_thumbprint(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    """What comes next needs the metadata as well, and tells what is wrong."""
    fake.says("/.well-known/openid-configuration", lambda: Reply({}, 500))
    assert client_for(BFF_DPOP="auto").proofs.jkt_of_sign_in() == ""


def test_a_sign_in_over_a_rotation_of_the_secret_proves_the_key_it_began_with(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    client = client_for(BFF_DPOP="auto", AUTH0_SECRET=f"{NEW_SECRET},{SECRET}")
    found = client.exchange_code("the-code", transaction(dpop_jkt=KEY.jkt))
    assert claims_of(asked(fake)[0])["jkt"] == found.tokens.jkt == KEY.jkt
    newest = DPoPKeys([NEW_SECRET]).newest.jkt
    assert client.refresh("old").jkt == newest


# ---------------------------------------------------------------- UserInfo
def test_userinfo_gets_the_token_with_a_proof(fake: FakeProvider, client_for: MakeClient) -> None:
    fake.metadata["userinfo_endpoint"] = f"{fake.issuer}userinfo?tenant=1"
    fake.says("/userinfo", lambda: Reply({"sub": "auth0|demo", "name": "Dana"}))
    found = client_for(BFF_DPOP="auto", BFF_USERINFO="true").exchange_code("c", transaction())
    assert found.identity.claims["name"] == "Dana"
    (request,) = asked(fake, "/userinfo")
    assert request.headers["Authorization"] == "DPoP the-access-token"
    claims = claims_of(request)
    digest = hashlib.sha256(b"the-access-token").digest()
    assert claims["ath"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert (claims["htm"], claims["htu"]) == ("GET", f"{fake.issuer}userinfo")


@pytest.mark.parametrize("nonce", [None, "of-userinfo"])
def test_userinfo_may_demand_a_nonce_of_its_own(
    fake: FakeProvider, client_for: MakeClient, nonce: str | None
) -> None:
    fake.metadata["userinfo_endpoint"] = f"{fake.issuer}userinfo"
    left = [Reply({}, 401, {"DPoP-Nonce": nonce} if nonce else {})]
    fake.says(
        "/userinfo", lambda: left.pop() if left else Reply({"sub": "s", "name": "Dana"})
    )  # fmt: skip
    client = client_for(BFF_DPOP="auto")
    token = BoundToken("t", KEY.jkt)
    if nonce is None:
        with pytest.raises(ProviderUnavailable):
            client.userinfo(token, "s")
        return
    assert client.userinfo(token, "s") == {"name": "Dana"}
    assert [claims_of(one).get("nonce") for one in asked(fake, "/userinfo")] == [None, nonce]
    client.refresh("old")
    assert "nonce" not in claims_of(asked(fake)[0])


def test_userinfo_gets_no_token_whose_key_is_gone(
    fake: FakeProvider, client_for: MakeClient
) -> None:
    fake.metadata["userinfo_endpoint"] = f"{fake.issuer}userinfo"
    with pytest.raises(ProviderUnavailable, match="older secret"):
        client_for(BFF_DPOP="auto").userinfo(BoundToken("t", "of-another"), "s")
    assert not asked(fake, "/userinfo")
