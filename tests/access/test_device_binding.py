"""A session's time, its mode and its cookie decide about a request; a set clock opens nothing.

With requests that are made up; over HTTP: tests/web/test_device_registration.py.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest
from flask import Flask

from bff.access.device_binding import DeviceBinding
from bff.config import load
from bff.core.device_binding import BINDING_SECONDS_MAX, COOKIE, BoundCookies
from bff.core.errors import BFFError, ConfigError, DeviceProofInvalid, SealKeyUnknown
from bff.core.model import Identity, Session, Tokens
from bff.core.sealing import Sealer
from bff.store import Stores

SECRET, OTHER = "s" * 40, "o" * 40
NOW = 1_800_000_000
DAY = 86_400
SETTINGS = {
    "OIDC_ISSUER": "https://provider.example/", "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": "secret", "AUTH0_SECRET": SECRET,
    "APP_BASE_URL": "https://app.example.com", "BFF_API_URL": "http://api.example.com",
}  # fmt: skip
SEALER = Sealer([SECRET])


class StubStores:
    """Of all stores, a clock and how often an idle end was put back."""

    def __init__(self) -> None:
        self.records = self.database = self
        self.undone = 0

    def now(self) -> float:
        return NOW

    def undo_slide(self, _: Session) -> None:
        self.undone += 1


def binding(
    mode: str = "offer", *, secret: str = SECRET, stores: StubStores | None = None
) -> DeviceBinding:
    config = load(SETTINGS | {"BFF_DEVICE_BINDING": mode})
    made = DeviceBinding.of(config, Sealer([secret]), cast(Stores, stores or StubStores()))
    assert made
    return made


SESSION = Session(
    key="a" * 64, generation=1,
    tokens=Tokens(access_token="a", expires_at=NOW + DAY, issued_at=NOW),
    identity=Identity(issuer="https://provider.example/", subject="auth0|dana"),
    created_at=NOW - DAY, last_seen_at=NOW, idle_ends_at=NOW + DAY, absolute_ends_at=NOW + DAY,
    read_at=NOW, bound_at=NOW - DAY,
)  # fmt: skip


def decided(mode: str, cookie: str | None = None, **session: Any) -> str:
    """The code of the refusal; `passes` if there is none."""
    environ = {"HTTP_COOKIE": f"theme=dark; {COOKIE}={cookie}; x"} if cookie else {}
    stores = StubStores()
    with Flask(__name__).test_request_context():
        try:
            given = msgspec.structs.replace(SESSION, **session)
            binding(mode, stores=stores).check(given, environ)
        except BFFError as error:
            assert stores.undone == 1, "what is refused extends no session"
            return error.code
    assert stores.undone == 0
    return "passes"


def cookie(at: float = NOW, key: str = SESSION.key) -> str:
    return BoundCookies(SEALER.device_hashes, 600).value(key, at)


CASES: dict[str, tuple[str, str | None, dict[str, Any], str]] = {
    "bound, with the cookie": ("offer", cookie(), {}, "passes"),
    "bound, without": ("offer", None, {}, "device_unproven"),
    "bound, with one that has ended": ("offer", cookie(NOW - 700), {}, "device_unproven"),
    "bound, with another session's": ("offer", cookie(key="b" * 64), {}, "device_unproven"),
    "bound, with nonsense": ("offer", "x", {}, "device_unproven"),
    "bound just now": ("offer", None, {"bound_at": NOW - 4}, "passes"),
    "bound five seconds ago": ("offer", None, {"bound_at": NOW - 5}, "device_unproven"),
    "bound by a replica that is ahead": ("offer", None, {"bound_at": NOW + 2}, "passes"),
    "bound before the clock was set back": ("offer", None, {"bound_at": NOW + 60},
                                            "device_unproven"),
    "the cookie from before that": ("offer", cookie(NOW + BINDING_SECONDS_MAX), {},
                                    "device_unproven"),
    "unbound": ("offer", None, {"bound_at": None}, "passes"),
    "unbound, with a cookie": ("offer", cookie(key="b" * 64), {"bound_at": None}, "passes"),
    "required, bound": ("require", cookie(), {}, "passes"),
    "required, bound, without": ("require", None, {}, "device_unproven"),
    "required, unbound": ("require", None, {"bound_at": None}, "device_unbound"),
    "required, unbound, with a cookie": ("require", cookie(), {"bound_at": None},
                                         "device_unbound"),
    "required, in the first minute": ("require", None, {"bound_at": None, "created_at": NOW - 59},
                                      "passes"),
    "required, after it": ("require", None, {"bound_at": None, "created_at": NOW - 60},
                           "device_unbound"),
    "required, from before the clock was set back": (
        "require", None, {"bound_at": None, "created_at": NOW + 3600}, "device_unbound"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_request_is_decided(case: tuple[str, str | None, dict[str, Any], str]) -> None:
    mode, given, session, expected = case
    assert decided(mode, given, **session) == expected


def test_off_there_is_nothing_to_ask() -> None:
    assert DeviceBinding.of(load(SETTINGS), SEALER, cast(Stores, StubStores())) is None


@pytest.mark.parametrize("mode", ["offer", "require"])
def test_it_needs_https(mode: str) -> None:
    plain = SETTINGS | {"APP_BASE_URL": "http://localhost:8000", "BFF_DEVICE_BINDING": mode}
    with pytest.raises(ConfigError, match="BFF_DEVICE_BINDING: needs https"):
        load(plain)


@pytest.mark.parametrize("seconds", ["9", "0", "-1", "3601", "600.5", "ten"])
def test_a_time_that_no_browser_could_keep_is_refused(seconds: str) -> None:
    with pytest.raises(ConfigError, match="BFF_DEVICE_BINDING_SECONDS"):
        load(SETTINGS | {"BFF_DEVICE_BINDING_SECONDS": seconds})


def test_an_authorization_is_for_one_purpose() -> None:
    """Other texts that we seal open no registration."""
    sealed = SEALER.seal_text(b'{"session_key":"a","ends_at":1}', "logout state")
    with pytest.raises(DeviceProofInvalid):
        binding().open_registration(sealed)
    field = binding(secret=OTHER).registration(SESSION.key)
    with pytest.raises(SealKeyUnknown):
        binding().open_registration(field.partition('authorization="')[2].rstrip('"'))
