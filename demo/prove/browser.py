"""How does the proof act as a browser?

It stores cookies, sends Fetch Metadata, fills in the provider's form, and can reach every replica.
A thief's requests are made here, too: the same headers, with the copied cookie.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from demo.prove.rows import ProofFailed

TIMEOUT_SECONDS = 20
PROVIDER_VISITS_MAX = 3
FETCH = {
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "X-CSRF": "1",
}
NAVIGATION = {
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Accept": "text/html",
}
FROM_ANOTHER_SITE = NAVIGATION | {"Sec-Fetch-Site": "cross-site"}


def cookie_name(url: str) -> str:
    """The name of the session cookie at *url*."""
    return "__Host-Http-session" if url.startswith("https://") else "session"


def send(method: str, url: str, cookie: str | None = None, **options: Any) -> requests.Response:
    """Send one request on a new connection, with a session cookie or without."""
    with requests.Session() as session:
        # Without the user's proxy and netrc.
        session.trust_env = False
        headers = options.pop("headers", {})
        if cookie is not None:
            headers = headers | {"Cookie": f"{cookie_name(url)}={cookie}"}
        options.setdefault("timeout", TIMEOUT_SECONDS)
        return session.request(method, url, headers=headers, allow_redirects=False, **options)


def sets_session(response: requests.Response) -> bool:
    """Whether a response sets a session cookie; clearing it doesn't count."""
    return any(c.value and c.name == cookie_name(response.url) for c in response.cookies)


class Browser:
    """One browser of one user."""

    def __init__(self, replica_urls: Sequence[str], email: str, password: str) -> None:
        """Make a browser without cookies.

        Args:
            replica_urls: The replicas that it can reach; the first one is the default.
            email: The user's name at the provider.
            password: The user's password there.
        """
        self.urls = replica_urls
        self.email, self._password = email, password
        self.here, self.at_provider = requests.Session(), requests.Session()
        self.here.trust_env = self.at_provider.trust_env = False

    def close(self) -> None:
        """Close its connections."""
        self.here.close()
        self.at_provider.close()

    @property
    def cookie(self) -> str:
        """The value of its session cookie.

        Raises:
            ProofFailed: It has none.
        """
        for cookie in self.here.cookies:
            if cookie.name == cookie_name(self.urls[0]) and cookie.value:
                return cookie.value
        raise ProofFailed("the browser has no session cookie")

    def fetch(self, method: str, path: str, replica: int = 0, **options: Any) -> requests.Response:
        """Send a request as the SPA's script does."""
        return self._request(method, self.urls[replica] + path, FETCH, **options)

    def open(
        self,
        path: str,
        replica: int = 0,
        headers: dict[str, str] = NAVIGATION,
        without: str | None = None,
    ) -> requests.Response:
        """Open an address, *without* the cookie of this name; redirects are not followed."""
        if without is None:
            return self._request("GET", self.urls[replica] + path, headers)
        return self._send_without(without, self.urls[replica] + path, headers)

    def submit(self, page: requests.Response, **fields: str) -> requests.Response:
        """Fill in the first form of *page* and submit it."""
        jar = self.here if page.url.startswith(tuple(self.urls)) else self.at_provider
        action = urljoin(page.url, html.unescape(_form_action(page.text)))
        return jar.post(
            action,
            data=_hidden_fields(page.text) | fields,
            headers=NAVIGATION,
            allow_redirects=False,
            timeout=TIMEOUT_SECONDS,
        )

    def sign_in(self, replica: int = 0) -> None:
        """Sign in with the password.

        Raises:
            ProofFailed: There is no session afterwards.
        """
        location = self.begin(replica)
        for _ in range(PROVIDER_VISITS_MAX):
            response = self.come_back(self.through_provider(location), replica)
            if response.status_code == 303 and sets_session(response):
                return
            # After the end of all sessions the BFF redirects to the provider once more.
            location = response.headers.get("Location", "")
            if not location.startswith("http"):
                break
        raise ProofFailed(f"the sign-in failed with {response.status_code}: {response.text[:200]}")

    def begin(self, replica: int = 0) -> str:
        """Begin a sign-in; returns the address of the provider."""
        response = self.open("/auth/login", replica)
        if response.status_code != 302:
            raise ProofFailed(f"/auth/login responded {response.status_code}")
        return response.headers["Location"]

    def at_authorize(self, location: str) -> requests.Response:
        """Open the provider's page: a form (200), or a redirect if signed in there."""
        return self.at_provider.get(location, allow_redirects=False, timeout=TIMEOUT_SECONDS)

    def through_provider(self, location: str) -> str:
        """Sign in at the provider, with the password if it asks; returns where it redirects to."""
        response = self.at_authorize(location)
        if response.status_code == 200:
            response = self.submit(response, username=self.email, password=self._password)
        if response.status_code not in (302, 303):
            raise ProofFailed(f"the provider responded {response.status_code}")
        return response.headers["Location"]

    def come_back(self, location: str, replica: int = 0) -> requests.Response:
        """Follow the provider's redirect as a browser does: without the Strict cookie."""
        parts = urlsplit(location)
        url = f"{self.urls[replica]}{parts.path}?{parts.query}"
        return self._send_without(cookie_name(self.urls[0]), url, FROM_ANOTHER_SITE)

    def _send_without(self, name: str, url: str, headers: dict[str, str]) -> requests.Response:
        # Over plain http there is one with the port in its name, too.
        cookies = {c.name: c.value or "" for c in self.here.cookies if not c.name.startswith(name)}
        response = send("GET", url, headers=headers, cookies=cookies)
        self.here.cookies.update(response.cookies)
        return response

    def _request(
        self, method: str, url: str, headers: dict[str, str], **options: Any
    ) -> requests.Response:
        options.setdefault("timeout", TIMEOUT_SECONDS)
        return self.here.request(method, url, headers=headers, allow_redirects=False, **options)


def _form_action(page: str) -> str:
    found = re.search(r'<form[^>]*\saction="([^"]*)"', page)
    if not found:
        raise ProofFailed("the page has no form")
    return found[1]


def _hidden_fields(page: str) -> dict[str, str]:
    pattern = r'<input type="hidden" name="([^"]+)" value="([^"]*)"'
    return {name: html.unescape(value) for name, value in re.findall(pattern, page)}
