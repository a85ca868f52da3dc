"""The short-lived cookie and the challenges are good for their session, their time and our keys."""

from __future__ import annotations

import pytest

from bff.core.device_binding import (
    BINDING_SECONDS_MAX,
    COOKIES_MAX,
    EXTRA_SECONDS,
    BoundCookies,
    DeviceChallenges,
    Purpose,
    device_session_ids,
)
from bff.core.sealing import Sealer

SESSION, OTHER = "a" * 64, "b" * 64
NOW = 1_800_000_000.25
SECONDS = 600
OLD, NEW = "o" * 40, "n" * 40


def cookies(*secrets: str) -> BoundCookies:
    return BoundCookies(Sealer(secrets or (NEW,)).device_hashes, SECONDS)


def challenges(*secrets: str) -> DeviceChallenges:
    return DeviceChallenges(Sealer(secrets or (NEW,)).device_hashes, SECONDS)


@pytest.mark.parametrize(
    ("after_seconds", "state"),
    [
        (0, "good"),
        (SECONDS, "good"),
        (SECONDS + EXTRA_SECONDS - 1, "good"),
        (SECONDS + EXTRA_SECONDS, "expired"),
        (10 * 86_400, "expired"),
        # Redis's clock was set back: by a little, and by more than a cookie is good.
        (-600, "good"),
        (-BINDING_SECONDS_MAX, "expired"),
        (-365 * 86_400, "expired"),
    ],
)
def test_a_cookie_is_good_for_its_time(after_seconds: int, state: str) -> None:
    value = cookies().value(SESSION, NOW)
    assert cookies().state([value], SESSION, NOW + after_seconds) == state


def test_a_cookie_of_another_session_is_foreign() -> None:
    assert cookies().state([cookies().value(OTHER, NOW)], SESSION, NOW) == "foreign"


def test_each_secret_is_accepted_and_the_newest_makes() -> None:
    by_old = cookies(OLD).value(SESSION, NOW)
    assert cookies(NEW, OLD).state([by_old], SESSION, NOW) == "good"
    assert cookies(NEW).state([by_old], SESSION, NOW) == "foreign"
    by_both = cookies(NEW, OLD).value(SESSION, NOW)
    assert cookies(NEW).state([by_both], SESSION, NOW) == "good"


def forged_cookies() -> list[str]:
    ends_at, _, name = cookies().value(SESSION, NOW).partition(".")
    later = str(int(ends_at) + 1)
    return [
        "", ".", "x", ends_at, f"{ends_at}.", f".{name}", name, f"{later}.{name}",
        f"{ends_at}.{name[:-1]}", f"{ends_at}.{name}0", f"{ends_at}.{name.upper()}",
        f"0{ends_at}.{name}", f"+{ends_at}.{name}", f"{ends_at}.0.{name}", f" {ends_at}.{name}",
        f"{ends_at}.{name}\n", f"-1.{name}", f"{'9' * 4000}.{name}", f"1e9.{name}",
        f"\u0661\u0662.{name}", f"{ends_at}.{'0' * 64}", f'"{ends_at}.{name}"',
        f"{ends_at}." + "\u00fc" * 64,
    ]  # fmt: skip


@pytest.mark.parametrize("forged", forged_cookies())
def test_a_forged_cookie_is_foreign(forged: str) -> None:
    assert cookies().state([forged], SESSION, NOW) == "foreign"


def test_a_good_cookie_beside_others_is_found() -> None:
    good = cookies().value(SESSION, NOW)
    for others in range(COOKIES_MAX):
        assert cookies().state(["x"] * others + [good], SESSION, NOW) == "good"
    # Each is checked, so there is a limit.
    assert cookies().state(["x"] * COOKIES_MAX + [good], SESSION, NOW) == "foreign"
    assert cookies().state([], SESSION, NOW) == "no_cookie"


PURPOSES: list[Purpose] = ["register", "refresh"]


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize(
    ("after_seconds", "is_good"),
    [(0, True), (SECONDS - 1, True), (SECONDS + 1, False), (-2, False)],
)
def test_a_challenge_is_good_for_its_time(
    purpose: Purpose, after_seconds: int, is_good: bool
) -> None:
    challenge = challenges().new(purpose, SESSION, NOW)
    issued_at = challenges().issued_at(challenge, purpose, SESSION, NOW + after_seconds)
    assert issued_at == (int(NOW) if is_good else None)


def test_a_challenge_of_another_session_or_purpose_is_none() -> None:
    challenge = challenges().new("refresh", SESSION, NOW)
    assert challenges().issued_at(challenge, "refresh", OTHER, NOW) is None
    assert challenges().issued_at(challenge, "register", SESSION, NOW) is None
    assert challenges("x" * 40).issued_at(challenge, "refresh", SESSION, NOW) is None
    assert challenges("x" * 40, NEW).issued_at(challenge, "refresh", SESSION, NOW) is not None


def test_no_two_challenges_are_the_same() -> None:
    assert len({challenges().new("refresh", SESSION, NOW) for _ in range(100)}) == 100


@pytest.mark.parametrize("changed", ["", "x", "1.2.3", "later", "nonce", "short", "more"])
def test_a_forged_challenge_is_none(changed: str) -> None:
    at, nonce, name = challenges().new("refresh", SESSION, NOW).split(".")
    forged = {
        "later": f"{int(at) + 1}.{nonce}.{name}",
        "nonce": f"{at}.{'A' * 22}.{name}",
        "short": f"{at}.{nonce}.{name[:-1]}",
        "more": f"{at}.{nonce}.{name}.{name}",
    }.get(changed, changed)
    assert challenges().issued_at(forged, "refresh", SESSION, NOW) is None


def test_a_cookie_is_no_challenge_and_no_id() -> None:
    """All of them are made with one key, each for its own purpose."""
    value = cookies().value(SESSION, NOW)
    challenge = challenges().new("refresh", SESSION, NOW)
    assert challenges().issued_at(value, "refresh", SESSION, NOW) is None
    assert cookies().state([challenge], SESSION, NOW) == "foreign"
    [own] = device_session_ids(Sealer([NEW]).device_hashes, SESSION)
    assert own not in value + challenge


def test_the_id_of_a_session_is_known_under_each_secret() -> None:
    both = device_session_ids(Sealer([NEW, OLD]).device_hashes, SESSION)
    assert both == [
        *device_session_ids(Sealer([NEW]).device_hashes, SESSION),
        *device_session_ids(Sealer([OLD]).device_hashes, SESSION),
    ]
    assert len({*both, *device_session_ids(Sealer([NEW]).device_hashes, OTHER)}) == 3
