"""A setting's host is refused if no host has that name, and is compared as browsers send it."""

from __future__ import annotations

import pytest

from bff.config import load
from bff.config.host_name import host_as_sent
from tests.config.test_settings import GOOD, problems

NO_HOSTS = (
    "*.example.com",
    "\uff0a.example.com",
    "\u2731.example.com",
    "*",
    "{tenant}.example.com",
    "a.example.com,b.example.com",
    "app\uff0cb.example.com",
    "app%2eexample.com",
    "app.example.com\uff05",
    ".example.com",
    "app..example.com",
    "app.example.com..",
    "app\u3002\uff0eexample.com",
    "\u00ad.example.com",
    "-app.example.com",
    "app-.example.com",
    "app\u2026example.com",
    "app\u202e.example.com",
    "app\u3000.example.com",
    "\u0301app.example.com",
    "i\u2764.example.com",
    f"{'a' * 64}.example.com",
    "\u00fc" * 60,
    f"{'a.' * 130}example.com",
    "xn--",
    "xn--app.example.com",
    "xn--a.example.com",
    "xn--1g7c.example.com",
    "127.1",
    "1.2.3.256",
    "0x7f.0.0.1",
    "\u2460.2.3",
    "[::1].example.com",
    "app[::1]",
    "[v1.host]",
    "[fe80::1%25eth0]",
)
SETTINGS = {
    "APP_BASE_URL": "https://{}",
    "OIDC_ISSUER": "https://{}/realms/x",
    "AUTH0_DOMAIN": "{}",
    "BFF_API_URL": "https://{}/v1",
    "BFF_SSF_ISSUER": "https://{}",
    "BFF_SSF_JWKS_URL": "https://{}/keys",
    "BFF_SSF_POLL_URL": "https://{}/poll?stream=1",
    "BFF_PROVIDER_PROXY": "http://{}:3128",
}


@pytest.mark.parametrize("host", NO_HOSTS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_no_host_is_refused(setting: str, host: str) -> None:
    changes: dict[str, str | None] = {setting: SETTINGS[setting].format(host)}
    if setting == "OIDC_ISSUER":
        changes["AUTH0_DOMAIN"] = None
    [problem] = problems(**changes)
    assert problem.startswith(f"{setting}: ")


@pytest.mark.parametrize(
    "url",
    ["redis://{}:6379/0", "rediss://:pass@{}", "redis+cluster://redis:6379,{}:6379",
     "redis+sentinel://{}:26379,redis/main"],
)  # fmt: skip
@pytest.mark.parametrize("host", ["*", "\uff0a.example.com", "app..example.com", "xn--a"])
def test_redis_has_a_host_name_too(url: str, host: str) -> None:
    [problem] = problems(REDIS_URL=url.format(host))
    assert problem.startswith("REDIS_URL: must name one host")


@pytest.mark.parametrize(
    ("origin", "sent"),
    [
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[0:0:0:0::0001]:8000/", "http://[::1]:8000"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54:80", "http://localhost"),
        ("https://my_app.example.com", "https://my_app.example.com"),
        ("https://app", "https://app"),
        ("https://A1.example.com:0443", "https://a1.example.com"),
        ("https://app.example.com:", "https://app.example.com"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("https://1app.2example.com.", "https://1app.2example.com."),
        ("https://a--b.example.com", "https://a--b.example.com"),
        ("https://B\u00dccher.example:8443", "https://xn--bcher-kva.example:8443"),
        ("https://bu\u0308cher.example", "https://xn--bcher-kva.example"),
        ("https://xn--bcher-kva.example.", "https://xn--bcher-kva.example."),
        ("https://stra\u00dfe.example", "https://xn--strae-oqa.example"),
        ("https://\u4f8b\u5b50\u3002\u6d4b\u8bd5", "https://xn--fsqu00a.xn--0zwm56d"),
        ("https://my_app.b\u00fccher.example", "https://my_app.xn--bcher-kva.example"),
        ("https://xn--i-7iq.ws", "https://xn--i-7iq.ws"),
        ("https://app\uff0eexample.com", "https://app.example.com"),
    ],
)  # fmt: skip
def test_an_origin_is_compared_as_browsers_send_it(origin: str, sent: str) -> None:
    assert load(GOOD | {"APP_BASE_URL": origin}).app_base_url == sent


def test_what_is_sent_to_other_hosts_is_ascii_and_an_issuer_stays_as_written() -> None:
    config = load(
        {name: value for name, value in GOOD.items() if name != "AUTH0_DOMAIN"}
        | {"OIDC_ISSUER": "https://b\u00fccher.example/x", "BFF_API_URL": "http://\u00e4pi:80/v1"}
    )
    assert config.issuer == "https://b\u00fccher.example/x"
    assert config.issuer_origin == "https://xn--bcher-kva.example"
    assert config.api_url == "http://xn--pi-uia/v1"
    tenant = load(GOOD | {"AUTH0_DOMAIN": "b\u00fccher.example"})
    assert tenant.issuer == "https://xn--bcher-kva.example/"


def test_this_application_is_told_from_its_api_in_every_spelling() -> None:
    own = {"APP_BASE_URL": "https://b\u00fccher.example"}
    for url in ("https://xn--bcher-kva.example/v1", "https://BU\u0308CHER.example:443"):
        [problem] = problems(**own, BFF_API_URL=url)
        assert problem == "BFF_API_URL: is this application itself (APP_BASE_URL)"


def test_a_host_is_at_most_253_characters_long() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert host_as_sent(longest) == longest
    with pytest.raises(ValueError, match="one host"):
        host_as_sent(f"{longest}b")
