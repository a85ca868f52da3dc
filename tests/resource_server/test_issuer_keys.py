"""When does an API fetch the provider's keys? When needed, and no more often."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests
from joserfc.jwk import OctKey
from werkzeug.serving import BaseWSGIServer, make_server

from bff.core.errors import ProviderUnavailable
from bff.core.unknown_keys import ANYONE_BURST, ANYONE_PAUSE_SECONDS
from bff.resource_server.issuer_keys import fetch_json
from tests.support.issuer import EC_KEY, KEY, NEXT_KEY, Clock, Issuer, first


def test_each_unknown_kid_has_a_pause_of_its_own() -> None:
    issuer, clock = Issuer(), Clock()
    keys = issuer.keys(clock)
    assert first(keys.find("RS256", "k1")) is not None
    for _ in range(3):
        assert first(keys.find("RS256", "made-up")) is None
    assert len(issuer.fetched) == 4
    issuer.listed = [KEY, NEXT_KEY]
    assert first(keys.find("RS256", "k2")) is not None
    assert len(issuer.fetched) == 6
    clock.now += ANYONE_PAUSE_SECONDS
    assert first(keys.find("RS256", "made-up")) is None
    assert len(issuer.fetched) == 8


def test_made_up_kids_cause_few_fetches_and_are_not_called_invalid() -> None:
    """One of them may be the id of a new key: whoever sent that token tries again."""
    issuer, clock = Issuer(), Clock()
    keys = issuer.keys(clock)
    for number in range(ANYONE_BURST):
        assert first(keys.find("RS256", f"made-up-{number}")) is None
    for number in range(20):
        with pytest.raises(ProviderUnavailable):
            first(keys.find("RS256", f"made-up-more-{number}"))
    assert len(issuer.fetched) == 2 * (1 + ANYONE_BURST)
    issuer.listed = [KEY, NEXT_KEY]
    clock.now += ANYONE_PAUSE_SECONDS
    assert first(keys.find("RS256", "k2")) is not None


def test_keys_survive_an_outage_of_the_issuer() -> None:
    issuer, clock = Issuer(), Clock()
    keys = issuer.keys(clock)
    first(keys.find("RS256", "k1"))
    issuer.broken = True
    clock.now += 3600
    assert first(keys.find("RS256", "k1")) is not None
    assert len(issuer.fetched) == 3


def test_keys_that_are_no_longer_listed_are_dropped() -> None:
    issuer, clock = Issuer(), Clock()
    keys = issuer.keys(clock)
    first(keys.find("RS256", "k1"))
    issuer.listed = [NEXT_KEY]
    clock.now += 601
    assert first(keys.find("RS256", "k1")) is None


def test_without_keys_nothing_is_verified_and_the_issuer_is_not_flooded() -> None:
    issuer, clock = Issuer(), Clock()
    keys = issuer.keys(clock)
    issuer.broken = True
    for _ in range(20):
        with pytest.raises(ProviderUnavailable):
            first(keys.find("RS256", "k1"))
    assert len(issuer.fetched) == 1
    issuer.broken = False
    clock.now += 2
    assert first(keys.find("RS256", "k1")) is not None


def test_discovery_of_another_issuer_is_not_used() -> None:
    issuer = Issuer()
    issuer.discovery_issuer = "https://evil.test/"
    with pytest.raises(ProviderUnavailable):
        first(issuer.keys().find("RS256", "k1"))


@pytest.mark.parametrize(
    ("alg", "kid", "found"),
    [
        ("RS256", "k1", True), ("PS256", "k1", True), ("ES256", "e1", True),
        ("ES256", "k1", False), ("RS256", "e1", False), ("HS256", "k1", False),
        ("none", "k1", False), ("RS256", None, True),
    ],
)  # fmt: skip
def test_a_key_is_for_the_algorithms_of_its_type(alg: str, kid: str | None, found: bool) -> None:
    assert (first(Issuer().keys().find(alg, kid)) is not None) == found


def test_without_a_kid_there_must_be_one_key() -> None:
    issuer = Issuer()
    issuer.listed = [KEY, NEXT_KEY]
    assert first(issuer.keys().find("RS256", None)) is None


def test_unusable_keys_are_skipped() -> None:
    issuer = Issuer()
    symmetric = OctKey.generate_key(256, {"kid": "k1"}).as_dict(private=True)
    broken = {"kty": "RSA", "kid": "k9", "n": "!", "e": "AQAB"}
    encryption = NEXT_KEY.as_dict(private=False) | {"use": "enc"}
    listed = [symmetric, broken, encryption, 7, EC_KEY.as_dict(private=False)]
    fetch = issuer.fetch
    issuer.fetch = lambda url: {"keys": listed} if "jwks" in url else fetch(url)  # type: ignore[method-assign]
    keys = issuer.keys()
    assert first(keys.find("ES256", "e1")) is not None
    assert first(keys.find("RS256", "k1")) is None
    assert first(keys.find("RS256", "k2")) is None


def test_discovery_over_http_and_no_redirects() -> None:
    """The default fetch follows no redirect and accepts nothing but a 200."""
    responses = {
        "/ok": (200, b'{"a": 1}', ""),
        "/moved": (302, b"", "/ok"),
        "/gone": (404, b"{}", ""),
    }

    def app(environ: Any, start_response: Any) -> list[bytes]:
        status, body, location = responses[environ["PATH_INFO"]]
        start_response(f"{status} X", [("Location", location)] if location else [])
        return [body]

    site: BaseWSGIServer = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        base = f"http://127.0.0.1:{site.server_port}"
        assert fetch_json(f"{base}/ok") == {"a": 1}
        for path in ("/moved", "/gone"):
            with pytest.raises(requests.HTTPError):
                fetch_json(f"{base}{path}")
    finally:
        site.shutdown()
        thread.join(5)
        site.server_close()
