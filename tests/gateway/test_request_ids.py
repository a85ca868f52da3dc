"""Every response names its request, by the id in our log, which only trusted proxies choose."""

from __future__ import annotations

import re

import pytest

from bff.gateway.client_address import ClientAddresses
from bff.gateway.request_ids import RequestIDs
from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver

OURS = re.compile(r"[0-9a-f]{32}")
FETCH = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
PROXY = {"REMOTE_ADDR": "10.0.0.1"}
REQUESTS = {
    "an own route": ("GET", "/auth/profile"),
    "a page": ("GET", "/"),
    "a file": ("GET", "/auth/client.js"),
    "a redirect": ("GET", "/auth/login"),
    "an error of the router": ("GET", "/auth/nothing"),
    "a wrong method": ("DELETE", "/auth/profile"),
    "options": ("OPTIONS", "/auth/profile"),
    "a refused request on a route": ("GET", "/api/items"),
    "a refused path": ("GET", "/api/%2e%2e/x"),
    "forward-auth, refused": ("GET", "/auth/verify"),
    "the admin API": ("POST", "/auth/admin/end-sessions"),
    "introspection": ("POST", "/auth/introspect"),
    "back-channel logout": ("POST", "/auth/backchannel-logout"),
    "liveness": ("GET", "/healthz"),
    "readiness": ("GET", "/readyz"),
}
GIVEN = {
    "abcdefgh-1._": True,
    "A" * 64: True,
    "d6f3b2a0-0000-4000-8000-1f2e3d4c5b6a": True,
    "short": False,
    "A" * 65: False,
    "one two three": False,
    "abcdefgh,ijklmnop": False,
    "abcdefgh\n": False,
    "abcdefghü": False,
    'abcdefgh"}': False,
    "": False,
}


@pytest.fixture
def behind_a_proxy(receiver_for: MakeReceiver) -> Receiver:
    return receiver_for(
        BFF_TRUSTED_PROXIES="10.0.0.0/8", BFF_FORWARD_AUTH_KEY="0" * 32, BFF_ADMIN_KEY="1" * 32
    )


def test_every_kind_of_response_has_the_proxys_id_or_one_of_ours(behind_a_proxy: Receiver) -> None:
    for what, (method, path) in REQUESTS.items():
        for peer, given in (("10.0.0.1", True), ("192.0.2.1", False)):
            response = behind_a_proxy.client.open(
                path,
                method=method,
                headers=FETCH | {"X-Request-ID": "from-the-proxy"},
                environ_overrides={"REMOTE_ADDR": peer},
            )
            response.close()
            ids = response.headers.getlist("X-Request-ID")
            assert len(ids) == 1, what
            assert (ids[0] == "from-the-proxy") == given, what
            assert given or OURS.fullmatch(ids[0]), what


def test_a_reference_of_an_error_is_the_id(behind_a_proxy: Receiver) -> None:
    response = behind_a_proxy.client.get("/auth/profile", headers=FETCH)
    assert response.get_json(force=True)["reference"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize(("text", "accepted"), GIVEN.items())
def test_an_id_is_bounded_and_of_harmless_characters(text: str, accepted: bool) -> None:
    ids = RequestIDs(ClientAddresses(("10.0.0.1",)))
    found = ids.of(PROXY | {"HTTP_X_REQUEST_ID": text})
    assert (found == text) == accepted
    assert accepted or OURS.fullmatch(found)


def test_each_request_has_another(bff: Receiver) -> None:
    ids = {bff.client.get("/auth/profile").headers["X-Request-ID"] for _ in range(20)}
    assert len(ids) == 20


def test_all_parts_of_one_request_find_the_same_id() -> None:
    environ: dict[str, object] = {**PROXY}
    ids = RequestIDs(ClientAddresses(("10.0.0.1",)))
    assert ids.of(environ) == ids.of(environ)
