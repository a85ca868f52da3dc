"""A response of the token or revocation endpoint is understood, or counts as none."""

import time
import traceback
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from bff.core.errors import (
    BFFError,
    ProviderError,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
)
from bff.provider.auth0 import Auth0Dialect
from bff.provider.endpoints import EndpointClient
from bff.provider.retry_after import retry_after
from bff.provider.token_response import (
    LIFETIME_MAX_SECONDS,
    LIFETIME_UNKNOWN_SECONDS,
    NEEDS_USER,
)
from tests.support.fake_provider import CLIENT_SECRET, FakeProvider, Reply, transaction
from tests.support.standalone_provider import StandaloneProvider

HTML = b"<html><body>error=invalid_grant</body></html>"

NO_ANSWER: dict[str, tuple[int, Any]] = {
    "html with 200": (200, HTML),
    "an empty body": (200, b""),
    "a list": (200, ["access_token"]),
    "a number": (200, 7),
    "null": (200, None),
    "nested too deep": (200, b"[" * 100_000),
    "broken utf-8": (200, b'{"access_token": "\xff"}'),
    "no access_token": (200, {"token_type": "Bearer"}),
    "an empty access_token": (200, {"access_token": "", "token_type": "Bearer"}),
    "an access_token that is a number": (200, {"access_token": 7, "token_type": "Bearer"}),
    "a line break in it": (200, {"access_token": "a\r\nX: y", "token_type": "Bearer"}),
    "a blank in it": (200, {"access_token": "a b", "token_type": "Bearer"}),
    "a letter that is not ASCII": (200, {"access_token": "é", "token_type": "Bearer"}),
    "no token_type": (200, {"access_token": "a"}),
    "another token_type": (200, {"access_token": "a", "token_type": "DPoP"}),
    "a token_type that is a list": (200, {"access_token": "a", "token_type": ["Bearer"]}),
    "a redirect": (302, b""),
    "a permanent redirect": (308, b""),
    "html with 403": (403, HTML),
    "html with 400": (400, HTML),
    "json without error": (400, {"message": "invalid_grant"}),
    "an error that is a list": (400, {"error": ["invalid_grant"]}),
    "an error that is an object": (400, {"error": {"code": "invalid_grant"}}),
    "an error with a line break": (400, {"error": "invalid_grant\n"}),
    "html with 500": (500, HTML),
    "invalid_grant with 500": (500, {"error": "invalid_grant"}),
    "invalid_client with 503": (503, {"error": "invalid_client"}),
}


@pytest.mark.parametrize(("status", "body"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_rubbish_at_a_refresh_is_an_outage_that_may_have_acted(
    fake: FakeProvider, provider: StandaloneProvider, status: int, body: Any
) -> None:
    fake.token(body, status, Location=f"{fake.issuer}elsewhere")
    with pytest.raises(ProviderUnavailable) as caught:
        provider.refresh("old")
    assert caught.value.maybe_acted
    assert fake.count("/elsewhere") == 0


@pytest.mark.parametrize(("status", "body"), NO_ANSWER.values(), ids=NO_ANSWER)
def test_rubbish_at_a_sign_in_is_an_outage(
    fake: FakeProvider, provider: StandaloneProvider, status: int, body: Any
) -> None:
    fake.token(body, status, Location=f"{fake.issuer}elsewhere")
    with pytest.raises(ProviderUnavailable):
        provider.exchange_code("the-code", transaction())


def test_a_refresh_token_in_rubbish_is_revoked(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    fake.token({"refresh_token": "orphan"})
    with pytest.raises(ProviderUnavailable):
        provider.refresh("old")
    assert fake.asked[-1].path == "/oauth/revoke"
    assert fake.asked[-1].form["token"] == "orphan"


@pytest.mark.parametrize("status", [400, 401, 403, 200])
def test_invalid_grant_is_parsed_with_any_status(
    fake: FakeProvider, provider: StandaloneProvider, status: int
) -> None:
    """Auth0 responds with 403 to an invalid refresh token."""
    fake.token({"error": "invalid_grant", "error_description": "Unknown refresh token."}, status)
    with pytest.raises(ProviderRejected) as caught:
        provider.refresh("old")
    assert (caught.value.error, caught.value.provider_status) == ("invalid_grant", status)


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("error", sorted(NEEDS_USER))
def test_that_the_user_is_needed_is_an_answer_with_a_status_of_an_outage_too(
    fake: FakeProvider, provider: StandaloneProvider, error: str, status: int
) -> None:
    """Auth0 responds so if an Action denies the refresh; asking again would not help."""
    fake.token({"error": error}, status)
    with pytest.raises(ProviderRejected) as caught:
        provider.refresh("old")
    assert caught.value.error == error
    assert fake.count("/oauth/token") == 1
    revoked = revocation(fake, provider, Reply({"error": error}, status))
    assert isinstance(revoked, ProviderUnavailable), "a revocation is tried again"


def test_a_description_that_says_invalid_grant_is_no_invalid_grant(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    fake.token({"error": "access_denied", "error_description": "invalid_grant"}, 403)
    with pytest.raises(ProviderRejected) as caught:
        provider.refresh("old")
    assert caught.value.error == "access_denied"


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client"])
def test_our_own_fault_is_a_misconfiguration(
    fake: FakeProvider, provider: StandaloneProvider, error: str
) -> None:
    fake.token({"error": error}, 401)
    with pytest.raises(ProviderMisconfigured):
        provider.refresh("old")


def test_429_has_not_acted(fake: FakeProvider, provider: StandaloneProvider) -> None:
    fake.token({"error": "too_many_requests"}, 429, Retry_After="17")
    with pytest.raises(ProviderUnavailable) as caught:
        provider.refresh("old")
    assert not caught.value.maybe_acted
    assert caught.value.retry_after_seconds == 17


LIFETIMES: list[tuple[Any, int]] = [
    (600, 600), (600.9, 600), ("600", 600), (None, LIFETIME_UNKNOWN_SECONDS),
    ("soon", LIFETIME_UNKNOWN_SECONDS), (True, LIFETIME_UNKNOWN_SECONDS),
    (0, LIFETIME_UNKNOWN_SECONDS), (-5, LIFETIME_UNKNOWN_SECONDS),
    (float("nan"), LIFETIME_UNKNOWN_SECONDS), ([], LIFETIME_UNKNOWN_SECONDS),
    (float("inf"), LIFETIME_MAX_SECONDS), (10**400, LIFETIME_MAX_SECONDS),
    ("9" * 5000, LIFETIME_MAX_SECONDS), (10**9, LIFETIME_MAX_SECONDS),
]  # fmt: skip


@pytest.mark.parametrize(("said", "taken"), LIFETIMES, ids=lambda value: str(value)[:12])
def test_the_access_token_lifetime_is_bounded(
    fake: FakeProvider, provider: StandaloneProvider, said: Any, taken: int
) -> None:
    fake.token(fake.grant(expires_in=said, id_token=None))
    before = int(time.time())
    answer = provider.refresh("old")
    assert answer.expires_at - answer.issued_at == taken
    assert before <= answer.issued_at <= time.time()


def test_a_refresh_without_rotation_brings_no_refresh_token(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    """Authlib would insert the old one, and the caller couldn't tell the difference."""
    fake.token(fake.grant(refresh_token=None, id_token=None, scope=None, token_type="bearer"))
    answer = provider.refresh("old")
    assert (answer.refresh_token, answer.scope) == (None, None)


def test_what_a_refresh_sends(fake: FakeProvider, provider: StandaloneProvider) -> None:
    fake.token(fake.grant(id_token=None))
    provider.refresh("tøken+/=&%7E~ x")
    form = fake.asked[-1].form
    assert form["grant_type"] == "refresh_token"
    assert form["refresh_token"] == "tøken+/=&%7E~ x"
    assert "scope" not in form
    assert fake.count("/oauth/token") == 1


def test_what_a_sign_in_sends_and_gives(fake: FakeProvider, provider: StandaloneProvider) -> None:
    fake.token(fake.grant(scope=None))
    found = provider.exchange_code("co+de/=", transaction())
    form = next(asked.form for asked in fake.asked if asked.path == "/oauth/token")
    assert form["grant_type"] == "authorization_code"
    assert (form["code"], form["code_verifier"]) == ("co+de/=", "v" * 43)
    assert form["redirect_uri"] == "http://localhost:8000/auth/callback"
    assert found.tokens.refresh_token == "the-refresh-token"
    assert found.tokens.scope == "openid profile email offline_access"
    assert found.tokens.id_token is None


def test_the_id_token_is_stored_only_where_the_logout_needs_it(
    fake: FakeProvider, provider: StandaloneProvider, client_for: Callable[..., StandaloneProvider]
) -> None:
    grant = fake.grant()
    fake.token(grant)
    with_hint = client_for(BFF_LOGOUT_ID_TOKEN_HINT="true")
    assert provider.exchange_code("c", transaction()).tokens.id_token is None
    assert provider.refresh("old").id_token is None
    assert with_hint.exchange_code("c", transaction()).tokens.id_token == grant["id_token"]
    assert with_hint.refresh("old").id_token == grant["id_token"]


def revocation(
    fake: FakeProvider, provider: StandaloneProvider, says: Reply
) -> ProviderError | None:
    """The error of a revocation with this response, if any."""
    fake.says("/oauth/revoke", lambda: says)
    try:
        provider.revoke("the-token")
    except ProviderError as error:
        return error
    return None


@pytest.mark.parametrize("body", [b"", b"OK", {}, HTML])
def test_a_revocation_with_200_is_done_with_any_body(
    fake: FakeProvider, provider: StandaloneProvider, body: Any
) -> None:
    assert revocation(fake, provider, Reply(body)) is None
    assert fake.asked[-1].form["token"] == "the-token"
    assert fake.asked[-1].form["token_type_hint"] == "refresh_token"


@pytest.mark.parametrize("status", [500, 502, 503, 504, 302, 400, 403])
def test_the_status_of_a_revocation_is_checked(
    fake: FakeProvider, provider: StandaloneProvider, status: int
) -> None:
    """Authlib returns the response without a check."""
    error = revocation(fake, provider, Reply(HTML, status, {"Retry-After": "30"}))
    assert isinstance(error, ProviderUnavailable)
    assert error.retry_after_seconds == 30


def test_a_revocation_refused_for_good_says_why(
    fake: FakeProvider, provider: StandaloneProvider
) -> None:
    for code in ("unsupported_token_type", "invalid_client", "invalid_request"):
        error = revocation(fake, provider, Reply({"error": code}, 401))
        assert isinstance(error, ProviderRejected)
        assert (error.error, error.provider_status) == (code, 401)


@pytest.mark.parametrize("status", [404, 405, 410, 501])
def test_a_revocation_endpoint_that_is_not_there(
    fake: FakeProvider, provider: StandaloneProvider, status: int
) -> None:
    error = revocation(fake, provider, Reply(HTML, status))
    assert isinstance(error, ProviderRejected)
    assert error.error == "unsupported_revocation"


def test_a_provider_without_revocation(fake: FakeProvider, provider: StandaloneProvider) -> None:
    del fake.metadata["revocation_endpoint"]
    with pytest.raises(ProviderRejected) as caught:
        provider.revoke("the-token")
    assert caught.value.error == "unsupported_revocation"


NOW = 1_800_000_000.0
PAUSES: list[tuple[str, int | None]] = [
    ("7", 7), ("0", 1), ("  9 ", 9), ("99999999999999999999", 86_400), ("", None), ("-5", None),
    ("soon", None), ("1.5", None), ("²", None),
    (formatdate(NOW + 60, usegmt=True), 61), (formatdate(NOW - 60, usegmt=True), 1),
    (formatdate(NOW + 10**7, usegmt=True), 86_400), ("Mon, 99 Foo 2026 00:00:00 GMT", None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "seconds"), PAUSES, ids=[value for value, _ in PAUSES])
def test_retry_after_is_seconds_or_a_date(value: str, seconds: int | None) -> None:
    assert retry_after({"Retry-After": value}, NOW) == seconds


def test_auth0_gives_the_pause_in_a_header_of_its_own(fake: FakeProvider) -> None:
    provider = StandaloneProvider(EndpointClient(fake.config(), Auth0Dialect(), lambda: NOW))
    reset = {"X-RateLimit-Reset": str(int(NOW) + 40)}
    for status, headers, seconds in (
        (429, reset, 40),
        (429, reset | {"Retry-After": "3"}, 3),
        (429, {"X-RateLimit-Reset": "soon"}, ProviderUnavailable.retry_after_seconds),
        (503, reset, ProviderUnavailable.retry_after_seconds),
    ):
        error = revocation(fake, provider, Reply(b"", status, headers))
        assert isinstance(error, ProviderUnavailable)
        assert error.retry_after_seconds == seconds
    provider.close()


SECRETS = {"refresh": "refresh-secret-1", "code": "code-secret-2", "verifier": "v-secret-3" * 5}


def test_no_secret_is_in_an_error_or_a_log_line(
    fake: FakeProvider, provider: StandaloneProvider, caplog: pytest.LogCaptureFixture
) -> None:
    """Authlib's DEBUG line has the verifier; a response may quote a token."""
    caplog.set_level("DEBUG")
    echo = SECRETS["refresh"]
    said: list[str] = []
    for status, body in (
        (400, {"error": "invalid_grant", "error_description": echo}),
        (400, {"error": echo * 9}),
        (200, echo.encode()),
        (200, {"refresh_token": echo}),
        (503, echo.encode()),
        (200, fake.grant(id_token=echo)),
        (200, fake.grant(id_token=fake.id_token(iss=echo, sub=echo, nonce=echo))),
    ):
        fake.token(body, status)
        said += [raised(lambda: provider.refresh(SECRETS["refresh"])), raised(
            lambda: provider.exchange_code(
                SECRETS["code"], transaction(code_verifier=SECRETS["verifier"]))
        )]  # fmt: skip
    assert sum(text == "" for text in said) == 1  # A refresh drops an ID token that is no JWT.
    said += [record.getMessage() for record in caplog.records]
    assert len(said) > 14
    for secret in (*SECRETS.values(), CLIENT_SECRET, "the-refresh-token", "the-access-token"):
        assert not [text for text in said if secret in text]


def raised(call: Callable[[], Any]) -> str:
    """Everything that a log would show of the error that *call* raises, with its causes."""
    try:
        call()
    except BFFError as error:
        return "".join(traceback.format_exception(error)) + repr(error)
    return ""


def test_requests_share_a_connection(fake: FakeProvider, provider: StandaloneProvider) -> None:
    """With plain Authlib every request would open one, with a TLS handshake."""
    fake.token(fake.grant(id_token=None))
    for _ in range(3):
        provider.refresh("old")
    provider.revoke("old")
    assert len({asked.connection for asked in fake.asked}) == 1
