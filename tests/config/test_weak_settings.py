"""What protects less than it seems to is told at the start, and nothing else is."""

from __future__ import annotations

import secrets
import string
from typing import Protocol

import pytest

from bff.config import load, weak_settings
from bff.config.weak_settings import is_guessable
from tests.config.test_settings import GOOD

KEY = "a3f1c09be7d2468570fb1c3e9d5a6b82"
POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'"


class MakeReceiver(Protocol):
    def __call__(self, **settings: str) -> object: ...


def warnings(**changes: str) -> list[str]:
    return weak_settings.warnings(load(GOOD | {"AUTH0_SECRET": KEY} | changes))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("APP_BASE_URL", "http://localhost:8000", "plain http"),
        ("BFF_TRUSTED_PROXIES", "0.0.0.0/0", "0.0.0.0/0"),
        ("BFF_TRUSTED_PROXIES", "10.1.2.3/0", "0.0.0.0/0"),
        ("BFF_TRUSTED_PROXIES", "0.0.0.0/1,128.0.0.0/1", "0.0.0.0/0"),
        ("BFF_TRUSTED_PROXIES", "127.0.0.1,::/0", "::/0"),
        ("BFF_TRUSTED_PROXIES", "8000::/1", "8000::/1"),
        ("BFF_TRUSTED_PROXIES", "2000::/3", "2000::/3"),
        ("BFF_TRUSTED_PROXIES", "128.0.0.0/2", "128.0.0.0/2"),
        ("REDIS_URL", "redis://redis:6379/0", "no TLS"),
        ("REDIS_URL", "redis://:pw@10.0.0.7/0", "no TLS"),
        ("REDIS_URL", "redis://localhost.example:6379", "no TLS"),
        ("REDIS_URL", "redis://[2001:db8::1]:6379", "no TLS"),
        ("REDIS_URL", "redis+sentinel://127.0.0.1:26379,s2:26379/mymaster/0", "no TLS"),
        ("REDIS_URL", "redis+cluster://n1:6379", "no TLS"),
        ("REDIS_URL", "rediss://redis:6379/0?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("REDIS_URL", "rediss://r?ssl_cert_reqs=none&ssl_cert_reqs=required", "ssl_cert_reqs"),
        ("REDIS_URL", "rediss://redis:6379/0?ssl_check_hostname=false", "ssl_check_hostname"),
        ("REDIS_URL", "rediss+cluster://n1?ssl_check_hostname=0", "ssl_check_hostname"),
        ("REDIS_URL", "rediss+sentinel://s1/m/0?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("AUTH0_SECRET", "a" * 32, "repeats itself"),
        ("AUTH0_SECRET", f"{KEY},{'k' * 64}", "repeats itself"),
        ("BFF_ADMIN_KEY", "b" * 40, "repeats itself"),
        ("BFF_LOG_STREAM_KEY", "ab" * 16, "repeats itself"),
        ("BFF_INTROSPECTION_CLIENTS", f"one:{KEY},two:{'0' * 32}", "repeats itself"),
        ("BFF_CONTENT_SECURITY_POLICY", "default-src 'self'; base-uri 'none'", "no frame-ancest"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.replace("frame", "fram"), "frame-ancestors?"),
        ("BFF_CONTENT_SECURITY_POLICY", f"{POLICY}; script_src 'self'", "script-src?"),
        ("BFF_CONTENT_SECURITY_POLICY", f"{POLICY}: img-src *", "unknown keyword"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.replace("'none'", "https:"), "excludes nobody"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.replace("'self'", "self"), "between single quotes"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.replace("'self'", '"self"'), "single quotes"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.replace("'self'", "'selv'"), "unknown keyword"),
        ("BFF_CONTENT_SECURITY_POLICY", f"{POLICY}; script-src nonce-abc", "between single quotes"),
        ("BFF_CONTENT_SECURITY_POLICY", f"{POLICY}; default-src *", "twice"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.replace("default", "img"), "neither default-src"),
        ("BFF_CONTENT_SECURITY_POLICY", "default-src 'self'; frame-ancestors 'none'", "base-uri"),
        ("BFF_CONTENT_SECURITY_POLICY", f"{POLICY}; img-src b\u00fccher.example", "ASCII"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.replace("s 'none'", "s *:443"), "excludes nobody"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.replace("s 'none'", "s *.*"), "excludes nobody"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.replace("i 'none'", "i *"), "a base-uri that excl"),
        ("BFF_CONTENT_SECURITY_POLICY", f"{POLICY}; script-src 'nonce-Yw' blob:", "blob: for scri"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.replace("'self'", "*"), "* for scripts"),
        ("BFF_CONTENT_SECURITY_POLICY", f"{POLICY}; script-src https:", "https: for scripts"),
        ("BFF_CONTENT_SECURITY_POLICY", f"{POLICY}; script-src data: a.b", "data: for scripts"),
        ("BFF_CONTENT_SECURITY_POLICY", f"{POLICY}; script-src 'unsafe-inline'", "injected markup"),
        ("BFF_CONTENT_SECURITY_POLICY", f"{POLICY}; script-src-elem https:", "https: for scripts"),
        ("BFF_CSP_ADD", "script-src 'unsafe-inline'", "injected markup"),
        ("BFF_CSP_ADD", "Script-Src-Attr 'Unsafe-Inline'", "injected markup"),
        ("BFF_CSP_ADD", "img-src data:; default-src *", "* for scripts"),
    ],
)  # fmt: skip
def test_a_weak_setting_is_told(name: str, value: str, says: str) -> None:
    told = warnings(**{name: value})
    assert all(one.startswith(f"{name} ") for one in told)
    assert any(says in one for one in told), told
    assert value not in " ".join(told) or name == "BFF_TRUSTED_PROXIES"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BFF_TRUSTED_PROXIES", "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,127.0.0.1,::1"),
        ("BFF_TRUSTED_PROXIES", "fc00::/7,fe80::/10,2400:cb00::/32,173.245.48.0/20"),
        ("REDIS_URL", "redis://127.0.0.2:6379/0"),
        ("REDIS_URL", "redis://[::1]:6379/0"),
        ("REDIS_URL", "redis:///0"),
        ("REDIS_URL", "unix:///run/redis.sock"),
        ("REDIS_URL", "redis+cluster://localhost:7000,127.0.0.1:7001"),
        ("REDIS_URL", "rediss://redis:6379/0?ssl_cert_reqs=optional"),
        ("REDIS_URL", "rediss+sentinel://s1:26379/mymaster/0?ssl_ca_certs=/etc/ca.pem"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY),
        ("BFF_CSP_ADD", "style-src 'unsafe-inline'; img-src *; script-src cdn.test 'sha256-YQ=='"),
        ("BFF_CONTENT_SECURITY_POLICY", POLICY.upper()),
        ("BFF_CONTENT_SECURITY_POLICY", "default-src 'self', frame-ancestors *.a.b; base-uri /"),
        (
            "BFF_CONTENT_SECURITY_POLICY",
            f"{POLICY}; script-src 'strict-dynamic' 'nonce-YWJj' https: 'unsafe-inline'; "
            "style-src 'unsafe-inline'; img-src * data:; script-src-elem 'sha256-YWJj+/='; "
            "report-to csp; sandbox allow-scripts; require-trusted-types-for 'script'; "
            "trusted-types one 'allow-duplicates'; upgrade-insecure-requests; ",
        ),
    ],
)
def test_a_sound_setting_is_not_told(name: str, value: str) -> None:
    assert warnings(**{name: value}) == []


def test_random_keys_are_not_called_guessable() -> None:
    kinds = string.digits, string.hexdigits[:16], string.ascii_letters + string.digits + "-_"
    keys = ("".join(secrets.choice(kind) for _ in range(32)) for kind in kinds * 500)
    assert not [key for key in keys if is_guessable(key)]


@pytest.mark.parametrize(
    "key",
    [
        "\u00e9" * 32, "a" * 31 + "b", "password" * 4 + "1", "0123456789abcdef" * 2, "deadbeef" * 4,
        string.ascii_lowercase + "012345", "1234567890" * 4, "00112233445566778899aabbccddeeff",
        "change-me-" * 4, string.ascii_letters[::-1],
        "use [openssl rand -hex 32] to generate a 32 bytes value",
        "your_own_long_value_of_32_bytes_or_more!", "this-is-a-very-long-Secret-of-our-own",
        "replace_with_32_bytes_of_your_choice", "an-admin-key-of-32-letters-and-00",
        "qwertyuiopasdfghjklzxcvbnm123456",
    ],
)  # fmt: skip
def test_patterns_are_called_guessable(key: str) -> None:
    assert is_guessable(key)


def test_the_start_says_what_is_weak(
    receiver_for: MakeReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver_for(BFF_TRUSTED_PROXIES="0.0.0.0/0", BFF_CONTENT_SECURITY_POLICY="default-src 'self'")
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    for name in ("BFF_TRUSTED_PROXIES has 0.0.0.0/0", "BFF_CONTENT_SECURITY_POLICY has no frame-"):
        assert any(name in one for one in told), told
