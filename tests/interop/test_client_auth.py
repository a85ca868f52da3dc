"""Pushed requests (RFC 9126), and a change of secret and of key, at the certified provider."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import RSAKey

from tests.interop.cluster import (
    AWKWARD_SECRET,
    RSA_KEY,
    SIGN_IN,
    InteropBrowser,
    InteropCluster,
)
from tests.support.ageing import age_access_token

PUSHED = "pushed_authorization_request.201"


def signed_in(cluster: InteropCluster) -> InteropBrowser:
    browser = cluster.browser()
    browser.log_in()
    assert browser.api("/items").status_code == 200
    return browser


def asked_since(cluster: InteropCluster, before: dict[str, int]) -> Counter[str]:
    return Counter(cluster.counts()) - Counter(before)


# ---------------------------------------------------------------- pushed requests
@pytest.mark.parametrize("client", ["post", "basic", "jwt-rsa", "jwt-ec"])
def test_a_sign_in_is_pushed_with_every_way_of_client_authentication(client: str) -> None:
    with InteropCluster(client=client) as cluster:
        browser = cluster.browser()
        url = urlsplit(browser.authorize_url(SIGN_IN))
        assert set(parse_qs(url.query)) == {"client_id", "request_uri"}
        signed_in(cluster)
        assert cluster.counts()[PUSHED] == 2


def test_it_can_be_switched_off() -> None:
    with InteropCluster(env={"BFF_PAR": "off"}) as cluster:
        signed_in(cluster)
        assert PUSHED not in cluster.counts()


def test_a_push_that_it_refuses_is_not_made_up_for_by_the_address() -> None:
    """It checks the scope and the prompt when they are pushed."""
    with InteropCluster() as cluster:
        browser = cluster.browser()
        answer = browser.navigate("/auth/login?prompt=nonsense")
        assert (answer.status_code, "provider_rejected" in answer.text) == (502, True)
        assert "Location" not in answer.headers
        signed_in(cluster)


# ---------------------------------------------------------------- rotation
def test_a_secret_is_replaced_without_a_restart(tmp_path: Path) -> None:
    """The file has a new one that the provider doesn't know yet: nobody notices."""
    file = tmp_path / "secrets"
    file.write_text(AWKWARD_SECRET)
    env = {"AUTH0_CLIENT_SECRET": "", "AUTH0_CLIENT_SECRET_FILE": str(file)}
    for client in ("post", "basic"):
        with InteropCluster(client=client, env=env) as cluster:
            browser = signed_in(cluster)
            replace(file, f"not known, yet\n{AWKWARD_SECRET}")
            before = cluster.counts()
            age_access_token(cluster, browser.cookie, 0)
            assert browser.api("/items").status_code == 200
            asked = asked_since(cluster, before)
            assert asked["token.refresh_token.200"] == 1
            assert sum(n for name, n in asked.items() if name.endswith(".401")) == 1
            signed_in(cluster)
            assert browser.log_out().status_code == 200
            cluster.wait_until_outbox_is_empty()
            assert sum(n for name, n in cluster.counts().items() if name.endswith(".401")) == 1
            replace(file, AWKWARD_SECRET)


def test_a_key_is_replaced_without_a_restart(tmp_path: Path) -> None:
    """One that the provider does not know is put first, in two forms; then the file is broken."""
    file = tmp_path / "keys"
    file.write_bytes(RSA_KEY.as_pem(private=True))
    env = {"AUTH0_CLIENT_PRIVATE_KEY_FILE": str(file)}
    with InteropCluster(client="jwt-rsa", env=env) as cluster:
        browser = signed_in(cluster)
        unknown = RSAKey.generate_key(2048, {"kid": "unknown"}, private=True)
        for content in (
            unknown.as_pem(private=True) + RSA_KEY.as_pem(private=True),
            json.dumps({"keys": [k.as_dict(private=True) for k in (unknown, RSA_KEY)]}).encode(),
            b"-----BEGIN PRIVATE KEY-----\ncut off",
        ):
            replace(file, content)
            age_access_token(cluster, browser.cookie, 0)
            assert browser.api("/items").status_code == 200
        cluster.replicas[0].wait_for_output("AUTH0_CLIENT_PRIVATE_KEY_FILE")
        assert browser.log_out().status_code == 200
        cluster.wait_until_outbox_is_empty()
        assert cluster.alive() == []


def replace(file: Path, content: str | bytes) -> None:
    """As it should be done: another file is renamed over it."""
    fresh = file.with_name("fresh")
    fresh.write_bytes(content.encode() if isinstance(content, str) else content)
    fresh.replace(file)
