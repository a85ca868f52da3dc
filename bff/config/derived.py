"""Which values follow from the settings: routes, addresses, names?"""

from __future__ import annotations

from urllib.parse import urlsplit

import certifi
from pydantic import PrivateAttr

from bff.config.host_name import netloc_as_sent
from bff.config.route import Route
from bff.config.route_entry import connect_timeout
from bff.config.route_validators import API_PREFIX
from bff.config.settings import Settings
from bff.config.validators import TRANSFER_TOKEN


class Config(Settings):
    """The settings of one BFF, and what follows from them."""

    _file_routes: tuple[Route, ...] = PrivateAttr(())
    _secret_variables: frozenset[str] = PrivateAttr(frozenset())

    def with_routes(self, routes: tuple[Route, ...], secret_variables: frozenset[str]) -> Config:
        """The same settings, with the routes of `BFF_ROUTES_FILE`.

        Args:
            routes: The file's routes.
            secret_variables: The environment variables that hold their secrets.
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
        """All routes: those of the file, and the one of `BFF_API_URL`."""
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
        """How long a process may trust a cached session; 0 on a cluster, which allows no cache."""
        if urlsplit(self.redis_url.get_secret_value()).scheme.endswith("+cluster"):
            return 0
        return self.session_lease_milliseconds / 1000

    @property
    def trusted_cas(self) -> str:
        """A file with the PEM certificates of the CAs trusted for all servers that we call."""
        return str(self.ca_file or certifi.where())

    @property
    def provider_proxy_url(self) -> str | None:
        """The proxy between us and the provider, with its password."""
        return self.provider_proxy.get_secret_value() if self.provider_proxy else None

    @property
    def client_auth_is_set(self) -> bool:
        """Whether `AUTH0_CLIENT_AUTH` is set; without it, the provider's metadata may decide."""
        return "client_auth" in self.model_fields_set

    @property
    def passed_login_parameters(self) -> tuple[str, ...]:
        """Parameters of `BFF_LOGIN_PARAMETERS` that `/auth/login` takes.

        It takes a session transfer token in any case, by `bff/web/session_transfer.py` alone.
        """
        names = (entry for entry in self.login_parameters if "=" not in entry)
        return tuple(name for name in names if name != TRANSFER_TOKEN)

    @property
    def fixed_login_parameters(self) -> dict[str, str]:
        """Parameters of `BFF_LOGIN_PARAMETERS` that each authorization request has."""
        pairs = (entry.partition("=") for entry in self.login_parameters)
        return {name: value for name, equals, value in pairs if equals}

    @property
    def issuer(self) -> str:
        """The provider's issuer identifier, as published; Auth0's ends with a slash."""
        return self.oidc_issuer or f"https://{self.auth0_domain}/"

    @property
    def issuer_origin(self) -> str:
        """Scheme, host and port of the provider, for the Content-Security-Policy."""
        parts = urlsplit(self.issuer)
        return f"{parts.scheme}://{netloc_as_sent(parts)}"

    @property
    def https(self) -> bool:
        """Whether browsers reach us over https; decides cookie names and HSTS."""
        return self.app_base_url.startswith("https://")

    @property
    def cookie_suffix(self) -> str:
        """What tells our cookies from those of another application on this host.

        Cookies don't distinguish ports, and only the loopback has many applications on one name.
        """
        return "" if self.https else f"-{urlsplit(self.app_base_url).port or 80}"

    @property
    def redirect_uri(self) -> str:
        """The callback URL, as registered at the provider."""
        return f"{self.app_base_url}/auth/callback"

    @property
    def post_logout_redirect_uri(self) -> str:
        """The logout URL, as registered at the provider."""
        return f"{self.app_base_url}/auth/logged-out"
