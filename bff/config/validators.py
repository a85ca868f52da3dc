"""What makes the value of a setting invalid?

Each type at the end checks one kind of value. The message of a check is shown after the setting's
name.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from redis.connection import parse_url

from bff.config import csp_directives
from bff.config.host_name import netloc_as_sent
from bff.config.route import RESERVED_SEGMENTS, origin_of

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
MIN_SECRET_CHARACTERS = 32
CLIENT_SECRETS_MAX = 5
"""When the provider refuses us, each of them is tried."""
REDIS_SCHEMES = (
    "redis", "rediss", "unix",
    "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
REDIS_TLS_OPTIONS = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile", "ssl_password", "ssl_ciphers",
     "ssl_check_hostname", "ssl_cert_reqs"}
)  # fmt: skip
REDIS_CERT_REQS = frozenset({"required", "optional", "none"})
SENTINEL_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})
ALGORITHMS = frozenset(
    {"EdDSA", "Ed25519"} | {f"{k}{n}" for k in ("RS", "PS", "ES") for n in (256, 384, 512)}
)

OUR_PARAMETERS = frozenset(
    {
        "client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce",
        "code_challenge", "code_challenge_method", "request", "request_uri", "registration",
        "claims", "id_token_hint", "audience", "resource", "authorization_details", "dpop_jkt",
        "client_secret", "client_assertion", "client_assertion_type", "grant_type", "code",
        "code_verifier", "iss", "error", "returnto",
    }
)  # fmt: skip
"""Of an authorization request; they decide who gets what, and are ours alone. In lower case."""
TRANSFER_TOKEN = "session_transfer_token"  # noqa: S105 - A name, not a token.
CHECKED_PARAMETERS = frozenset({"prompt", "max_age", "acr_values", "organization", TRANSFER_TOKEN})
"""`/auth/login` passes them on with a check of its own; a fixed value would escape that."""

_PARAMETER_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _sealing_keys(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    make_one = "make one with: openssl rand -hex 32"
    if not value:
        raise ValueError(f"needs at least one key; {make_one}")
    if any(len(key.get_secret_value()) < MIN_SECRET_CHARACTERS for key in value):
        raise ValueError(f"each key needs {MIN_SECRET_CHARACTERS} characters or more; {make_one}")
    if any(_may_be_several(key.get_secret_value()) for key in value):
        # It would be another key without a word, and every session unreadable.
        raise ValueError("separate keys with commas, without quotes and line ends")
    return value


def _may_be_several(key: str) -> bool:
    parts = re.split(r"[\s;]+", key)
    several = sum(len(part) >= MIN_SECRET_CHARACTERS for part in parts) > 1
    half_quoted = key[0] != key[-1] and bool({key[0], key[-1]} & set("\"'"))
    return several or half_quoted


def _key(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < MIN_SECRET_CHARACTERS:
        raise ValueError(f"needs {MIN_SECRET_CHARACTERS} characters or more")
    if not re.fullmatch(r"[^\s\0][^\0\r\n]*[^\s\0]", value.get_secret_value()):  # As headers are.
        raise ValueError("is one key, without line ends, and without blanks around it")
    return value


def client_secrets(value: SecretStr) -> SecretStr:
    """Check one secret, or several, one per line.

    Raises:
        ValueError: There is none, or there are too many.
    """
    lines = [line for line in value.get_secret_value().splitlines() if line.strip()]
    if not 1 <= len(lines) <= CLIENT_SECRETS_MAX:
        raise ValueError(f"needs one secret, or up to {CLIENT_SECRETS_MAX}, one in each line")
    return value


def _client_keys(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for pair in value:
        client_id, colon, secret = pair.get_secret_value().partition(":")
        if not client_id or not colon or len(secret) < MIN_SECRET_CHARACTERS or "\n" in secret:
            raise ValueError(
                f"is id:secret,id:secret, each secret of {MIN_SECRET_CHARACTERS} characters or more"
            )
    return value


def _domain(value: str) -> str:
    bare = "is a bare host name such as example.eu.auth0.com, perhaps with a port, without https://"
    if set(value) & set("/?#@[") or value.endswith(":") or not value.strip("."):
        raise ValueError(bare)
    parts = _url(f"https://{value}")
    # It becomes the issuer, which is compared: in ASCII it stays as written.
    return value if value.isascii() else parts.netloc


def _trusted_url(value: str) -> str:
    parts = _url(value)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise ValueError("must be https unless it is on the loopback")
    return value


def _origin(value: str) -> str:
    parts = _url(value)
    if parts.path not in ("", "/"):
        raise ValueError("is an origin without a path, such as https://app.example.com")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise ValueError("must be https unless it is on localhost, 127.0.0.1 or [::1]")
    return f"{parts.scheme}://{parts.netloc}"


def upstream_url(value: str) -> str:
    """Check the URL of an upstream, and return it without a trailing slash.

    Raises:
        ValueError: It isn't one.
    """
    parts = _url(value)
    path = parts.path.rstrip("/")
    if "//" in path or any(segment in (".", "..") for segment in path.split("/")):
        raise ValueError("must have a clean path, without empty or dot segments")
    return value.rstrip("/") if value.isascii() else f"{parts.scheme}://{parts.netloc}{path}"


def same_host_and_port(url: str, other: str) -> bool:
    """Whether both URLs have the same host and port; all names of the loopback are equal."""
    try:
        here, there = origin_of(_as_sent(url)), origin_of(_as_sent(other))
    except ValueError:
        return False
    loopback = here[1] in LOOPBACK_HOSTS and there[1] in LOOPBACK_HOSTS
    return here[2] == there[2] and (here[1] == there[1] or loopback)


def _as_sent(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{netloc_as_sent(parts)}"


def _redis_url(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in REDIS_SCHEMES:
        raise ValueError(f"must begin with one of {', '.join(s + '://' for s in REDIS_SCHEMES)}")
    if parts.scheme.endswith("+sentinel") and not parts.path.strip("/"):
        raise ValueError("names no master, such as redis+sentinel://host:26379/mymaster/0")
    for place in filter(None, parts.netloc.rpartition("@")[2].split(",")):
        netloc_as_sent(urlsplit(f"//{place}"))
    _redis_options(parts)
    return value


def _redis_options(parts: SplitResult) -> None:
    """Check the options here: redis-py ignores some, and rejects others at the first command."""
    known: frozenset[str] = REDIS_TLS_OPTIONS if parts.scheme.startswith("rediss") else frozenset()
    if parts.scheme.endswith("+sentinel"):
        known |= SENTINEL_OPTIONS
    elif "+" not in parts.scheme:
        known |= {"db"}
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(given) - known):
        raise ValueError(f"takes no option {unknown[0]}; it could be {', '.join(sorted(known))}")
    if given.get("ssl_cert_reqs", "required") not in REDIS_CERT_REQS:
        raise ValueError(f"has an ssl_cert_reqs that is none of {', '.join(REDIS_CERT_REQS)}")
    # Raises ValueError if the database is not a number.
    parse_url(f"redis://localhost?{parts.query}")  # type: ignore[no-untyped-call]


def _proxy_url(value: SecretStr) -> SecretStr:
    parts = urlsplit(value.get_secret_value())
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("must be such as http://proxy.internal:3128, perhaps with user:password@")
    netloc_as_sent(parts)
    return value


def _scope(value: str) -> str:
    if "openid" not in value.split():
        raise ValueError("must contain openid")
    # Auth0: rejects a request for both.
    if {"offline_access", "online_access"} <= set(value.split()):
        raise ValueError("can't contain both offline_access and online_access (Auth0 refuses it)")
    return value


def _algorithms(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value or not set(value) <= ALGORITHMS:
        raise ValueError(f"must be some of {', '.join(sorted(ALGORITHMS))}")
    return value


def _login_parameters(value: tuple[str, ...]) -> tuple[str, ...]:
    names = [entry.partition("=")[0] for entry in value]
    for entry, name in zip(value, names, strict=True):
        if not _PARAMETER_NAME.fullmatch(name) or not entry.removeprefix(f"{name}=").isprintable():
            raise ValueError("is a list of names, or of name=value for those that are always sent")
        if entry == f"{name}=":
            raise ValueError(f"has no value for {name}")
        if name.lower() in OUR_PARAMETERS:
            raise ValueError(f"can't contain {name}, which belongs to the protocol")
        if name in CHECKED_PARAMETERS and "=" in entry:
            raise ValueError(f"can't fix {name}: /auth/login takes it, with a check")
    if len(set(names)) < len(names):
        raise ValueError("names a parameter twice")
    return value


def _ca_file(value: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(value)
    except OSError as error:
        raise ValueError("must name a readable file with PEM certificates") from error
    return value


def _spa_folder(value: Path) -> Path:
    if not (value / "index.html").is_file():
        raise ValueError("is not a folder with an index.html in it")
    return value


def _app_path(value: str) -> str:
    first = re.split(r"[/?#]", value[1:])[0].casefold()
    if not re.fullmatch(r"/(?!/)[!-\[\]-~]*", value) or first in RESERVED_SEGMENTS:
        raise ValueError("is not a path of the app, such as /sign-in-error")
    return value


def _header_value(value: str) -> str:
    if any(c < " " or "\x7f" <= c < "\xa0" or c > "\xff" for c in value):
        raise ValueError("must be one line that fits into a header")
    return value


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for network in value:
        ipaddress.ip_network(network, strict=False)
    return value


def _url(value: str) -> SplitResult:
    """The parts of an acceptable URL, with host and port as they are sent."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL that begins with http:// or https://")
    if parts.username or parts.password or any(c <= " " or c == "\\" for c in value):
        raise ValueError("must have no user name, blanks or backslashes in it")
    if parts.query or parts.fragment:
        raise ValueError("must have no query and no fragment")
    return parts._replace(netloc=netloc_as_sent(parts))


CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(_split)]
Algorithms = Annotated[CommaSeparated, AfterValidator(_algorithms)]
Networks = Annotated[CommaSeparated, AfterValidator(_networks)]
SealingKeys = Annotated[
    tuple[SecretStr, ...], BeforeValidator(_split), AfterValidator(_sealing_keys)
]
Key = Annotated[SecretStr, AfterValidator(_key)]
ClientKeys = Annotated[tuple[SecretStr, ...], BeforeValidator(_split), AfterValidator(_client_keys)]
Domain = Annotated[str, AfterValidator(_domain)]
Issuer = Annotated[str, AfterValidator(_trusted_url)]
KeysURL = Annotated[str, AfterValidator(_trusted_url)]
Origin = Annotated[str, AfterValidator(_origin)]
UpstreamURL = Annotated[str, AfterValidator(upstream_url)]
RedisURL = Annotated[SecretStr, AfterValidator(_redis_url)]
ProxyURL = Annotated[SecretStr, AfterValidator(_proxy_url)]
Scope = Annotated[str, AfterValidator(_scope)]
LoginParameters = Annotated[CommaSeparated, AfterValidator(_login_parameters)]
CAFile = Annotated[Path, AfterValidator(_ca_file)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
CSPDirectives = Annotated[HeaderValue, AfterValidator(csp_directives.checked)]
AppPath = Annotated[str, AfterValidator(_app_path)]
SPAFolder = Annotated[Path, AfterValidator(_spa_folder)]
