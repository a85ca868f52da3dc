"""A certified provider that leaves `auth_time` out: who gets in after an end of all sessions?"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.interop.cluster import InteropBrowser, InteropCluster
from tests.interop.pages import go_through

ADMIN_KEY = "an-admin-key-for-the-tests-0123456789"


def signed_in_after_an_end(cluster: InteropCluster) -> tuple[InteropBrowser, requests.Response]:
    """The browser's second try to sign in after the end, and its outcome."""
    browser = cluster.browser()
    browser.log_in()
    ended = requests.post(
        f"{cluster.url()}/admin/sessions/end",
        json={"everyone": True},
        headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        timeout=20,
    )
    assert ended.json() == {"ended": 1}
    # The provider revokes the whole grant, and a code with it that it has issued meanwhile.
    cluster.wait_until_outbox_is_empty()
    sent_back = browser.come_back(browser.provider_answer("/auth/login"))
    assert sent_back.status_code == 302, sent_back.text
    pushed = cluster.pushed()
    assert (pushed["prompt"], str(pushed["max_age"])) == ("login", "0")
    assert set(parse_qs(urlsplit(sent_back.headers["Location"]).query)) == {
        "client_id", "request_uri",
    }, "a user could remove the prompt"  # fmt: skip
    person = {"login": "demo@example.com", "password": "any password will do"}
    location = go_through(
        browser.at_provider, sent_back.headers["Location"], cluster.issuer, person
    )
    return browser, browser.come_back(location)


@pytest.mark.parametrize(
    ("setting", "status"), [("false", 502), ("true", 303)], ids=["strict", "with iat"]
)
def test_promise_6_the_second_try_gets_in_only_with_the_setting(setting: str, status: int) -> None:
    env = {"BFF_ADMIN_KEY": ADMIN_KEY, "BFF_ACCEPT_IAT_FOR_AUTH_TIME": setting}
    with InteropCluster(env=env, provider={"omit_auth_time": True}) as cluster:
        browser, outcome = signed_in_after_an_end(cluster)
        assert outcome.status_code == status, outcome.text
        assert ("auth_time_missing" in outcome.text) == (status == 502)
        assert browser.profile().status_code == (200 if status == 303 else 401)
