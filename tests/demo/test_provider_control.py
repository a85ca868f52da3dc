"""How is the demo provider controlled? Faults, counts, forgeries, keys, and the process."""

import base64
import hmac
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from demo.provider import ClientSettings, ProviderSettings
from demo.provider.__main__ import main
from demo.provider.forgery import WRONG_ISSUER
from tests.support.provider_client import (
    CLIENT_ID,
    ProviderClient,
    StartClient,
    header_and_claims,
)
from tests.support.provider_form import TIMEOUT_SECONDS
from tests.support.waiting import wait_for

SHORT_SECONDS = 0.3
PROCESS_SECONDS = 60


@pytest.fixture
def client(start_client: StartClient) -> Iterator[ProviderClient]:
    """A client of a provider with the default settings."""
    yield start_client()


def discovery(client: ProviderClient, timeout: float = TIMEOUT_SECONDS) -> requests.Response:
    url = f"{client.issuer}.well-known/openid-configuration"
    return requests.get(url, timeout=timeout)


@pytest.mark.parametrize("key", [None, "wrong"])
def test_control_needs_its_key(client: ProviderClient, key: str | None) -> None:
    headers = {} if key is None else {"X-Control-Key": key}
    for method, path in [("GET", "tokens"), ("GET", "counts"), ("POST", "keys/rotate")]:
        response = requests.request(
            method, f"{client.issuer}_control/{path}", headers=headers, timeout=TIMEOUT_SECONDS
        )
        assert response.status_code == 403


@pytest.mark.parametrize(
    "fault",
    [{"endpoint": "token", "do": "dance"}, {"endpoint": "moon", "do": "hang"}, {"x": 1}],
)
def test_invalid_fault_is_400(client: ProviderClient, fault: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="error"):
        client.control("POST", "faults", **fault)
    assert client.control("GET", "faults") == []


def test_status_for_the_next_n_requests_only(client: ProviderClient) -> None:
    headers = {"Retry-After": "7"}
    client.control(
        "POST", "faults", endpoint="discovery", do="status", times=2, status=429, headers=headers
    )
    for _ in range(2):
        response = discovery(client)
        assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
        assert response.json()["error"] == "too_many_requests"
    assert discovery(client).status_code == 200
    assert client.counts()["discovery"] == 3


def test_fault_for_one_grant_type_leaves_the_other_alone(client: ProviderClient) -> None:
    client.control("POST", "faults", endpoint="token", grant_type="refresh_token", do="status")
    refresh_token = client.tokens()["refresh_token"]
    assert client.refresh(refresh_token).status_code == 503
    assert client.state_of(refresh_token) == "active"
    assert client.refresh(refresh_token).status_code == 200


def test_garbage_is_200_and_no_json(client: ProviderClient) -> None:
    client.control("POST", "faults", endpoint="jwks", do="garbage")
    response = client.get(f"{client.issuer}.well-known/jwks.json")
    assert response.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        response.json()


def test_hang_holds_the_response_until_released(client: ProviderClient) -> None:
    refresh_token = client.tokens()["refresh_token"]
    client.control("POST", "faults", endpoint="token", do="hang")
    with ThreadPoolExecutor(1) as pool:
        response = pool.submit(client.refresh, refresh_token)
        with pytest.raises(TimeoutError):
            response.result(SHORT_SECONDS)
        wait_for(lambda: client.state_of(refresh_token) == "rotated", "the rotation")
        assert not response.done()
        client.control("DELETE", "faults")
        assert response.result(TIMEOUT_SECONDS).status_code == 200


def test_hang_ends_when_the_client_disconnects(client: ProviderClient) -> None:
    client.control("POST", "faults", endpoint="discovery", do="hang")
    with pytest.raises(requests.ReadTimeout):
        discovery(client, timeout=SHORT_SECONDS)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while "discovery.client_left" not in client.counts():
        assert time.monotonic() < deadline, "the provider still holds the call"
    assert discovery(client).status_code == 200


def test_delay_is_waited_out(client: ProviderClient) -> None:
    client.control("POST", "faults", endpoint="discovery", do="delay", seconds=SHORT_SECONDS)
    response = discovery(client)
    assert response.status_code == 200
    assert response.elapsed.total_seconds() >= SHORT_SECONDS


def test_drip_takes_its_time_for_each_byte_and_arrives_whole(client: ProviderClient) -> None:
    """A client with a timeout per read waits for all of it."""
    whole = discovery(client).text
    client.control("POST", "faults", endpoint="discovery", do="drip", seconds=0.0002)
    began = time.monotonic()
    assert discovery(client).text == whole
    assert time.monotonic() - began >= 0.0002 * len(whole)


def test_counts_are_exact_under_concurrency(client: ProviderClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.revoke("made-up"), range(80)))
    assert client.counts()["revoke.ok"] == 80
    client.control("DELETE", "counts")
    assert client.counts() == {}


def test_every_token_is_listed(client: ProviderClient) -> None:
    tokens = client.tokens()
    newer = client.refresh(tokens["refresh_token"]).json()
    listed = {t["value"]: t for t in client.control("GET", "tokens")}
    kinds = ("access_token", "refresh_token", "id_token")
    assert {t[kind] for t in (tokens, newer) for kind in kinds} < set(listed)
    assert [t["kind"] for t in listed.values()].count("code") == 1
    first, second = (listed[t["refresh_token"]] for t in (tokens, newer))
    assert first["family_id"] == second["family_id"]
    assert (first["state"], second["state"]) == ("rotated", "active")
    assert second["parent"] == first["value"]
    assert second["expires_at"] == first["expires_at"]
    assert (first["sub"], first["client_id"]) == ("auth0|demo", CLIENT_ID)


def test_claims_and_header_of_the_next_id_token_are_forged(client: ProviderClient) -> None:
    client.control(
        "POST", "id_token", override={"aud": "other", "nonce": None}, header={"kid": "k"}
    )
    header, claims = header_and_claims(client.tokens()["id_token"])
    assert (header["kid"], claims["aud"]) == ("k", "other")
    assert "nonce" not in claims
    assert header_and_claims(client.tokens()["id_token"])[1]["aud"] == CLIENT_ID


def test_forged_claims_are_signed_with_the_real_key(client: ProviderClient) -> None:
    client.control("POST", "id_token", override={"exp": 1})
    id_token = client.tokens()["id_token"]
    assert jwt.decode(id_token, published_keys(client), ["RS256"]).claims["exp"] == 1


def test_id_token_can_be_left_out(client: ProviderClient) -> None:
    client.control("POST", "id_token", omit=True)
    assert "id_token" not in client.tokens()


@pytest.mark.parametrize(
    ("alg", "stated"),
    [("none", "none"), ("HS256-with-public-key", "HS256"), ("RS256-with-other-key", "RS256")],
)
def test_algorithms_are_forged(client: ProviderClient, alg: str, stated: str) -> None:
    client.control("POST", "id_token", alg=alg)
    id_token = client.tokens()["id_token"]
    assert header_and_claims(id_token)[0]["alg"] == stated
    with pytest.raises(JoseError):
        jwt.decode(id_token, published_keys(client), ["RS256"])


def test_symmetric_signature_is_made_with_the_published_key(client: ProviderClient) -> None:
    client.control("POST", "id_token", alg="HS256-with-public-key")
    signed, _, signature = client.tokens()["id_token"].rpartition(".")
    key = published_keys(client).keys[0]
    assert isinstance(key, RSAKey)
    public_key = key.as_pem(private=False)
    expected = hmac.digest(public_key, signed.encode(), "sha256")
    assert base64.urlsafe_b64decode(signature + "=") == expected


def test_authorization_response_is_forged(client: ProviderClient) -> None:
    client.control("POST", "authorize", iss="wrong", state="another")
    forged = client.sign_in()
    assert (forged["iss"], forged["state"]) == (WRONG_ISSUER, "another")
    assert "iss" not in client.sign_in()


def test_discovery_is_changed_until_cleared(client: ProviderClient) -> None:
    client.control("POST", "discovery", issuer=WRONG_ISSUER, revocation_endpoint=None)
    assert discovery(client).json()["issuer"] == WRONG_ISSUER
    assert "revocation_endpoint" not in discovery(client).json()
    client.control("DELETE", "faults")
    assert discovery(client).json()["issuer"] == client.issuer


def test_rotated_keys_are_published_beside_the_old_ones(client: ProviderClient) -> None:
    old = client.tokens()["id_token"]
    kid = client.control("POST", "keys/rotate")["kid"]
    new = client.tokens()["id_token"]
    assert header_and_claims(new)[0]["kid"] == kid
    for id_token in (old, new):
        jwt.decode(id_token, published_keys(client), ["RS256"])
    client.control("POST", "keys/rotate", drop_old=True)
    with pytest.raises(JoseError):
        jwt.decode(new, published_keys(client), ["RS256"])


def test_connection_is_kept_open(client: ProviderClient) -> None:
    with requests.Session() as session:
        for _ in range(3):
            url = f"{client.issuer}.well-known/jwks.json"
            assert session.post(url, data="x" * 99).status_code == 405
            assert session.get(url).status_code == 200
        pools = cast(requests.adapters.HTTPAdapter, session.get_adapter(client.issuer))
        (key,) = pools.poolmanager.pools.keys()
        pool = pools.poolmanager.pools[key]
        assert (pool.num_connections, pool.num_requests) == (1, 6)


def published_keys(client: ProviderClient) -> KeySet:
    return KeySet.import_key_set(client.get(f"{client.issuer}.well-known/jwks.json").json())


def test_process_prints_that_it_is_ready_and_stops_on_sigterm(tmp_path: Path) -> None:
    config = tmp_path / "provider.json"
    config.write_text(json.dumps({"clients": two_clients(), "overlap_seconds": 9}))
    process = start_process("--config", str(config), "--port", "0", "--iss-parameter")
    try:
        assert process.stdout
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        assert ready["issuer"] == f"http://127.0.0.1:{ready['port']}/"
        response = requests.get(
            f"{ready['issuer']}_control/counts",
            headers={"X-Control-Key": ready["control_key"]},
            timeout=TIMEOUT_SECONDS,
        )
        assert response.json() == {}
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=PROCESS_SECONDS)
    assert process.returncode == 0
    assert rest == ("", "")


def two_clients() -> list[dict[str, Any]]:
    return [
        {"client_id": "one", "client_secret": "s", "redirect_uris": ["http://localhost/cb"]},
        {
            "client_id": "two",
            "token_endpoint_auth_method": "private_key_jwt",
            "public_jwk": RSAKey.generate_key(2048).as_dict(private=False),
        },
    ]


def start_process(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "demo.provider", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_port_in_use_is_one_clear_line(
    client: ProviderClient, capsys: pytest.CaptureFixture[str]
) -> None:
    port = client.issuer.rstrip("/").rpartition(":")[2]
    assert main(["--port", port]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert port in said


@pytest.mark.parametrize(
    "values",
    [
        {"unknown": 1},
        {"access_token_dialect": "latin"},
        {"clients": [{"client_id": "x"}]},
        {"clients": [{"client_id": "x", "token_endpoint_auth_method": "private_key_jwt"}]},
        {"clients": [{"client_id": "x", "token_endpoint_auth_method": "none"}]},
    ],
)
def test_wrong_setting_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"unknown|must be|needs"):
        ProviderSettings.from_mapping(values)


def test_secrets_are_not_in_the_repr_of_settings() -> None:
    client = ClientSettings("id", "the-secret")
    settings = ProviderSettings(clients=(client,), control_key="the-key")
    assert "the-secret" not in repr(settings)
    assert "the-key" not in repr(settings)


def test_the_lifetime_of_access_tokens_can_be_changed(client: ProviderClient) -> None:
    client.control("POST", "lifetimes", access_token_seconds=7)
    response = client.tokens()
    _, claims = header_and_claims(response["access_token"])
    assert response["expires_in"] == 7
    assert claims["exp"] - claims["iat"] == 7
