"""What follows from the settings: names, addresses, routes?"""

from __future__ import annotations

from urllib.parse import urlsplit

import certifi
from pydantic import PrivateAttr

from bff.config.route import Route
from bff.config.route_entry import connect_timeout
from bff.config.route_validators import API_PREFIX
from bff.config.settings import Settings


class Config(Settings):
    """The settings of one BFF, with what follows from them."""

    _file_routes: tuple[Route, ...] = PrivateAttr(())
    _secret_variables: frozenset[str] = PrivateAttr(frozenset())

    def with_routes(self, routes: tuple[Route, ...], secret_variables: frozenset[str]) -> Config:
        """The same settings, with the routes that `BFF_ROUTES_FILE` describes.

        Args:
            routes: As they are used.
            secret_variables: The environment variables that their secrets came from.
        """
        copy = self.model_copy()
        copy._file_routes, copy._secret_variables = routes, secret_variables
        return copy

    @property
    def secret_variables(self) -> frozenset[str]:
        """Every environment variable that holds a secret."""
        own = {
            str(field.alias)
            for field in type(self).model_fields.values()
            if "SecretStr" in repr(field.annotation)
        }
        return self._secret_variables | own

    @property
    def routes(self) -> tuple[Route, ...]:
        """All routes: those of the file, and that of `BFF_API_URL`."""
        if self.api_url is None:
            return self._file_routes
        timeout = self.upstream_timeout_seconds
        api = Route(
            prefix=API_PREFIX,
            upstream_urls=(self.api_url,),
            connect_timeout_seconds=connect_timeout(timeout),
            answer_timeout_seconds=timeout,
            request_max_bytes=self.request_max_bytes,
            ca_file=self.trusted_cas,
        )
        return (*self._file_routes, api)

    @property
    def session_lease_seconds(self) -> float:
        """How long a process may trust its memory; 0 on a cluster, where it has none."""
        if urlsplit(self.redis_url.get_secret_value()).scheme.endswith("+cluster"):
            return 0
        return self.session_lease_milliseconds / 1000

    @property
    def trusted_cas(self) -> str:
        """The file with the certificates of those who vouch for the servers that we call."""
        return str(self.ca_file or certifi.where())

    @property
    def provider_proxy_url(self) -> str | None:
        """The proxy on the way to the provider, with its password."""
        return self.provider_proxy.get_secret_value() if self.provider_proxy else None

    @property
    def issuer(self) -> str:
        """The issuer to the letter; Auth0's ends with a slash."""
        return self.oidc_issuer or f"https://{self.auth0_domain}/"

    @property
    def issuer_origin(self) -> str:
        """Scheme, host and port of the provider, for the Content-Security-Policy."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def https(self) -> bool:
        """Whether browsers reach us over https; decides cookie names and HSTS."""
        return self.app_base_url.startswith("https://")

    @property
    def redirect_uri(self) -> str:
        """What is registered at the provider as callback URL."""
        return f"{self.app_base_url}/auth/callback"

    @property
    def post_logout_redirect_uri(self) -> str:
        """What is registered at the provider as logout URL."""
        return f"{self.app_base_url}/auth/logged-out"
