"""What proves a new authentication: `auth_time`, or `iat` after `prompt=login` where allowed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bff.core.errors import AuthTimeMissing, IDTokenInvalid
from tests.provider.test_id_token import sign_in
from tests.support.fake_provider import FakeProvider

AGO = 30
"""The sign-in began so many seconds ago; the allowed skew is 10."""


@pytest.mark.parametrize(
    ("setting", "prompt_login", "claims", "refused"),
    [
        ("false", True, {}, AuthTimeMissing),
        ("true", False, {}, AuthTimeMissing),
        ("true", True, {}, None),
        ("true", True, {"iat": -AGO - 9}, None),
        ("true", True, {"iat": -AGO - 11}, IDTokenInvalid),
        ("true", True, {"iat": 60}, IDTokenInvalid),
        ("true", True, {"auth_time": -AGO - 11}, IDTokenInvalid),
        ("true", True, {"auth_time": "soon"}, IDTokenInvalid),
        ("true", True, {"auth_time": -5}, None),
        ("false", False, {"auth_time": -5}, None),
    ],
)
def test_iat_suffices_only_with_the_setting_after_the_prompt_and_without_auth_time(
    fake: FakeProvider,
    client_for: Any,
    setting: str,
    prompt_login: bool,
    claims: dict[str, Any],
    refused: type[Exception] | None,
) -> None:
    """The numbers are seconds from now."""
    now = int(time.time())
    given: dict[str, Any] = {
        n: now + value if isinstance(value, int) else value for n, value in claims.items()
    }
    token = fake.id_token(**given)
    asked: dict[str, Any] = {
        "max_age": 0, "started_at": now - AGO, "prompt_login": prompt_login,
    }  # fmt: skip
    provider = client_for(BFF_ACCEPT_IAT_FOR_AUTH_TIME=setting)
    if refused:
        with pytest.raises(IDTokenInvalid) as caught:
            sign_in(fake, provider, token, **asked)
        assert type(caught.value) is refused
        assert [a.form["token"] for a in fake.asked if a.path == "/oauth/revoke"]
        return
    identity = sign_in(fake, provider, token, **asked).identity
    dated = "auth_time" in given
    assert identity.auth_time == (given["auth_time"] if dated else None)
    assert (identity.prompted_at is None) == dated


def test_a_sign_in_that_asked_for_nothing_has_no_age(fake: FakeProvider, client_for: Any) -> None:
    provider = client_for(BFF_ACCEPT_IAT_FOR_AUTH_TIME="true")
    assert sign_in(fake, provider, fake.id_token()).identity.authenticated_at is None
