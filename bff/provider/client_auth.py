"""How do our clients authenticate at the provider?

By a secret in one of two ways, by a signed assertion, or by a TLS certificate. Without
`AUTH0_CLIENT_AUTH` the provider's metadata decides between the two for a secret, for each endpoint.
Authlib needs it set for both endpoints: its default for revocation is HTTP Basic, which would send
a private key as the password.
"""

from __future__ import annotations

import base64
import time
from typing import Any
from urllib.parse import quote_plus

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import Key

from bff.config import Config
from bff.config.route import TokenRule
from bff.core.errors import ConfigError
from bff.provider.client_certificate import (
    METHODS,
    ClientCertificate,
    ClientCertificateFiles,
)
from bff.provider.client_private_keys import CredentialsUnreadable, algorithm, keys_in, secrets_in
from bff.provider.client_secrets import Credential, Credentials, CredentialsFile
from bff.provider.metadata import NONE, Metadata

ASSERTION_LIFETIME_SECONDS = 60
BY_SECRET = ("client_secret_post", "client_secret_basic")


class ClientAuthentication:
    """One of our clients.

    Args:
        method: Authlib's name of the way, for every endpoint.
        client_id: As registered.
        credentials: Its secrets, keys or certificate.
        audience: The `aud` of assertions.
        follows_metadata: Use another way for a secret if an endpoint doesn't announce this one.
    """

    def __init__(
        self,
        method: str,
        client_id: str,
        credentials: Credentials | ClientCertificateFiles,
        audience: str = "",
        *,
        follows_metadata: bool = False,
    ) -> None:
        self.by_certificate = method in METHODS
        # To Authlib a client without a secret: its id is in the body (RFC 8705, 2).
        self._method = "none" if self.by_certificate else method
        self.follows_metadata = follows_metadata
        self._client_id = client_id
        self._audience = audience
        self.credentials = credentials

    def session_arguments(
        self, credential: Credential, metadata: Metadata | None
    ) -> dict[str, Any]:
        """The arguments of an `OAuth2Session`; *metadata* only if they follow it."""
        return {
            "client_id": self._client_id,
            "client_secret": None if self.by_certificate else credential,
            "token_endpoint_auth_method": self._method_for(metadata),
            "revocation_endpoint_auth_method": self._method_for(metadata, revocation=True),
        }

    def _method_for(self, metadata: Metadata | None, *, revocation: bool = False) -> str:
        """The usual way, unless only the other one for a secret is announced."""
        announced = metadata.auth_methods(revocation=revocation) if metadata else NONE
        if self._method in announced:
            return self._method
        return next((one for one in BY_SECRET if one in announced), self._method)

    def register(self, session: OAuth2Session, credential: Credential) -> None:
        """Register in *session* what Authlib lacks or does otherwise."""
        if isinstance(credential, ClientCertificate):
            session.cert = credential.context
        elif isinstance(credential, str):
            session.register_client_auth_method(("client_secret_basic", encoded_basic))
        else:
            session.register_client_auth_method(self._assertion(credential))

    def _assertion(self, key: Key) -> PrivateKeyJWT:
        """A signed assertion for one request (RFC 7523, 3).

        The audience is the issuer alone: another provider could name an endpoint as its own, and
        so obtain an assertion for it. A new object each time, since Authlib writes the `jti` into
        the claims that it was given and would repeat it.
        """
        expires_at = int(time.time()) + ASSERTION_LIFETIME_SECONDS
        kid = key.get("kid")
        return PrivateKeyJWT(
            self._audience,
            claims={"exp": expires_at},
            headers={"kid": kid} if kid else None,
            alg=algorithm(key),
        )


def configured(config: Config) -> ClientAuthentication:
    """The client that signs users in.

    Raises:
        ConfigError: A file with its secrets or keys can't be used.
    """
    return ClientAuthentication(
        config.client_auth,
        config.client_id,
        _credentials(config),
        config.issuer,
        follows_metadata=not config.client_auth_is_set,
    )


def of_routes(config: Config) -> dict[str, ClientAuthentication]:
    """The clients that routes have of their own, by client id.

    Raises:
        ConfigError: A client has no secret, or too many.
    """
    return {
        rule.client_id: _route_client(config, rule.client_id, rule)
        for rule in (route.token for route in config.routes)
        if rule.client_id is not None and rule.client_secret is not None
    }


def _route_client(config: Config, client_id: str, rule: TokenRule) -> ClientAuthentication:
    """One of them; its secrets are as in `AUTH0_CLIENT_SECRET`."""
    basic = config.client_auth == "client_secret_basic"
    method = "client_secret_basic" if basic else "client_secret_post"
    try:
        return ClientAuthentication(
            method,
            client_id,
            _credentials_of_rule(rule),
            follows_metadata=not config.client_auth_is_set,
        )
    except CredentialsUnreadable as error:
        raise ConfigError([f"the secret of the client {client_id}: {error}"]) from None


def _credentials_of_rule(rule: TokenRule) -> Credentials:
    file, given = rule.client_secret_file, rule.client_secret
    if file is not None:
        return CredentialsFile(file, _secrets_of_file, rule.client_secret_variable)
    return Credentials(secrets_in(given.get_secret_value() if given else ""))


def _credentials(config: Config) -> Credentials | ClientCertificateFiles:
    keys, secrets = config.client_private_key_file, config.client_secret_file
    certificate = config.client_certificate_file
    if config.client_auth in METHODS and certificate is not None:
        return ClientCertificateFiles(certificate, keys, config.trusted_cas)
    if config.client_auth == "private_key_jwt" and keys is not None:
        return CredentialsFile(keys, keys_in, "AUTH0_CLIENT_PRIVATE_KEY_FILE")
    if secrets is not None:
        return CredentialsFile(secrets, _secrets_of_file, "AUTH0_CLIENT_SECRET_FILE")
    given = config.client_secret.get_secret_value() if config.client_secret else ""
    return Credentials(secrets_in(given))


def _secrets_of_file(content: bytes) -> tuple[str, ...]:
    try:
        return secrets_in(content.decode("utf-8-sig"))  # Windows begins a file with a mark.
    except UnicodeDecodeError:
        raise CredentialsUnreadable("is not UTF-8") from None


def encoded_basic(client: Any, method: str, uri: str, headers: Any, body: Any) -> Any:
    """HTTP Basic with id and secret form-encoded first, which Authlib doesn't do.

    Source: RFC 6749, section 2.3.1.
    """
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return uri, headers, body
