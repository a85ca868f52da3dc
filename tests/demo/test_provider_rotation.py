"""How do refresh tokens behave at the demo provider? Rotation, reuse, overlap, revocation."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import requests

from demo.provider.tokens import TokenMint
from tests.support.provider_client import ProviderClient, StartClient, header_and_claims

OVERLAP_SECONDS = 60
MEETING_SECONDS = 0.5
BAD_REFRESH_TOKEN = {
    "error": "invalid_grant",
    "error_description": "Unknown or invalid refresh token.",
}


def refused(response: requests.Response) -> bool:
    return response.status_code == 403 and response.json() == BAD_REFRESH_TOKEN


def refreshed(client: ProviderClient, refresh_token: str) -> str:
    response = client.refresh(refresh_token)
    assert response.status_code == 200, response.text
    return str(response.json()["refresh_token"])


def test_unknown_refresh_token_is_refused_with_403(start_client: StartClient) -> None:
    client = start_client()
    assert refused(client.refresh("made-up"))
    assert client.counts()["token.refresh_token.invalid_grant"] == 1


def test_reuse_revokes_the_family(start_client: StartClient) -> None:
    client = start_client(overlap_seconds=0)
    first = client.tokens()["refresh_token"]
    second = refreshed(client, first)
    assert refused(client.refresh(first))
    assert refused(client.refresh(second))
    assert client.counts()["token.reuse_detected"] == 1
    assert client.state_of(second) == "revoked"


def test_reuse_leaves_another_sign_in_alone(start_client: StartClient) -> None:
    client = start_client(overlap_seconds=0)
    other = client.tokens()["refresh_token"]
    first = client.tokens()["refresh_token"]
    refreshed(client, first)
    assert refused(client.refresh(first))
    refreshed(client, other)


def test_four_at_once_without_overlap_give_one_200_and_a_revoked_family(
    start_client: StartClient,
) -> None:
    client = start_client(overlap_seconds=0)
    refresh_token = client.tokens()["refresh_token"]
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(client.refresh, [refresh_token] * 4))
    won = [response for response in responses if response.status_code == 200]
    assert len(won) == 1
    assert all(refused(response) for response in responses if response is not won[0])
    assert refused(client.refresh(won[0].json()["refresh_token"]))
    counts = client.counts()
    assert counts["token.refresh_token.ok"] == 1
    assert counts["token.refresh_token.invalid_grant"] == 4
    assert counts["token.reuse_detected"] == 1


def test_two_exchanges_never_run_at_the_same_time(
    start_client: StartClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start_client(overlap_seconds=OVERLAP_SECONDS)
    refresh_token = client.tokens()["refresh_token"]
    meeting = threading.Barrier(2)
    met: list[bool] = []
    mint = TokenMint.bearer_token

    def waiting_for_another(self: TokenMint, *asked: Any) -> dict[str, Any]:
        with suppress(threading.BrokenBarrierError):
            meeting.wait(MEETING_SECONDS)
            met.append(True)
        return mint(self, *asked)

    monkeypatch.setattr(TokenMint, "bearer_token", waiting_for_another)
    with ThreadPoolExecutor(2) as pool:
        responses = list(pool.map(client.refresh, [refresh_token] * 2))
    assert [response.status_code for response in responses] == [200, 200]
    assert not met


def test_each_reuse_in_the_overlap_gives_another_active_token(start_client: StartClient) -> None:
    client = start_client(overlap_seconds=OVERLAP_SECONDS)
    first = client.tokens()["refresh_token"]
    siblings = {refreshed(client, first) for _ in range(3)}
    assert len(siblings) == 3
    assert {client.state_of(sibling) for sibling in siblings} == {"active"}
    assert client.counts()["token.overlap_reuse"] == 2
    for sibling in siblings:
        refreshed(client, sibling)


def test_second_to_last_token_is_a_reuse_even_in_the_overlap(start_client: StartClient) -> None:
    client = start_client(overlap_seconds=OVERLAP_SECONDS)
    first = client.tokens()["refresh_token"]
    third = refreshed(client, refreshed(client, first))
    assert refused(client.refresh(first))
    assert refused(client.refresh(third))
    assert client.counts()["token.reuse_detected"] == 1


def test_overlap_ends_and_is_not_extended_by_a_reuse(start_client: StartClient) -> None:
    client = start_client(overlap_seconds=OVERLAP_SECONDS)
    first = client.tokens()["refresh_token"]
    refreshed(client, first)
    client.control("POST", "clock", advance_seconds=OVERLAP_SECONDS - 5)
    refreshed(client, first)
    client.control("POST", "clock", advance_seconds=5)
    assert refused(client.refresh(first))
    assert client.counts()["token.reuse_detected"] == 1


def test_lifetime_is_counted_from_the_sign_in(start_client: StartClient) -> None:
    client = start_client(refresh_token_seconds=100)
    first = client.tokens()["refresh_token"]
    client.control("POST", "clock", advance_seconds=90)
    second = refreshed(client, first)
    client.control("POST", "clock", advance_seconds=10)
    assert refused(client.refresh(second))
    assert client.state_of(second) == "expired"
    assert "token.reuse_detected" not in client.counts()


def test_dropped_response_has_rotated_and_a_retry_in_the_overlap_succeeds(
    start_client: StartClient,
) -> None:
    client = start_client(overlap_seconds=OVERLAP_SECONDS)
    first = client.tokens()["refresh_token"]
    client.control("POST", "faults", endpoint="token", grant_type="refresh_token", do="drop_after")
    with pytest.raises(requests.ConnectionError):
        client.refresh(first)
    assert client.state_of(first) == "rotated"
    assert client.counts()["token.refresh_token.ok"] == 1
    refreshed(client, first)


def test_dropped_request_has_not_rotated(start_client: StartClient) -> None:
    client = start_client(overlap_seconds=0)
    first = client.tokens()["refresh_token"]
    client.control("POST", "faults", endpoint="token", do="drop_before")
    with pytest.raises(requests.ConnectionError):
        client.refresh(first)
    refreshed(client, first)


def test_blocked_user_gets_no_new_tokens(start_client: StartClient) -> None:
    client = start_client()
    refresh_token = client.tokens()["refresh_token"]
    client.control("POST", "users/demo@example.com/block")
    response = client.refresh(refresh_token)
    assert (response.status_code, response.json()["error"]) == (403, "invalid_grant")
    assert client.sign_in()["error"] == "unauthorized"
    client.control("POST", "users/demo@example.com/unblock")
    refreshed(client, refresh_token)


def test_no_refresh_token_without_offline_access(start_client: StartClient) -> None:
    assert "refresh_token" not in start_client().tokens(scope="openid")


def test_refreshed_id_token_keeps_sid_and_auth_time_and_has_no_nonce(
    start_client: StartClient,
) -> None:
    client = start_client()
    tokens = client.tokens()
    _, before = header_and_claims(tokens["id_token"])
    client.control("POST", "clock", advance_seconds=30)
    _, after = header_and_claims(client.refresh(tokens["refresh_token"]).json()["id_token"])
    assert (after["sid"], after["auth_time"]) == (before["sid"], before["auth_time"])
    assert "nonce" in before
    assert "nonce" not in after


def test_revoking_is_200_for_an_unknown_token_too(start_client: StartClient) -> None:
    client = start_client()
    assert client.revoke("made-up").status_code == 200
    assert client.counts()["revoke.unknown_token"] == 1


def test_revoked_token_is_refused(start_client: StartClient) -> None:
    client = start_client()
    refresh_token = client.tokens()["refresh_token"]
    assert client.revoke(refresh_token).status_code == 200
    assert refused(client.refresh(refresh_token))
    assert client.state_of(refresh_token) == "revoked"


def test_predecessor_of_a_revoked_token_can_not_be_used_in_the_overlap(
    start_client: StartClient,
) -> None:
    client = start_client(overlap_seconds=OVERLAP_SECONDS)
    first = client.tokens()["refresh_token"]
    client.revoke(refreshed(client, first))
    assert refused(client.refresh(first))


@pytest.mark.parametrize(("reaches", "sibling_lives"), [("token", True), ("family", False)])
def test_revocation_reaches_siblings_if_it_is_set_so(
    start_client: StartClient, reaches: str, sibling_lives: bool
) -> None:
    client = start_client(overlap_seconds=OVERLAP_SECONDS, revocation_reaches=reaches)
    first = client.tokens()["refresh_token"]
    one, other = refreshed(client, first), refreshed(client, first)
    client.revoke(one)
    assert refused(client.refresh(other)) is not sibling_lives


@pytest.mark.parametrize("deletes_grant", [False, True])
def test_revocation_includes_other_devices_if_it_deletes_the_grant(
    start_client: StartClient, deletes_grant: bool
) -> None:
    client = start_client(revocation_deletes_grant=deletes_grant)
    one, other = client.tokens()["refresh_token"], client.tokens()["refresh_token"]
    elsewhere = client.tokens(audience=None)["refresh_token"]
    client.revoke(one)
    assert refused(client.refresh(other)) is deletes_grant
    refreshed(client, elsewhere)


def test_access_token_outlives_revocation(start_client: StartClient) -> None:
    client = start_client()
    tokens = client.tokens()
    client.revoke(tokens["refresh_token"])
    client.revoke(tokens["access_token"])
    assert client.state_of(tokens["access_token"]) == "active"
