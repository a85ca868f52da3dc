"""How does a test act as a browser, over plain HTTP and fast?

It stores cookies, sends Fetch Metadata, and fills in the provider's form. It can reach every
replica. Tests with a real browser are in tests/browser.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from tests.support.provider_form import sign_in_at_provider

TIMEOUT_SECONDS = 30
FETCH = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
NAVIGATION = {
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Accept": "text/html",
}


class BrowserClient:
    """One browser: its cookies here, its cookies at the provider, and the replicas."""

    def __init__(self, replica_urls: list[str], email: str, password: str) -> None:
        self._urls = replica_urls
        self._email, self._password = email, password
        self.here = _session()
        self.at_provider = _session()

    def close(self) -> None:
        """Close all connections."""
        self.here.close()
        self.at_provider.close()

    @property
    def cookie(self) -> str | None:
        """The value of the session cookie."""
        return next((c.value for c in self.here.cookies if c.name.endswith("session")), None)

    def navigate(self, path: str, *, replica: int = 0, **headers: str) -> requests.Response:
        """Open an address; redirects are not followed."""
        url = path if path.startswith("http") else self._urls[replica] + path
        return self.here.get(
            url, headers=NAVIGATION | headers, allow_redirects=False, timeout=TIMEOUT_SECONDS
        )

    def fetch(
        self, method: str, path: str, *, replica: int = 0, **options: Any
    ) -> requests.Response:
        """Send a request as the SPA's script does."""
        headers = FETCH | options.pop("headers", {})
        options.setdefault("timeout", TIMEOUT_SECONDS)
        return self.here.request(
            method, self._urls[replica] + path, headers=headers, allow_redirects=False, **options
        )

    def authorize_url(self, path: str = "/auth/login", *, replica: int = 0) -> str:
        """Begin a sign-in; returns the address at the provider."""
        response = self.navigate(path, replica=replica)
        assert response.status_code == 302, f"{response.status_code}: {response.text[:500]}"
        return response.headers["Location"]

    def come_back(self, location: str, *, replica: int = 0) -> requests.Response:
        """Follow the provider's redirect to the callback as a browser does: cross-site.

        A browser doesn't send a SameSite=Strict cookie then, so it is left out here, too.
        """
        parts = urlsplit(location)
        cookies = {c.name: c.value or "" for c in self.here.cookies if "session" not in c.name}
        response = requests.get(
            f"{self._urls[replica]}{parts.path}?{parts.query}",
            headers=NAVIGATION | {"Sec-Fetch-Site": "cross-site"},
            cookies=cookies,
            allow_redirects=False,
            timeout=TIMEOUT_SECONDS,
        )
        self.here.cookies.update(response.cookies)
        return response

    def log_in(self, path: str = "/auth/login", *, replica: int = 0) -> requests.Response:
        """Sign in; returns the response of the callback."""
        location = sign_in_at_provider(
            self.at_provider, self.authorize_url(path, replica=replica), self._email, self._password
        )
        response = self.come_back(location, replica=replica)
        assert response.status_code == 303, f"{response.status_code}: {response.text[:800]}"
        return response

    def profile(self, *, replica: int = 0) -> requests.Response:
        """GET the profile."""
        return self.fetch("GET", "/auth/profile", replica=replica)

    def api(self, path: str, *, replica: int = 0, **options: Any) -> requests.Response:
        """GET *path* of the API."""
        return self.fetch("GET", f"/api{path}", replica=replica, **options)

    def log_out(self, *, replica: int = 0) -> requests.Response:
        """Sign out by fetch."""
        return self.fetch("POST", "/auth/logout", replica=replica, headers={"X-CSRF": "1"})


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session
