"""What can a thief do with a copy of the cookie and of the tokens?

A thief copies them after a sign-in, checks that they work, and tries all of them again after the
end: the cookie at every replica, the access tokens at the API, by introspection and by the token
check for nginx, the refresh tokens in the provider's own list.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import requests

from demo.launch import AUDIENCE
from demo.prove.browser import FETCH, Browser, send, sets_session
from demo.prove.installation import ROUTES, Installation
from demo.prove.rows import Finding, ProofFailed, Section

REFRESH_TOKEN_WITHIN_SECONDS = 10.0
WORKS = {"200", "201", "API 200", "introspection active", "nginx 204"}
TOKEN_REFUSED = ("API 401", "introspection inactive", "nginx 401")
SPENT = ("revoked", "expired")
"""Final states of a refresh token in the provider's list."""


class Thief:
    """Holds the cookie and the tokens of one sign-in."""

    def __init__(self, installation: Installation, browser: Browser) -> None:
        """Copy everything; call it right after the sign-in, which must be the provider's last."""
        self.installation = installation
        self.browser = browser
        self.cookie = browser.cookie
        newest = installation.issued()[-1]
        self._family_id: str = newest["family_id"]
        self.sub: str = newest["sub"]
        self.sid: str = newest["sid"]

    def tokens(self, kind: str) -> list[dict[str, Any]]:
        """All tokens of one kind for this sign-in, including those of refreshes."""
        issued = self.installation.issued()
        return [t for t in issued if t["family_id"] == self._family_id and t["kind"] == kind]

    def access_tokens(self, audience: str | None = None) -> list[dict[str, Any]]:
        """The access tokens that haven't expired, also those of routes; for one API, if given."""
        now = time.time()
        return [
            token
            for token in self.tokens("access_token")
            if token["expires_at"] > now + 0.5 and audience in (None, token["audience"])
        ]

    def check_it_works(self) -> None:
        """Try everything before the end; otherwise a refusal afterwards proves nothing.

        Raises:
            ProofFailed: Something doesn't work.
        """
        tried = self._profile() + self._api() + self._routes() + self._bearer()
        if not set(tried) <= WORKS or not {"API 200", "introspection active"} <= set(tried):
            raise ProofFailed(f"before the end not everything worked: {_summary(tried)}")
        if not any(t["state"] == "active" for t in self.tokens("refresh_token")):
            raise ProofFailed("there is no active refresh token")

    # ------------------------------------------------------------ attempts
    def _profile(self) -> Counter[str]:
        return self._everywhere(
            lambda url: self._with_cookie("GET", url, "/auth/profile?slide=true")
        )

    def _api(self) -> Counter[str]:
        return self._everywhere(
            lambda url: self._with_cookie("GET", url, "/api/items"),
            lambda url: self._with_cookie("POST", url, "/api/items", json={"title": "mine"}),
        )

    def _routes(self) -> Counter[str]:
        return self._everywhere(
            *(
                lambda url, path=f"{prefix}/items": self._with_cookie("GET", url, path)
                for prefix in ROUTES.values()
            )
        )

    def _bearer(self) -> Counter[str]:
        results = (
            token_checks(self.installation, t["value"], t["audience"]) for t in self.access_tokens()
        )
        return sum(results, Counter())

    def _refreshing(self) -> Counter[str]:
        return Counter(token["state"] for token in self.tokens("refresh_token"))

    def _with_cookie(self, method: str, url: str, path: str, **options: Any) -> requests.Response:
        return send(method, url + path, self.cookie, headers=FETCH, **options)

    def _everywhere(self, *requests_: Callable[[str], requests.Response]) -> Counter[str]:
        responses = [request(url) for url in self.installation.urls for request in requests_]
        return Counter(
            f"{response.status_code}{' with a session cookie' * sets_session(response)}"
            for response in responses
        )

    # ------------------------------------------------------------ rows
    def try_cookie(self, section: Section, *, within_seconds: float = 0) -> None:
        """The rows about the copied cookie."""
        when = _when(within_seconds)
        replicas = f"at all {len(self.installation.urls)} replicas"
        section.attack(
            "cookie-profile", f"the cookie on /auth/profile, {replicas}",
            f"401 {when}", lambda: held(self._profile(), "401"), within_seconds=within_seconds,
        )  # fmt: skip
        section.attack(
            "cookie-api", f"the cookie on /api, {replicas}",
            f"401 {when}", lambda: held(self._api() + self._routes(), "401"),
            within_seconds=within_seconds,
        )  # fmt: skip

    def try_access_token(self, section: Section, *, within_seconds: float = 0) -> None:
        """The row about the copied access tokens, including those of routes."""
        section.attack(
            "access-token",
            "every access token: at its API, by introspection, by nginx",
            f"refused {_when(within_seconds)}",
            lambda: held(self._bearer(), *TOKEN_REFUSED),
            within_seconds=within_seconds,
        )

    def try_refresh_token(
        self, section: Section, *, within_seconds: float = REFRESH_TOKEN_WITHIN_SECONDS
    ) -> None:
        """The row about the refresh tokens."""
        section.attack(
            "refresh-token", "every refresh token, by the provider's own list",
            f"revoked {_when(within_seconds)}", lambda: held(self._refreshing(), *SPENT),
            within_seconds=within_seconds,
        )  # fmt: skip

    def try_everything(self, section: Section) -> None:
        """All rows, each with the time limit of the usual case."""
        self.try_cookie(section)
        self.try_access_token(section)
        self.try_refresh_token(section)


def signed_in(installation: Installation, browser: Browser | None = None) -> Thief:
    """Sign in a user without other sessions, and copy the credentials.

    Raises:
        ProofFailed: They don't work.
    """
    browser = browser or installation.browser()
    browser.sign_in()
    thief = Thief(installation, browser)
    thief.check_it_works()
    return thief


def token_checks(installation: Installation, token: str, audience: str = AUDIENCE) -> Counter[str]:
    """Try a token at its API, and by introspection and the nginx check at every replica.

    The latter two only for `AUTH0_AUDIENCE`.
    """
    bearer = {"Authorization": f"Bearer {token}"}
    response = send("GET", f"{installation.apis[audience]}/items", headers=bearer)
    results = Counter([f"API {response.status_code}"])
    if audience != AUDIENCE:
        return results
    client = ("proof", installation.introspection_secret)
    for url in installation.urls:
        asked = send("POST", f"{url}/auth/introspect", data={"token": token}, auth=client)
        results[f"introspection {_introspected(asked)}"] += 1
        checked = send("GET", f"{url}/auth/check-token", headers=bearer)
        results[f"nginx {checked.status_code}"] += 1
    return results


def _introspected(response: requests.Response) -> str:
    if response.status_code != 200:
        return str(response.status_code)
    return "active" if response.json().get("active") else "inactive"


def held(results: Counter[str], *refusals: str) -> Finding:
    """Return a finding: it held if there are results and all are among *refusals*."""
    return Finding(
        _summary(results) or "nothing to try", bool(results) and set(results) <= set(refusals)
    )


def _summary(results: Counter[str]) -> str:
    """Return each result and its number: `401 ×5, 503 ×1`."""
    return ", ".join(f"{word} ×{count}" for word, count in sorted(results.items()))


def _when(within_seconds: float) -> str:
    return f"within {within_seconds:g} s" if within_seconds else "at once"
