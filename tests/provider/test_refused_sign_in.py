"""Does a sign-in that is refused leave the user's live session as it was?"""

from __future__ import annotations

from typing import Any

import pytest

from bff.core.errors import IDTokenInvalid
from tests.support.fake_provider import transaction
from tests.support.receiver import Receiver


@pytest.mark.parametrize(
    ("claims", "revoked"),
    [
        ({"nonce": "of another sign-in"}, set()),
        ({"auth_time": None}, set()),
        ({"sid": "sid-two", "nonce": None}, {"the-refresh-token"}),
        ({"sid": None, "nonce": None}, {"the-refresh-token"}),
        ({"sub": "\ud800", "nonce": None}, {"the-refresh-token"}),
        ({"sub": 7, "nonce": None}, {"the-refresh-token"}),
    ],
    ids=["nonce", "no auth_time", "another sid", "no sid", "half an emoji", "a number"],
)
def test_its_refresh_token_is_kept_by_a_session_of_the_same_provider_session(
    bff: Receiver, claims: dict[str, Any], revoked: set[str]
) -> None:
    """At some providers the revocation would end that session's tokens, too."""
    key = bff.start()
    bff.fake.token(bff.fake.grant(id_token=bff.fake.id_token(**claims)))
    with pytest.raises(IDTokenInvalid):
        bff.services.provider.exchange_code("the-code", transaction(max_age=60))
    assert bff.revoked() == revoked
    bff.services.sessions.end(key, "logout")
    assert bff.revoked() == {"the-refresh-token", "refresh-1"}
