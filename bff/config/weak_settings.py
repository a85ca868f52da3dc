"""Which settings work, but protect less than they seem to?

Each was accepted by an earlier version, so it is told at the start and not refused.
"""

from __future__ import annotations

import ipaddress
import re
import zlib
from collections.abc import Iterator
from urllib.parse import urlsplit

from redis.connection import parse_url

from bff.config import csp
from bff.config.derived import Config
from bff.config.validators import LOOPBACK_HOSTS

GUESSABLE_BELOW_BYTES = 24
"""32 random characters don't compress below it, not even digits."""
WORDS = re.compile(
    "secret|password|change|random|example|replace|generate|openssl|default|placeholder|character"
    "|qwerty|^your[-_ ]|[-_ ]your[-_ ]|admin[-_ ]key",
    re.IGNORECASE,
)
"""Of instructions that were copied as they stand. A random key has none, in a million cases."""
WIDEST_PREFIX_BITS = {4: 8, 6: 16}
"""Of a network that can be one operator's; `10.0.0.0/8` is the widest private one."""
NOBODY_ELSE = (ipaddress.ip_network("fc00::/7"), ipaddress.ip_network("fe80::/10"))
"""Wide, but not on the internet: unique local and link-local addresses."""


def warnings(config: Config) -> list[str]:
    """A sentence for each setting that is weaker than it should be; no secret is shown."""
    return [
        *_plain_http(config),
        *_guessable_keys(config),
        *_plain_redis(config.redis_url.get_secret_value()),
        *_trusted_strangers(config.trusted_proxies),
        *_csp_mistakes(config.csp),
        *_csp_openings(config.csp_add),
    ]


def _plain_http(config: Config) -> Iterator[str]:
    if not config.https:
        yield (
            "APP_BASE_URL is plain http: cookies are neither Secure nor bound to this host. "
            "Use this to try things on one machine, never with real users."
        )


def _csp_mistakes(policy: str | None) -> Iterator[str]:
    for problem in csp.problems(policy) if policy else ():
        yield f"BFF_CONTENT_SECURITY_POLICY {problem}."


def _csp_openings(additions: str | None) -> Iterator[str]:
    for opening in csp.open_to_scripts(dict(csp.directives(additions or ""))):
        yield f"BFF_CSP_ADD {opening}."


def _guessable_keys(config: Config) -> Iterator[str]:
    keys = {
        "AUTH0_SECRET": config.secrets,
        "BFF_FORWARD_AUTH_KEY": (config.forward_auth_key,),
        "BFF_ADMIN_KEY": (config.admin_key,),
        "BFF_LOG_STREAM_KEY": (config.log_stream_key,),
        "BFF_INTROSPECTION_CLIENTS": config.introspection_clients,
    }
    for setting, values in keys.items():
        texts = [value.get_secret_value() for value in values if value is not None]
        if setting == "BFF_INTROSPECTION_CLIENTS":
            texts = [text.partition(":")[2] for text in texts]
        if any(is_guessable(text) for text in texts):
            yield (
                f"{setting} has a key that repeats itself, counts up or has words in it: whoever "
                "tries such keys finds it. Replace it (SECURITY.md) by one from: "
                "openssl rand -hex 32"
            )


def is_guessable(key: str) -> bool:
    """Whether *key* is mostly repetition, such as one character 32 times, a sequence, or text."""
    if WORDS.search(key):
        return True
    characters = key.encode()
    steps = bytes((b - a) % 256 for a, b in zip(characters, characters[1:], strict=False))
    return min(_compressed_bytes(characters), _compressed_bytes(steps)) < GUESSABLE_BELOW_BYTES


def _compressed_bytes(data: bytes) -> int:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return len(deflate.compress(data) + deflate.flush())


def _plain_redis(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if parts.scheme.startswith("rediss"):
        # As redis-py reads it: of two values, the first one.
        options = parse_url(f"rediss://localhost?{parts.query}")  # type: ignore[no-untyped-call]
        unchecked = options.get("ssl_cert_reqs") == "none"
        if unchecked or not options.get("ssl_check_hostname", True):
            option = "ssl_cert_reqs=none" if unchecked else "ssl_check_hostname"
            yield (
                f"REDIS_URL switches off the check of Redis's certificate ({option}): whoever is "
                "on the way can be Redis. Name its CA instead (BFF_CA_FILE, ssl_ca_certs)."
            )
    elif parts.scheme != "unix":
        hosts = [urlsplit(f"//{p}").hostname for p in parts.netloc.rpartition("@")[2].split(",")]
        if not all(_is_loopback(host) for host in hosts if host):
            yield (
                "REDIS_URL has no TLS and isn't on the loopback: whoever is on the way reads the "
                "password, and can remove ends of sessions. Use rediss:// (docs/deploy.md)."
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK_HOSTS or host.endswith(".localhost")


def _trusted_strangers(trusted_proxies: tuple[str, ...]) -> Iterator[str]:
    networks = [ipaddress.ip_network(network, strict=False) for network in trusted_proxies]
    for version, widest in WIDEST_PREFIX_BITS.items():
        # Together, `0.0.0.0/1` and `128.0.0.0/1` are everybody.
        same = [network for network in networks if network.version == version]
        for network in ipaddress.collapse_addresses(same):  # type: ignore[type-var]
            if network.prefixlen < widest and network not in NOBODY_ELSE:
                yield (
                    f"BFF_TRUSTED_PROXIES has {network}, in which strangers are: each may say "
                    "which address it has. Name the proxies that are really in front."
                )
