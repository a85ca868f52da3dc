"""How does a browser of the benchmark sign in, many times and fast?

With `http.client` and a small cookie jar, since there are a thousand sign-ins at each contestant.
It follows the provider's redirects and fills in its form.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import local
from typing import TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

TIMEOUT_SECONDS = 60.0
MAX_STEPS = 15
THREADS = 8
FIELDS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept-Language": "en-GB,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
}
NAVIGATION = FIELDS | {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
}
FETCH = FIELDS | {
    "Accept": "application/json",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
}

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Response:
    """One response."""

    url: str
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The first header of that name, or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name), "")


class _Connections(local):
    """The open connections of a thread, by address."""

    def __init__(self) -> None:
        self.by_address: dict[str, http.client.HTTPConnection] = {}


_connections = _Connections()


class Browser:
    """One browser, with cookies by address; not thread-safe."""

    def __init__(self) -> None:
        self._jars: dict[str, dict[str, str]] = {}

    def cookies(self, url: str) -> str:
        """The `Cookie` header for an address."""
        jar = self._jars.get(urlsplit(url).netloc, {})
        return "; ".join(f"{name}={value}" for name, value in jar.items())

    def set_cookies(self, url: str, cookies: str) -> None:
        """Store the cookies of a `Cookie` header for an address."""
        pairs = (pair.partition("=") for pair in cookies.split("; "))
        self._jars[urlsplit(url).netloc] = {name: value for name, _, value in pairs}

    def store_cookies(self, response: Response) -> None:
        """Store or delete the cookies of a response."""
        jar = self._jars.setdefault(urlsplit(response.url).netloc, {})
        for name, text in response.headers:
            if name.lower() == "set-cookie":
                pair, _, attributes = text.partition(";")
                key, _, value = pair.strip().partition("=")
                if _deletes(value, attributes):
                    jar.pop(key, None)
                else:
                    jar[key] = value

    def ask(
        self, method: str, url: str, headers: dict[str, str] = NAVIGATION, body: str | None = None
    ) -> Response:
        """Send one request with the cookies of its address, and store those of the response."""
        cookies = self.cookies(url)
        response = ask(method, url, headers | ({"Cookie": cookies} if cookies else {}), body)
        self.store_cookies(response)
        return response

    def follow(self, url: str, *, until: Collection[str], login: str = "") -> Response:
        """Open *url*, follow redirects and submit forms until one of *until* has responded.

        Raises:
            AssertionError: A page without a form, an error, or too many steps.
        """
        response = self.ask("GET", url)
        for _ in range(MAX_STEPS):
            if response.url.partition("?")[0] in until:
                return response
            if response.status in (302, 303):
                response = self.ask("GET", urljoin(response.url, response.header("location")))
            elif b"<form" in response.body and response.status == 200:
                response = self._submit(response, login)
            else:
                raise AssertionError(f"{response.url}: {response.status} {response.body[:500]!r}")
        raise AssertionError(f"the redirects don't come to an end: {response.url}")

    def sign_in(self, url: str, callback: str, login: str) -> None:
        """Sign in, from *url* to *callback*."""
        response = self.follow(url, until=[callback], login=login)
        text = f"{response.url}: {response.status} {response.body[:500]!r}"
        assert response.status in (302, 303), text

    def _submit(self, page: Response, login: str) -> Response:
        fields = FIELDS | {"Content-Type": "application/x-www-form-urlencoded"}
        text = page.body.decode()
        action = re.search(r'action="([^"]+)"', text)
        url = urljoin(page.url, action[1]) if action else page.url
        filled = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text))
        given = {"login": login, "logout": "yes"}
        filled |= {name: given[name] for name in given if f'name="{name}"' in text}
        return self.ask("POST", url, fields, urlencode(filled))


def ask(method: str, url: str, headers: dict[str, str], body: str | None = None) -> Response:
    """Send one request over an open connection of this thread."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        return _ask(parts.netloc, method, target, url, headers, body)
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
        # The server had closed the idle connection.
        return _ask(parts.netloc, method, target, url, headers, body)


def _ask(
    address: str, method: str, target: str, url: str, headers: dict[str, str], body: str | None
) -> Response:
    connections = _connections.by_address
    connection = connections.pop(address, None)
    connection = connection or http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, target, body, headers)
        raw = connection.getresponse()
        response = Response(url, raw.status, raw.getheaders(), raw.read())
    except BaseException:
        connection.close()
        raise
    if not raw.will_close:
        connections[address] = connection
    return response


def in_threads(work: Iterable[T], do: Callable[[T], R], threads: int = THREADS) -> list[R]:
    """Do *work* in several threads; returns the results in order."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(do, work))


def _deletes(value: str, attributes: str) -> bool:
    lowered = attributes.lower().replace(" ", "")
    return not value or "max-age=0" in lowered or "expires=thu,01jan1970" in lowered
