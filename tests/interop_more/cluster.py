"""How does a test get the BFF with one of the further providers in place of ours?"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import requests

from tests.interop.cluster import InteropBrowser
from tests.interop.pages import go_through
from tests.interop_more.providers import CLIENT_SECRET, Provider
from tests.support.ageing import stored_tokens
from tests.support.cluster import TIMEOUT_SECONDS, Cluster
from tests.support.raw_upstream import RawUpstream


class MoreCluster(Cluster):
    """A cluster whose provider is *provider*, and whose API takes every token and keeps it.

    Some of these providers issue no `aud` for an API, so that a real one would refuse them all.
    """

    def __init__(self, provider: Provider, replicas: int = 2) -> None:
        super().__init__(replicas)
        self.product = provider

    def __enter__(self) -> MoreCluster:
        super().__enter__()
        return self

    def _start_provider(self) -> None:
        self.issuer = self.product.start(self._stack, self.base_url)
        url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        self.metadata = requests.get(url, timeout=TIMEOUT_SECONDS).json()

    def _start_api(self, audience: str = "") -> str:
        self.upstream = self._stack.enter_context(RawUpstream())
        return self.upstream.url

    def environment(self) -> dict[str, str]:
        """The environment of every replica."""
        own = {"AUTH0_CLIENT_ID": self.product.client_id, "AUTH0_CLIENT_SECRET": CLIENT_SECRET}
        if self.product.by_domain:
            own |= {"OIDC_ISSUER": "", "AUTH0_DOMAIN": urlsplit(self.issuer).netloc}
        return super().environment() | {"AUTH0_AUDIENCE": ""} | own | dict(self.product.settings)

    def browser(self) -> MoreBrowser:
        """A new browser without cookies."""
        browser = MoreBrowser([self.url(i) for i in range(len(self.ports))], "", "")
        browser.issuer, browser.product = self.issuer.rstrip("/"), self.product
        browser.at_provider.verify = self.product.settings.get("BFF_CA_FILE", True)
        self._stack.callback(browser.close)
        return browser

    def refresh_token(self, browser: MoreBrowser) -> str:
        """The refresh token that the browser's session holds now."""
        found = stored_tokens(self, browser.cookie).refresh_token
        assert found, "the session has no refresh token"
        return found

    def is_alive(self, refresh_token: str) -> bool:
        """Whether the provider accepts this refresh token, which may spend it."""
        response = requests.post(
            self.metadata["token_endpoint"],
            data={"grant_type": "refresh_token", "refresh_token": refresh_token},
            auth=(self.product.client_id, CLIENT_SECRET),
            timeout=TIMEOUT_SECONDS,
        )
        assert response.status_code < 500, response.text
        return response.ok


class MoreBrowser(InteropBrowser):
    """A browser whose person fills in that provider's pages."""

    product: Provider

    def log_in(self, path: str = "/auth/login", *, replica: int = 0) -> requests.Response:
        """The whole sign-in; the callback's answer."""
        return super().log_in(path, replica=replica)

    def provider_answer(self, path: str = "/auth/login", *, replica: int = 0) -> str:
        """Sign in at the provider and stop there: where it sends the browser back to."""
        return self._through(self.authorize_url(path, replica=replica), self.answers())

    def answers(self) -> dict[str, str]:
        """What the person puts into the provider's forms, by the fields' names."""
        return dict(self.product.answers)

    def finish_logout(self, logout_url: str, *, say_yes: bool = True) -> str:
        """Answer the provider's logout page; where it sends the browser back to."""
        return self._through(logout_url, self.product.logout_answers)

    def _through(self, url: str, answers: Mapping[str, str]) -> str:
        """As `go_through`; the pages of a provider may be elsewhere on this machine."""
        while not url.startswith(f"{self._urls[0]}/"):
            url = go_through(self.at_provider, url, self.issuer, answers)
        return url
