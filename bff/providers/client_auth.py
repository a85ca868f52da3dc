"""How do we prove to the provider who we are?

Three ways, for the token and the revocation endpoint alike. Authlib is told the way for both: left
to itself it takes HTTP Basic for revocation, and would send a private key as the password.
"""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey

from bff.config import Config
from bff.errors import ConfigError

ASSERTION_LIFETIME_SECONDS = 60


class ClientAuthentication:
    """The configured way.

    Raises:
        ConfigError: The key file holds no usable private key.
    """

    def __init__(self, config: Config) -> None:
        self._method = config.client_auth
        self._client_id = config.client_id
        self._audience = config.issuer
        self._secret = config.client_secret
        self._key: Key | None = None
        if self._method == "private_key_jwt" and config.client_private_key_file is not None:
            self._key = _private_key(config.client_private_key_file)

    def session_arguments(self) -> dict[str, Any]:
        """What an `OAuth2Session` must be made with."""
        secret = self._secret.get_secret_value() if self._secret and self._key is None else None
        return {
            "client_id": self._client_id,
            "client_secret": secret or self._key,
            "token_endpoint_auth_method": self._method,
            "revocation_endpoint_auth_method": self._method,
        }

    def register(self, session: OAuth2Session) -> None:
        """Teach *session* what Authlib lacks or does otherwise."""
        if self._key is not None:
            session.register_client_auth_method(self._assertion(self._key))
        else:
            session.register_client_auth_method(("client_secret_basic", encoded_basic))

    def _assertion(self, key: Key) -> PrivateKeyJWT:
        """A signed statement for one request (RFC 7523, 3).

        The audience is the issuer alone: an assertion made out to an endpoint could be asked for
        by another provider that names that endpoint as its own. A new object each time, since
        Authlib writes the `jti` into the claims it was given and would then repeat it.
        """
        expires_at = int(time.time()) + ASSERTION_LIFETIME_SECONDS
        kid = key.get("kid")
        return PrivateKeyJWT(
            self._audience,
            claims={"exp": expires_at},
            headers={"kid": kid} if kid else None,
            alg=_algorithm(key),
        )


def encoded_basic(client: Any, method: str, uri: str, headers: Any, body: Any) -> Any:
    """HTTP Basic with id and secret form-encoded first, which Authlib leaves out.

    Source: RFC 6749, section 2.3.1.
    """
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return uri, headers, body


def _private_key(path: Path) -> Key:
    try:
        key = _imported(path.read_bytes())
    except (JoseError, ValueError, TypeError, KeyError, OSError) as error:
        problem = f"can't be read ({type(error).__name__})"
        raise ConfigError([f"AUTH0_CLIENT_PRIVATE_KEY_FILE: {problem}"]) from None
    if key.key_type == "oct" or not key.is_private:
        raise ConfigError(["AUTH0_CLIENT_PRIVATE_KEY_FILE: holds no private key"])
    return key


def _imported(content: bytes) -> Key:
    if content.lstrip().startswith(b"{"):
        return JWKRegistry.import_key(json.loads(content))
    native = load_pem_private_key(content, password=None)
    if isinstance(native, RSAPrivateKey):
        return RSAKey.import_key(content)
    return (ECKey if isinstance(native, EllipticCurvePrivateKey) else OKPKey).import_key(content)


def _algorithm(key: Key) -> str:
    named = key.get("alg")
    if isinstance(named, str):
        return named
    if key.key_type == "EC":
        return {"P-384": "ES384", "P-521": "ES512"}.get(str(key.get("crv")), "ES256")
    return "RS256" if key.key_type == "RSA" else "EdDSA"
