"""Signals of sessions, and the claims that an application keeps of a sign-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from blinker import ANY

import bff
from bff.core.signals import BY_EVENT, SessionSignal
from tests.support.embedding import (
    SAME_ORIGIN,
    Embedding,
    MakeApplication,
    application_for,
    bff_receiver,
    embedding,
    sign_in_at,
)
from tests.support.fake_provider import FakeProvider

__all__ = ["application_for", "bff_receiver", "embedding"]

Told = list[tuple[str, str | None, str]]


@pytest.fixture
def told() -> Iterator[Told]:
    """What receivers are told; nothing else refers to them, as to a function within another."""
    found: Told = []
    connected: list[tuple[SessionSignal, Callable[..., None]]] = []
    for signal in BY_EVENT.values():

        def receive(
            sender: None, *, issuer: str, subject: str, reason: str, name: str = signal.name
        ) -> None:
            found.append((name, subject, reason))

        connected.append((signal, signal.connect(receive)))
    yield found
    for one, receiver in connected:
        one.disconnect(receiver)


def test_a_sign_in_and_an_end_are_told_once(
    fake: FakeProvider, application_for: MakeApplication, told: Told
) -> None:
    browser = application_for().test_client()
    assert sign_in_at(fake, browser).status_code == 303
    assert told == [("session_started", "auth0|demo", "")]
    browser.post("/auth/logout", headers=SAME_ORIGIN | {"X-CSRF": "1"})
    assert told[1:] == [("session_ended", "auth0|demo", "logout")]


def test_a_refresh_is_told(fake: FakeProvider, embedding: Embedding, told: Told) -> None:
    embedding.app.get("/own")(own)
    sign_in = embedding.receiver.sign_in()
    expired = msgspec.structs.replace(sign_in.tokens, expires_at=sign_in.tokens.issued_at + 1)
    embedding.sign_in(tokens=msgspec.structs.replace(expired, issued_at=expired.issued_at - 300))
    fake.token(fake.grant(access_token="second", id_token=None))
    assert embedding.call("/own", "GET").text == "second"
    assert told == [("token_refreshed", "auth0|demo", "")]


def own() -> str:
    return bff.access_token("/api") or ""


def test_an_end_of_all_is_told_for_each(embedding: Embedding, told: Told) -> None:
    for number in range(3):
        embedding.sign_in(subject=f"user-{number}")
    embedding.receiver.services.sessions.end_everyone("security", 5)
    ended = [(name, subject) for name, subject, _ in told if name == "session_ended"]
    assert sorted(ended) == [("session_ended", f"user-{number}") for number in range(3)]


def test_a_receiver_that_fails_stops_neither_the_end_nor_the_others(
    embedding: Embedding, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(sender: None, **_: Any) -> None:
        raise LookupError("of the team")

    bff.session_ended.connect(fail)
    try:
        embedding.sign_in()
        assert (
            embedding.call("/auth/logout", headers=SAME_ORIGIN | {"X-CSRF": "1"}).status_code == 200
        )
    finally:
        bff.session_ended.disconnect(fail)
    assert embedding.call("/auth/profile", "GET").status_code == 401
    assert [name for name, *_ in told] == ["session_ended"]
    assert "a receiver of the signal session_ended failed" in caplog.text


def no_arguments() -> None:
    """Can't be called with what is sent."""


async def coroutine(sender: None, **_: Any) -> None:
    """Nothing would await it."""


@pytest.mark.parametrize(
    ("receiver", "options"),
    [
        (no_arguments, {}),
        (lambda sender: None, {}),
        (coroutine, {}),
        (lambda sender, **_: None, {"sender": "the application"}),
        (lambda sender, **_: None, {"weak": True}),
        ("no function", {}),
    ],
)
def test_a_receiver_that_would_never_be_called_raises(receiver: Any, options: Any) -> None:
    with pytest.raises(TypeError):
        bff.session_started.connect(receiver, **{"sender": ANY} | options)
    assert not bff.session_started.receivers


# ---------------------------------------------------------------- claims
def tenant(claims: Any) -> dict[str, Any]:
    return {"tenant": claims["https://example.com/tenant"].upper(), "tags": ("a", "b")}


def test_claims_of_the_application_s_own_are_kept(
    fake: FakeProvider, application_for: MakeApplication
) -> None:
    browser = application_for(keep_claims=tenant).test_client()
    response = sign_in_at(fake, browser, **{"https://example.com/tenant": "acme"})
    assert response.status_code == 303
    user = browser.get("/auth/profile", headers=SAME_ORIGIN).json
    assert user and user["user"]["tenant"] == "ACME"
    assert user["user"]["tags"] == ["a", "b"]
    assert user["user"]["name"] == "Dana"


def change(claims: Any) -> dict[str, Any]:
    claims["sub"] = "auth0|another"
    return {}


@pytest.mark.parametrize(
    "wrong",
    [
        lambda claims: None,
        lambda claims: ["tenant"],
        lambda claims: {"email": "other@example.com"},
        lambda claims: {"name": "Other"},
        lambda claims: {"picture": "not in this ID token, but in the next"},
        lambda claims: {"tags": {"a", "set"}},
        lambda claims: {1: "no text"},
        lambda claims: claims["missing"],
        lambda: {},
        change,
    ],
)
def test_a_wrong_hook_fails_the_sign_in_and_forgets_no_refresh_token(
    fake: FakeProvider, application_for: MakeApplication, wrong: Any
) -> None:
    app = application_for(keep_claims=wrong)
    browser = app.test_client()
    assert sign_in_at(fake, browser).status_code == 500
    assert browser.get("/auth/profile", headers=SAME_ORIGIN).status_code == 401
    app.extensions["bff"].pending_writes.finish()
    app.extensions["bff"].revocation.drain()
    assert [one.form["token"] for one in fake.asked if one.path == "/oauth/revoke"] == [
        "the-refresh-token"
    ]
