"""Metadata and keys: of which issuer, for how long, and fetched by which thread."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bff.core.errors import (
    IDTokenInvalid,
    IssuerMismatch,
    ProviderError,
    ProviderMisconfigured,
    ProviderUnavailable,
)
from bff.provider.cached_document import STALE_RETRY_SECONDS, CachedDocument
from bff.provider.create import create_endpoint_client
from bff.provider.discovery import KEYS_LIFETIME_SECONDS, METADATA_LIFETIME_SECONDS
from bff.provider.http_transport import Deadline
from bff.provider.metadata import checked_metadata
from tests.support.fake_provider import OTHER_KEY, FakeProvider, Reply, transaction
from tests.support.standalone_provider import StandaloneProvider

DISCOVERY = "/.well-known/openid-configuration"
TLS_ISSUER = "https://tenant.example/"


class Clock:
    """Monotonic seconds that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The present time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock for one test."""
    return Clock()


@pytest.fixture
def aging(fake: FakeProvider, clock: Clock) -> Iterator[StandaloneProvider]:
    """A client whose metadata and keys age by the test's clock."""
    provider = StandaloneProvider(create_endpoint_client(fake.config(), monotonic=clock))
    yield provider
    provider.close()


def document(**changes: Any) -> dict[str, Any]:
    """A discovery document of an https issuer."""
    return {
        "issuer": TLS_ISSUER,
        "authorization_endpoint": f"{TLS_ISSUER}authorize",
        "token_endpoint": f"{TLS_ISSUER}oauth/token",
        "jwks_uri": f"{TLS_ISSUER}jwks",
    } | changes


# ---------------------------------------------------------------- of which issuer


@pytest.mark.parametrize(
    "issuer", ["https://evil.example/", "https://tenant.example", "https://TENANT.example/"]
)
def test_a_document_of_another_issuer_is_refused(issuer: str) -> None:
    """Compared exactly, with the trailing slash; Authlib compares nothing."""
    with pytest.raises(ProviderMisconfigured):
        checked_metadata(document(issuer=issuer), TLS_ISSUER)


def test_the_refusal_reaches_the_start(fake: FakeProvider, provider: StandaloneProvider) -> None:
    fake.metadata["issuer"] = fake.issuer.rstrip("/")
    with pytest.raises(ProviderMisconfigured, match="calls itself"):
        provider.warm_up()
    assert not provider.ready


BAD_ENDPOINTS = [
    "http://tenant.example/x", "http://127.0.0.1/x", "http://localhost:80/x", "ftp://a/x", "/x",
    "//tenant.example/x", "https:///x", "https://user@tenant.example/x", "https://a b/x",
    "https://tenant.example/x#y", "https://tenant.example:port/x", "javascript:alert(1)",
    "https://tenant.example\\@evil.example/", "file:///etc/passwd", "https://[::1/x",
]  # fmt: skip


@pytest.mark.parametrize("url", BAD_ENDPOINTS)
@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "end_session_endpoint"])
def test_an_endpoint_must_be_https(name: str, url: str) -> None:
    with pytest.raises(ProviderMisconfigured, match=name):
        checked_metadata(document(**{name: url}), TLS_ISSUER)


def test_plain_http_is_for_an_issuer_on_the_loopback_and_stays_there() -> None:
    issuer = "http://localhost:8001/"
    at_home = {name: "http://127.0.0.1:8001/x" for name in document() if name != "issuer"}
    assert checked_metadata({"issuer": issuer} | at_home, issuer)
    with pytest.raises(ProviderMisconfigured):
        checked_metadata(
            {"issuer": issuer} | at_home | {"token_endpoint": "http://evil.example/"}, issuer
        )


RUBBISH: list[Any] = [None, [], "x", {}, document(issuer=None), document(token_endpoint=7),
                      document(authorization_response_iss_parameter_supported="yes")]  # fmt: skip


@pytest.mark.parametrize("rubbish", RUBBISH, ids=lambda value: str(value)[:20])
def test_what_is_no_discovery_document_is_an_outage(rubbish: Any) -> None:
    with pytest.raises(ProviderUnavailable):
        checked_metadata(rubbish, TLS_ISSUER)


BAD_DOCUMENTS = [
    Reply(b"<html>"),
    Reply({}, 404),
    Reply({}, 500),
    Reply(b"", 302),
    Reply(b"[" * 99_999),
]


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"])
@pytest.mark.parametrize("says", BAD_DOCUMENTS, ids=lambda says: f"{says.status} {says.body!r:.9}")
def test_a_bad_response_is_an_outage(
    fake: FakeProvider, provider: StandaloneProvider, path: str, says: Reply
) -> None:
    fake.says(path, lambda: says)
    with pytest.raises(ProviderUnavailable):
        provider.warm_up()


@pytest.mark.parametrize(
    "keys", [[], None, "x", [7], [{"kty": "RSA"}], [{"kty": "oct", "k": "eA"}]]
)
def test_keys_without_a_usable_one_are_an_outage(
    fake: FakeProvider, provider: StandaloneProvider, keys: Any
) -> None:
    fake.keys = keys
    with pytest.raises(ProviderUnavailable):
        provider.warm_up()


def test_an_unreadable_key_does_not_affect_the_others(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    fake.keys[:0] = [{"kty": "AKP", "kid": "pq"}, {"kty": "EC", "crv": "P-0"}, "x"]
    fake.token(fake.grant())
    assert provider.exchange_code("c", transaction())


def test_iss_of_the_response_is_checked(fake: FakeProvider, provider: StandaloneProvider) -> None:
    """RFC 9207, 2.4; Authlib doesn't check it."""
    provider.check_issuer_parameter(None)
    provider.check_issuer_parameter(fake.issuer)
    for iss in ("https://evil.example/", fake.issuer.rstrip("/"), "", fake.issuer.upper()):
        with pytest.raises(IssuerMismatch):
            provider.check_issuer_parameter(iss)


def test_iss_must_be_there_once_it_is_announced(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    fake.metadata["authorization_response_iss_parameter_supported"] = True
    provider.check_issuer_parameter(fake.issuer)
    with pytest.raises(IssuerMismatch):
        provider.check_issuer_parameter(None)


# ---------------------------------------------------------------- how long they are used


def test_metadata_and_keys_are_fetched_again_after_their_lifetime(
    fake: FakeProvider, aging: StandaloneProvider, clock: Clock
) -> None:
    """Authlib keeps them until the process ends."""
    aging.warm_up()
    aging.warm_up()
    assert (fake.count(DISCOVERY), fake.count("/jwks")) == (1, 1)
    clock.now += KEYS_LIFETIME_SECONDS
    aging.warm_up()
    assert (fake.count(DISCOVERY), fake.count("/jwks")) == (1, 2)
    clock.now += METADATA_LIFETIME_SECONDS
    aging.warm_up()
    assert (fake.count(DISCOVERY), fake.count("/jwks")) == (2, 3)


def test_warm_up_once(fake: FakeProvider, aging: StandaloneProvider, clock: Clock) -> None:
    aging.warm_up_once()
    clock.now += METADATA_LIFETIME_SECONDS
    aging.warm_up_once()
    assert (fake.count(DISCOVERY), fake.count("/jwks")) == (1, 1)


def test_new_metadata_is_used(fake: FakeProvider, aging: StandaloneProvider, clock: Clock) -> None:
    aging.warm_up()
    fake.metadata["revocation_endpoint"] = f"{fake.issuer}new"
    fake.says("/new", lambda: Reply(b""))
    clock.now += METADATA_LIFETIME_SECONDS
    aging.revoke("x")
    assert fake.count("/new") == 1


@pytest.mark.parametrize("change", [{"issuer": "https://evil.example/"}, {"jwks_uri": "http://e/"}])
def test_bad_new_metadata_does_not_replace_good_old(
    fake: FakeProvider, aging: StandaloneProvider, clock: Clock, change: dict[str, str]
) -> None:
    aging.warm_up()
    fake.metadata.update(change)
    clock.now += METADATA_LIFETIME_SECONDS
    aging.revoke("x")
    assert aging.ready


def test_old_metadata_stays_in_use_during_an_outage_and_is_fetched_seldom(
    fake: FakeProvider, aging: StandaloneProvider, clock: Clock
) -> None:
    aging.warm_up()
    fake.says(DISCOVERY, lambda: Reply(b"", 503))
    clock.now += METADATA_LIFETIME_SECONDS
    for _ in range(5):
        aging.check_issuer_parameter(fake.issuer)
    assert fake.count(DISCOVERY) == 2
    clock.now += STALE_RETRY_SECONDS
    aging.check_issuer_parameter(fake.issuer)
    assert fake.count(DISCOVERY) == 3


def test_keys_that_rotate_are_found_by_one_more_fetch(
    fake: FakeProvider, aging: StandaloneProvider, clock: Clock
) -> None:
    aging.warm_up()
    fake.keys = [OTHER_KEY.as_dict(private=False)]
    fake.token(fake.grant(id_token=fake.id_token(OTHER_KEY)))
    assert aging.exchange_code("c", transaction())
    assert fake.count("/jwks") == 2


def test_unknown_keys_do_not_cause_endless_fetches(
    fake: FakeProvider, aging: StandaloneProvider, clock: Clock
) -> None:
    aging.warm_up()
    fake.token(fake.grant(id_token=fake.id_token(OTHER_KEY)))
    for _ in range(5):
        with pytest.raises(IDTokenInvalid):
            aging.exchange_code("c", transaction())
    assert fake.count("/jwks") == 2


def test_keys_that_cannot_be_fetched_make_a_sign_in_an_outage(
    fake: FakeProvider, aging: StandaloneProvider, clock: Clock
) -> None:
    """It need not be a forgery. The refresh token in the response is discarded."""
    aging.warm_up()
    fake.says("/jwks", lambda: Reply(b"", 503))
    fake.token(fake.grant(id_token=fake.id_token(OTHER_KEY)))
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            aging.exchange_code("c", transaction())
    assert fake.count("/oauth/revoke") == 2
    assert fake.count("/jwks") == 2


def test_keys_that_cannot_be_fetched_do_not_end_a_refresh(fake: FakeProvider, clock: Clock) -> None:
    """The old token is spent by then; a failure would end the session (promise 5)."""
    config = fake.config(BFF_LOGOUT_ID_TOKEN_HINT="true")
    provider = StandaloneProvider(create_endpoint_client(config, monotonic=clock))
    provider.warm_up()
    fake.says("/jwks", lambda: Reply(b"", 503))
    fake.token(fake.grant(id_token=fake.id_token(OTHER_KEY)))
    answer = provider.refresh("old", subject="auth0|demo")
    assert (answer.refresh_token, answer.id_token) == ("the-refresh-token", None)
    assert fake.count("/oauth/revoke") == 0
    provider.close()


def test_nothing_is_spent_before_the_keys_are_loaded(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    fake.says("/jwks", lambda: Reply(b"", 503))
    fake.token(fake.grant())
    for call in (
        lambda: provider.refresh("old"),
        lambda: provider.exchange_code("c", transaction()),
    ):
        with pytest.raises(ProviderUnavailable) as caught:
            call()
        assert not caught.value.maybe_acted
    assert fake.count("/oauth/token") == 0


# ---------------------------------------------------------------- by which thread they are fetched


def test_a_failed_first_fetch_is_shared_and_tried_again_soon(
    fake: FakeProvider, aging: StandaloneProvider, clock: Clock
) -> None:
    fake.says(DISCOVERY, lambda: Reply(b"", 503))
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            aging.warm_up()
    assert fake.count(DISCOVERY) == 1
    fake.says(DISCOVERY, lambda: Reply(fake.metadata))
    clock.now += 1
    aging.warm_up()
    assert aging.ready


def test_the_first_fetch_is_made_once_for_all_threads() -> None:
    asked, go = [], threading.Event()

    def fetch(_deadline: Deadline) -> str:
        asked.append(1)
        go.wait(5)
        return "the document"

    cached, found = CachedDocument(fetch, 60), []
    threads = [
        threading.Thread(target=lambda: found.append(cached.get(Deadline(5)))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join(5)
    assert (len(asked), found) == (1, ["the document"] * 8)


def test_while_one_thread_fetches_again_the_others_use_the_old_document(clock: Clock) -> None:
    entered, go, answers = threading.Event(), threading.Event(), iter(["old", "new"])

    def fetch(_deadline: Deadline) -> str:
        value = next(answers)
        if value == "new":
            entered.set()
            go.wait(5)
        return value

    cached = CachedDocument(fetch, 60, clock)
    assert cached.get(Deadline(1)) == "old"
    clock.now += 60
    found: list[str] = []
    slow = threading.Thread(target=lambda: found.append(cached.get(Deadline(5))))
    slow.start()
    assert entered.wait(5)
    assert cached.get(Deadline(0.1)) == "old"
    go.set()
    slow.join(5)
    assert found == ["new"]


def test_a_refetch_uses_only_a_part_of_the_callers_time(clock: Clock) -> None:
    left: list[float] = []

    def fetch(deadline: Deadline) -> int:
        left.append(deadline.remaining_seconds())
        return len(left)

    cached = CachedDocument(fetch, 60, clock)
    cached.get(Deadline(10))
    clock.now += 60
    cached.get(Deadline(10))
    assert left[0] > 9
    assert left[1] < 6


def test_the_wait_for_the_first_fetch_of_another_thread_is_bounded() -> None:
    entered, go = threading.Event(), threading.Event()

    def fetch(_deadline: Deadline) -> int:
        entered.set()
        go.wait(5)
        return 1

    cached = CachedDocument(fetch, 60)
    first = threading.Thread(target=lambda: cached.get(Deadline(5)))
    first.start()
    assert entered.wait(5)
    with pytest.raises(ProviderError):
        cached.get(Deadline(0.05))
    go.set()
    first.join(5)


def test_the_metadata_is_fetched_below_the_path_of_the_issuer(
    fake: FakeProvider, client_for: Callable[..., StandaloneProvider]
) -> None:
    """A path in the issuer stays in front of the well-known path (Discovery, 4.1)."""
    fake.responders["/tenant" + DISCOVERY] = fake.responders[DISCOVERY]
    fake.metadata["issuer"] = f"{fake.issuer}tenant/"
    client_for(OIDC_ISSUER=f"{fake.issuer}tenant/").warm_up()
    assert fake.count("/tenant" + DISCOVERY) == 1
