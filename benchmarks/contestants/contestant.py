"""What does the benchmark need of a contestant?"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from benchmarks.browser import FETCH, NAVIGATION, Browser, Response
from benchmarks.programs import Pinned
from benchmarks.testbed import SCOPE, BenchProvider, Testbed
from tests.support.processes import free_port


@dataclass(frozen=True)
class RunContext:
    """The environment of the contestants, the same for a whole run."""

    testbed: Testbed
    provider: BenchProvider
    upstream: str
    access_token_seconds: int


class Contestant(ABC):
    """One way to put an API behind a session; `/api/<path>` is the upstream's `/<path>`.

    It is made before its start, so that it can be registered at the provider.
    """

    name: ClassVar[str]
    login_path: ClassVar[str] = "/login"
    token_endpoint_auth_method: ClassVar[str] = "client_secret_basic"
    by_default: ClassVar[bool] = True
    """Whether it takes part without being named."""

    def __init__(self) -> None:
        self.port = free_port()
        self.client_id = f"{self.name}-{secrets.token_hex(4)}"
        self.client_secret = secrets.token_urlsafe(32)
        self.secret = secrets.token_hex(32)
        self.programs: list[Pinned] = []

    @property
    def base_url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def callback(self) -> str:
        """Its redirect URI."""
        return f"{self.base_url}/auth/callback"

    def client(self) -> dict[str, Any]:
        """Its registration at the provider."""
        return {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "token_endpoint_auth_method": self.token_endpoint_auth_method,
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [self.callback],
            "post_logout_redirect_uris": [
                f"{self.base_url}{path}" for path in ("", "/", "/auth/logged-out")
            ],
        }

    @abstractmethod
    def start(self, context: RunContext) -> None:
        """Start its programs and wait until they respond; they end with the testbed."""

    def settings(self, context: RunContext) -> dict[str, str]:
        """The settings of a peer, by name."""
        return {
            "issuer": context.provider.issuer,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "secret": self.secret,
            "scope": SCOPE,
            "redis_url": context.testbed.redis_url,
            "upstream": context.upstream,
            "base_url": self.base_url,
        }

    def check_seen(self, seen: dict[str, str]) -> None:
        """Check the request as the upstream got it, from its `/seen`."""
        assert seen["cookie"] == "", f"{self.name} lets cookies through: {seen}"

    # ------------------------------------------------------------ what it costs
    def cpu_seconds(self) -> float:
        """The CPU time of all its programs so far."""
        return sum(program.cpu_seconds() for program in self.programs)

    def resident_bytes(self) -> int:
        """The memory of all its programs."""
        return sum(program.resident_bytes() for program in self.programs)

    # ------------------------------------------------------------ what a browser does with it
    def signed_in(self, login: str) -> Browser:
        """A new browser in which *login* has signed in."""
        browser = Browser()
        browser.sign_in(self.base_url + self.login_path, self.callback, login)
        return browser

    def call(self, browser: Browser, path: str = "/1k") -> Response:
        """GET *path* of the API, as a script of the page does."""
        return browser.ask("GET", f"{self.base_url}/api{path}", FETCH)

    def log_out_here(self, browser: Browser) -> str:
        """Sign out; returns where it redirects to (the provider's logout)."""
        response = browser.ask("GET", f"{self.base_url}/logout", NAVIGATION)
        assert response.status in (302, 303), f"{response.status} {response.body[:300]!r}"
        return response.header("location")

    def log_out(self, browser: Browser) -> None:
        """Sign out here and, by the redirect, at the provider."""
        ends = [f"{self.base_url}{path}" for path in ("", "/", "/auth/logged-out")]
        browser.follow(self.log_out_here(browser), until=ends)
