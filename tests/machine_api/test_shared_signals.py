"""Security event tokens of a Shared Signals transmitter: which sessions they end, and which not."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from bff.core.errors import SignInTooOld, StoreUnavailable
from bff.provider.transmitter_keys import metadata_url
from tests.support.fake_provider import KEY, OTHER_KEY, FakeProvider, Reply
from tests.support.fixtures import AuditLines, MakeReceiver
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for

pytestmark = pytest.mark.session_cache

RISC = "https://schemas.openid.net/secevent/risc/event-type/"
CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
REVOKED, CHANGED = f"{CAEP}session-revoked", f"{CAEP}credential-change"
VERIFICATION = "https://schemas.openid.net/secevent/ssf/event-type/verification"
ISSUER = "https://transmitter.example/"
US = "http://localhost:8000"
MEDIA_TYPE = "application/secevent+jwt"
Changes = dict[str, Any]
DANA = {"format": "opaque", "id": "auth0|demo"}


@pytest.fixture
def bff(receiver_for: MakeReceiver, fake: FakeProvider) -> Receiver:
    """The transmitter signs with the keys of the fake provider."""
    return receiver_for(BFF_SSF_ISSUER=ISSUER, BFF_SSF_JWKS_URL=f"{fake.issuer}jwks")


def event_token(fake: FakeProvider, header: Changes | None = None, **changes: Any) -> str:
    """A valid token with *changes*; its event revokes Dana's sessions now."""
    key, alg = changes.pop("key", KEY), changes.pop("alg", "RS256")
    claims: Changes = {
        "iss": ISSUER, "aud": US, "iat": int(time.time()), "jti": secrets.token_hex(16),
        "sub_id": DANA, "events": {REVOKED: {"event_timestamp": int(time.time())}},
        "txn": "8675309",
    }  # fmt: skip
    return fake.sign(claims | changes, {"typ": "secevent+jwt"} | (header or {}), key, alg)


def push(bff: Receiver, token: str | bytes, content_type: str = MEDIA_TYPE) -> TestResponse:
    return bff.client.post("/webhooks/ssf", data=token, content_type=content_type)


def assert_accepted(response: TestResponse) -> None:
    assert (response.status_code, response.data) == (202, b""), response.text
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers


def assert_refused(bff: Receiver, response: TestResponse) -> str:
    """400 as in RFC 8935, 2.3, and nothing is stored; returns the code."""
    assert response.status_code == 400, response.text
    assert response.content_type == "application/json"
    assert response.headers["Content-Language"] == "en"
    assert response.headers["Cache-Control"] == "no-store"
    error = response.get_json()
    assert set(error) == {"err", "description"}
    assert bff.names("watermark") == bff.names("seen") == set()
    return str(error["err"])


def subjects(fake: FakeProvider) -> dict[str, Changes]:
    """Ways to name Dana, or her session."""
    iss_sub = {"format": "iss_sub", "iss": fake.issuer, "sub": "auth0|demo"}
    session = {"format": "opaque", "id": "sid-one"}
    return {
        "iss_sub": iss_sub,
        "opaque": DANA,
        "email": {"format": "email", "email": " Dana@Example.com"},
        "a user in a complex subject": {"format": "complex", "user": iss_sub, "tenant": DANA},
        "a session in a complex subject": {
            "format": "complex",
            "user": iss_sub,
            "session": session,
        },
    }


@pytest.mark.parametrize(
    "name",
    [
        "iss_sub",
        "opaque",
        "email",
        "a user in a complex subject",
        "a session in a complex subject",
    ],
)
def test_a_revoked_session_ends(bff: Receiver, fake: FakeProvider, name: str) -> None:
    one, two, eve = bff.start(), bff.start(sid="sid-two"), _eve(bff)
    assert_accepted(push(bff, event_token(fake, sub_id=subjects(fake)[name])))
    assert not bff.has_session(one)
    assert bff.has_session(two) == ("session" in name)
    assert bff.has_session(eve)
    wait_for(lambda: "refresh-1" in bff.revoked(), "its refresh token is revoked")


def _eve(bff: Receiver) -> str:
    return bff.start(subject="auth0|eve", sid="sid-eve", claims={"email": "eve@example.com"})


@pytest.mark.parametrize("change", ["update", "revoke", "delete", "something", None])
def test_a_changed_credential_ends_the_sessions(
    bff: Receiver, fake: FakeProvider, change: str | None
) -> None:
    mine = bff.start()
    event = {"credential_type": "password", "event_timestamp": int(time.time())}
    if change is not None:
        event["change_type"] = change
    assert_accepted(push(bff, event_token(fake, events={CHANGED: event})))
    assert not bff.has_session(mine)


@pytest.mark.parametrize("event", ["account-disabled", "account-purged"])
def test_the_sessions_of_an_account_that_is_no_more_end(
    bff: Receiver, fake: FakeProvider, event: str
) -> None:
    mine, eves = bff.start(), _eve(bff)
    assert_accepted(
        push(bff, event_token(fake, events={f"{RISC}{event}": {"reason": "hijacking"}}))
    )
    assert not bff.has_session(mine)
    assert bff.has_session(eves)


IGNORED: dict[str, Changes] = {
    "verification": {
        "events": {VERIFICATION: {"state": "VGhpcy"}},
        "sub_id": {"format": "opaque", "id": "stream-1"},
    },
    "a new credential": {"events": {CHANGED: {"change_type": "create"}}},
    "an unknown event that is no object": {"events": {"extra": True, VERIFICATION: {}}},
    "an unknown event": {"events": {f"{CAEP}device-compliance-change": {"a": 1}}},
    "an unknown event about an unknown format": {
        "events": {f"{CAEP}token-claims-change": {}},
        "sub_id": {"format": "phone_number", "phone_number": "+1"},
    },
    "an account that is enabled again": {"events": {f"{RISC}account-enabled": {}}},
    "a user of another issuer": {
        "sub_id": {"format": "iss_sub", "iss": "https://evil.example/", "sub": "auth0|demo"}
    },
    "an unknown user": {"sub_id": {"format": "email", "email": "nobody@example.com"}},
    "odd characters": {"sub_id": {"format": "opaque", "id": "*\r\n{x}:é\x00"}},
}


@pytest.mark.parametrize("changes", IGNORED.values(), ids=IGNORED)
def test_an_event_that_concerns_no_session_is_accepted_and_ends_nothing(
    bff: Receiver, fake: FakeProvider, changes: Changes
) -> None:
    mine = bff.start()
    assert_accepted(push(bff, event_token(fake, **changes)))
    assert bff.has_session(mine)


def test_for_a_user_of_another_issuer_nothing_is_stored(bff: Receiver, fake: FakeProvider) -> None:
    assert_accepted(push(bff, event_token(fake, **IGNORED["a user of another issuer"])))
    assert bff.names("watermark") == set()


# ---------------------------------------------------------------- late events
def test_promise_6_an_event_ends_only_older_sessions(bff: Receiver, fake: FakeProvider) -> None:
    now = int(time.time())
    before, after = bff.start_earlier(60), bff.start_earlier(10)
    unknown_before, unknown_after = (bff.start_earlier(s, auth_time=None) for s in (60, 10))
    event = {REVOKED: {"event_timestamp": now - 30}}
    assert_accepted(push(bff, event_token(fake, events=event)))
    assert not bff.has_session(before)
    assert not bff.has_session(unknown_before)
    assert bff.has_session(after)
    assert bff.has_session(unknown_after)
    with pytest.raises(SignInTooOld):
        bff.start(auth_time=now - 31)
    assert bff.start(auth_time=now - 20)


def test_an_event_without_an_instant_has_that_of_its_token(
    bff: Receiver, fake: FakeProvider
) -> None:
    before, after = bff.start_earlier(60), bff.start_earlier(10)
    iat = int(time.time()) - 30
    assert_accepted(push(bff, event_token(fake, iat=iat, events={REVOKED: {}})))
    assert not bff.has_session(before)
    assert bff.has_session(after)


def test_an_event_in_the_future_does_not_prevent_a_new_sign_in(
    bff: Receiver, fake: FakeProvider
) -> None:
    mine = bff.start()
    event = {REVOKED: {"event_timestamp": int(time.time()) + 86_400}}
    assert_accepted(push(bff, event_token(fake, events=event)))
    assert not bff.has_session(mine)
    assert bff.start(auth_time=int(time.time()) + 2)


# ---------------------------------------------------------------- deliveries
def test_a_second_delivery_is_accepted_and_has_no_effect(
    bff: Receiver, fake: FakeProvider, audit_lines: AuditLines
) -> None:
    mine, token = bff.start(), event_token(fake)
    for result in ("session-revoked: 1 ended", "delivered before"):
        assert_accepted(push(bff, token))
        [*_, last] = [line for line in audit_lines() if line["event"] == "event_received"]
        assert last["reason"] == f"shared_signal: {result}"
        assert not bff.has_session(mine)


def test_a_failure_half_way_does_not_use_up_the_token(
    bff: Receiver, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, token = bff.start(), event_token(fake)

    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as broken:
        broken.setattr(bff.services.stores.deny_list, "add", away)
        response = push(bff, token)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "2")
    assert bff.names("seen") == set()
    assert_accepted(push(bff, token))
    assert not bff.has_session(mine)
    wait_for(
        lambda: bff.services.stores.deny_list.contains("access-1"), "its access token is refused"
    )


def test_it_is_off_unless_a_transmitter_is_set(
    receiver_for: MakeReceiver, fake: FakeProvider
) -> None:
    off = receiver_for()
    mine = off.start()
    assert push(off, event_token(fake)).status_code == 404
    assert off.has_session(mine)


# ---------------------------------------------------------------- keys
def test_the_keys_come_from_the_transmitters_metadata(
    receiver_for: MakeReceiver, fake: FakeProvider
) -> None:
    issuer = f"{fake.issuer}tenant-one"
    document = {"issuer": issuer, "jwks_uri": f"{fake.issuer}jwks"}
    fake.says("/.well-known/ssf-configuration/tenant-one", lambda: Reply(document))
    bff = receiver_for(BFF_SSF_ISSUER=issuer, BFF_SSF_AUDIENCE="https://us.example")
    mine = bff.start()
    assert assert_refused(bff, push(bff, event_token(fake, iss=issuer))) == "invalid_audience"
    assert_accepted(push(bff, event_token(fake, iss=issuer, aud=["x", "https://us.example"])))
    assert not bff.has_session(mine)


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example", "jwks_uri": "JWKS"},
        {"issuer": "ISSUER", "jwks_uri": "http://keys.example/jwks"},
        {"issuer": "ISSUER", "jwks_uri": "JWKS#fragment"},
        {"issuer": "ISSUER"},
        [],
        b"rubbish",
    ],
    ids=str,
)
def test_metadata_that_can_t_be_trusted_is_503(
    receiver_for: MakeReceiver, fake: FakeProvider, document: Any
) -> None:
    issuer = fake.issuer.rstrip("/")
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    text = text.replace(b"ISSUER", issuer.encode()).replace(b"JWKS", f"{issuer}/jwks".encode())
    fake.says("/.well-known/ssf-configuration", lambda: Reply(text))
    bff = receiver_for(BFF_SSF_ISSUER=issuer)
    mine = bff.start()
    assert push(bff, event_token(fake, iss=issuer)).status_code == 503
    assert bff.has_session(mine)


def test_the_well_known_name_goes_between_host_and_path() -> None:
    """Shared Signals Framework 1.0, 7.2."""
    assert metadata_url("https://a.example") == "https://a.example/.well-known/ssf-configuration"
    assert metadata_url("https://a.example/") == "https://a.example/.well-known/ssf-configuration"
    assert metadata_url("https://a.example:8/b/c") == (
        "https://a.example:8/.well-known/ssf-configuration/b/c"
    )


# ---------------------------------------------------------------- refusals
NOW = int(time.time())
INSTANT_AS_TEXT = {"event_timestamp": "1"}
NO_INSTANT = {"event_timestamp": None}
REFUSED: dict[str, tuple[str, Changes]] = {
    "another issuer": ("invalid_issuer", {"iss": "https://evil.example/"}),
    "the provider for an issuer": ("invalid_issuer", {"iss": "PROVIDER"}),
    "another audience": ("invalid_audience", {"aud": "https://evil.example"}),
    "no audience": ("invalid_audience", {"aud": None}),
    "no iat": ("invalid_request", {"iat": None}),
    "an iat that lies ahead": ("invalid_request", {"iat": NOW + 3600}),
    "an iat of last month": ("invalid_request", {"iat": NOW - 30 * 86_400}),
    "no jti": ("invalid_request", {"jti": None}),
    "a sub": ("invalid_request", {"sub": "auth0|demo"}),
    "an exp": ("invalid_request", {"exp": NOW + 3600}),
    "no events": ("invalid_request", {"events": None}),
    "events that is a list": ("invalid_request", {"events": [REVOKED]}),
    "an event that is a text": ("invalid_request", {"events": {REVOKED: "now"}}),
    "an instant that is a text": ("invalid_request", {"events": {REVOKED: INSTANT_AS_TEXT}}),
    "an instant that is null": ("invalid_request", {"events": {REVOKED: NO_INSTANT}}),
    "no sub_id": ("invalid_request", {"sub_id": None}),
    "a sub_id that is a text": ("invalid_request", {"sub_id": "auth0|demo"}),
    "no format": ("invalid_request", {"sub_id": {"id": "auth0|demo"}}),
    "an unknown format": ("invalid_request", {"sub_id": {"format": "did", "url": "did:x:y"}}),
    "a format that is a list": ("invalid_request", {"sub_id": {"format": ["opaque"]}}),
    "opaque without id": ("invalid_request", {"sub_id": {"format": "opaque"}}),
    "an id that is a number": ("invalid_request", {"sub_id": {"format": "opaque", "id": 1}}),
    "an empty id": ("invalid_request", {"sub_id": {"format": "opaque", "id": ""}}),
    "an endless id": ("invalid_request", {"sub_id": {"format": "opaque", "id": "x" * 9999}}),
    "half a character": ("invalid_request", {"sub_id": {"format": "email", "email": "\ud800"}}),
    "iss_sub without iss": ("invalid_request", {"sub_id": {"format": "iss_sub", "sub": "x"}}),
    "an empty complex subject": ("invalid_request", {"sub_id": {"format": "complex"}}),
    "a complex subject in itself": (
        "invalid_request",
        {"sub_id": {"format": "complex", "user": {"format": "complex", "user": DANA}}},
    ),
    "no typ": ("invalid_request", {"header": {"typ": None}}),
    "the typ of a logout token": ("invalid_request", {"header": {"typ": "logout+jwt"}}),
    "the typ of an ID token": ("invalid_request", {"header": {"typ": "JWT"}}),
    "another key": ("invalid_key", {"key": OTHER_KEY}),
    "another key under our kid": ("invalid_request", {"key": OTHER_KEY, "header": {"kid": "one"}}),
    "a critical header": ("invalid_request", {"header": {"crit": ["x"], "x": 1}}),
}  # fmt: skip


@pytest.mark.parametrize(("code", "changes"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_token_ends_nothing(
    bff: Receiver, fake: FakeProvider, code: str, changes: Changes
) -> None:
    mine = bff.start()
    if changes.get("iss") == "PROVIDER":
        changes = {"iss": fake.issuer}
    assert assert_refused(bff, push(bff, event_token(fake, **changes))) == code
    assert bff.has_session(mine)


BODIES: dict[str, Callable[[str], tuple[str | bytes, str]]] = {
    "JSON": lambda t: (json.dumps({"token": t}), "application/json"),
    "the token called JSON": lambda t: (t, "application/json"),
    "a form": lambda t: (f"logout_token={t}", "application/x-www-form-urlencoded"),
    "nothing": lambda t: ("", MEDIA_TYPE),
    "rubbish": lambda t: (b"\xff\xfe", MEDIA_TYPE),
    "no signature": lambda t: (t.rpartition(".")[0] + ".", MEDIA_TYPE),
    "oversized": lambda t: (t + "x" * 70_000, MEDIA_TYPE),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_of_another_form_ends_nothing(
    bff: Receiver, fake: FakeProvider, body: Callable[[str], tuple[str | bytes, str]]
) -> None:
    mine = bff.start()
    assert assert_refused(bff, push(bff, *body(event_token(fake)))) == "invalid_request"
    assert bff.has_session(mine)


def test_a_logout_token_is_no_security_event_and_vice_versa(
    receiver_for: MakeReceiver, fake: FakeProvider
) -> None:
    """Even if the provider is the transmitter and signs both with one key."""
    bff = receiver_for(
        BFF_SSF_ISSUER=fake.issuer,
        BFF_SSF_JWKS_URL=f"{fake.issuer}jwks",
        BFF_SSF_AUDIENCE=fake.config().client_id,
    )
    mine = bff.start()
    assert_refused(bff, push(bff, fake.logout_token()))
    token = event_token(fake, iss=fake.issuer, aud=fake.config().client_id)
    response = bff.client.post("/auth/backchannel-logout", data={"logout_token": token})
    assert response.status_code == 400
    assert bff.has_session(mine)
    assert_accepted(push(bff, token))
