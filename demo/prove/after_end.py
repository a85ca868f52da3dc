"""Does an old sign-in outlive the end of all sessions of a user?

After it, neither the provider's session, nor a sign-in that was begun before, nor an access token
of another application of the same tenant may give access; a new sign-in must. That is the purpose
of the watermark.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode, urlsplit

from demo.launch import AUDIENCE, CLIENT_ID
from demo.prove.browser import Browser, send, sets_session
from demo.prove.endings import end_user
from demo.prove.installation import Installation
from demo.prove.rows import Finding, ProofFailed, Section
from demo.prove.thief import TOKEN_REFUSED, Thief, held, token_checks


def old_sign_ins(installation: Installation, section: Section, thief: Thief) -> None:
    """End all sessions of the user, then try everything from before."""
    token = token_of_another_application(installation, thief.browser)
    if "API 200" not in token_checks(installation, token):
        raise ProofFailed("the other application's token doesn't work before the end")
    callback = thief.browser.through_provider(thief.browser.begin())
    end_user(installation, thief.sub)
    section.ended_now()
    section.attack(
        "half-done", "a sign-in that reached the callback's address before",
        "no session", lambda: _finish_old_sign_in(thief.browser, callback),
    )  # fmt: skip
    section.attack(
        "silent", "the browser's old session at the provider, without a password",
        "the provider asks for the password", lambda: _sign_in_silently(thief.browser),
    )  # fmt: skip
    section.attack(
        "other-token", "an older access token of another application",
        "refused by each at once", lambda: held(token_checks(installation, token), *TOKEN_REFUSED),
    )  # fmt: skip
    section.attack(
        "real", "a real sign-in straight after", "works at all replicas",
        lambda: _sign_in_again(thief.browser),
    )  # fmt: skip


def _finish_old_sign_in(browser: Browser, location: str) -> Finding:
    response = browser.come_back(location)
    given = sets_session(response)
    return Finding("a session" if given else f"no session ({response.status_code})", held=not given)


def _sign_in_silently(browser: Browser) -> Finding:
    """Follow the redirects of a sign-in as far as they go without the password."""
    location = browser.begin()
    for _ in range(3):
        page = browser.at_authorize(location)
        if page.status_code == 200:
            return Finding("it asked for the password", held=True)
        response = browser.come_back(page.headers["Location"])
        if sets_session(response):
            return Finding("a session, without the password", held=False)
        location = response.headers.get("Location", "")
        if not location.startswith("http"):
            return Finding(f"no session ({response.status_code})", held=False)
    return Finding("redirected again and again", held=False)


def _sign_in_again(browser: Browser) -> Finding:
    browser.sign_in()
    statuses = [
        browser.fetch("GET", "/auth/profile", replica).status_code
        for replica in range(len(browser.urls))
    ]
    return Finding(f"profile {statuses}", held=set(statuses) == {200})


def token_of_another_application(installation: Installation, browser: Browser) -> str:
    """Return an access token of the same user for the same API that the BFF has never seen.

    Raises:
        ProofFailed: The provider doesn't issue it.
    """
    redirect_uri = f"{installation.base_url}/auth/callback"
    asked = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": redirect_uri,
        "scope": "openid",
        "audience": AUDIENCE,
    }
    location = browser.through_provider(f"{installation.issuer}authorize?{urlencode(asked)}")
    code = parse_qs(urlsplit(location).query)["code"][0]
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "client_id": CLIENT_ID,
        "client_secret": installation.client_secret,
    }
    response = send("POST", f"{installation.issuer}oauth/token", data=form)
    if response.status_code != 200:
        raise ProofFailed(f"the token endpoint responded {response.status_code}")
    return str(response.json()["access_token"])
