"""A session transfer token reaches the provider, by no link of another site, and stays nowhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.signing_in import NAVIGATION, ORIGIN, World, code_of

TOKEN = "Stt_" + "x" * 1500
FROM: dict[str, tuple[dict[str, str], int]] = {
    "an app that opens the browser": ({"Sec-Fetch-Site": "none"}, 302),
    "a page of ours": ({"Sec-Fetch-Site": "same-origin"}, 302),
    "another site": ({"Sec-Fetch-Site": "cross-site"}, 403),
    "a sibling": ({"Sec-Fetch-Site": "same-site"}, 403),
    "another site, without Fetch Metadata": ({"Referer": "https://evil.example/"}, 403),
    "a page of ours, without Fetch Metadata": ({"Referer": f"{ORIGIN}/items"}, 302),
}


@pytest.mark.parametrize(("headers", "status"), FROM.values(), ids=FROM)
def test_it_is_passed_on_unless_another_site_sends_it(
    world: World, headers: dict[str, str], status: int
) -> None:
    response = world.browser.get(
        f"/auth/login?session_transfer_token={TOKEN}",
        base_url=ORIGIN,
        headers=NAVIGATION | headers,
    )
    assert response.status_code == status
    if status == 302:
        sent = parse_qs(urlsplit(response.headers["Location"]).query)
        assert sent["session_transfer_token"] == [TOKEN]
    else:
        assert "cross_site" in response.text
        assert TOKEN not in response.text


@pytest.mark.parametrize(
    "query", [f"={TOKEN}&session_transfer_token=b", "=a%0ab", "=" + "x" * 4097, "=%C3%A4"]
)
def test_what_can_be_no_token_is_refused(world: World, query: str) -> None:
    response = world.get(f"/auth/login?session_transfer_token{query}")
    assert (response.status_code, code_of(response)) == (400, "parameter_invalid")


@pytest.mark.parametrize("listed", ["", "session_transfer_token"])
def test_it_is_neither_kept_for_a_second_try_nor_shown_nor_logged(
    world_for: Callable[..., World],
    audit_lines: Callable[[], list[dict[str, Any]]],
    caplog: pytest.LogCaptureFixture,
    listed: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    world = world_for(BFF_LOGIN_PARAMETERS=listed)
    url = world.login(session_transfer_token=TOKEN, login_hint="dana@example.com")
    state = parse_qs(urlsplit(url).query)["state"][0]
    denied = world.get(f"/auth/callback?error=access_denied&state={state}")
    assert (denied.status_code, code_of(denied)) == (403, "sign_in_denied")
    assert TOKEN not in denied.text
    assert audit_lines()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("bff")]
    assert not [line for line in ours if TOKEN in line]
