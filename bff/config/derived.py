"""Which values follow from the settings: routes, addresses, names?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import certifi
from pydantic import PrivateAttr, SecretStr

from bff.config import trace_options
from bff.config.host_name import netloc_as_sent
from bff.config.live_secrets import LiveSecrets
from bff.config.route import Route
from bff.config.route_entry import connect_timeout
from bff.config.route_validators import API_PREFIX
from bff.config.settings import Settings
from bff.config.validators import TRANSFER_TOKEN


class Config(Settings):
    """The settings of one BFF, and what follows from them."""

    _file_routes: tuple[Route, ...] = PrivateAttr(())
    _secret_variables: frozenset[str] = PrivateAttr(frozenset())
    _live_secrets: LiveSecrets = PrivateAttr(default_factory=LiveSecrets)
    _trace_variables: Mapping[str, str] = PrivateAttr(default_factory=dict)

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
        of_traces = trace_options.SECRETS if self.traces_are_on else frozenset()
        return self._secret_variables | own | of_traces

    def with_live_secrets(self, live_secrets: LiveSecrets) -> Config:
        """The same settings, with the files of their secrets."""
        copy = self.model_copy()
        copy._live_secrets = live_secrets
        return copy

    @property
    def live_secrets(self) -> LiveSecrets:
        """The secrets that come from files, and may change."""
        return self._live_secrets

    def key_reader(self, name: str) -> Callable[[], str]:
        """What returns a key of a program that calls us, as it is now; empty if there is none.

        Args:
            name: One of the fields in `live_secrets.LIVE` that is a key.
        """
        # Each request that a proxy carries asks, and an attribute of a model is found slowly.
        values: Mapping[str, SecretStr] = self._live_secrets.values
        at_start: SecretStr | None = getattr(self, name)

        def key() -> str:
            found = values.get(name, at_start)
            return "" if found is None else found.get_secret_value()

        return key

    @property
    def redis_url_now(self) -> str:
        """`redis_url`, as it is now; only user and password may have changed."""
        url: SecretStr = self._live_secrets.values.get("redis_url", self.redis_url)
        return url.get_secret_value()

    @property
    def introspection_clients_now(self) -> tuple[SecretStr, ...]:
        """`introspection_clients`, as they are now."""
        found: tuple[SecretStr, ...] = self._live_secrets.values.get(
            "introspection_clients", self.introspection_clients
        )
        return found

    def with_trace_variables(self, variables: Mapping[str, str]) -> Config:
        """The same settings, with OpenTelemetry's variables."""
        copy = self.model_copy()
        copy._trace_variables = variables
        return copy

    @property
    def trace_variables(self) -> Mapping[str, str]:
        """OpenTelemetry's variables; its packages read them themselves."""
        return self._trace_variables

    @property
    def traces_are_on(self) -> bool:
        """Whether OpenTelemetry is to be loaded."""
        return trace_options.are_on(self.traces, self._trace_variables)

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
