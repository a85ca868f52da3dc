"""Every invalid setting is reported, all at once, and no secret is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bff.config import load
from bff.core.errors import ConfigError

SECRET = "a-secret-that-must-not-be-shown-0123456789"
GOOD = {
    "AUTH0_DOMAIN": "example.eu.auth0.com",
    "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": SECRET,
    "AUTH0_SECRET": SECRET,
    "APP_BASE_URL": "https://app.example.com",
    "BFF_API_URL": "https://api.example.com/v1/",
}


def problems(**changes: str | None) -> list[str]:
    """The problems that `load` reports, with these changes to valid settings."""
    environ = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(ConfigError) as caught:
        load(environ)
    return caught.value.problems


def test_valid_settings_load_and_have_their_derived_values() -> None:
    config = load(GOOD)
    assert config.issuer == "https://example.eu.auth0.com/"
    assert config.redirect_uri == "https://app.example.com/auth/callback"
    assert config.api_url == "https://api.example.com/v1"
    assert config.https


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("AUTH0_DOMAIN", "https://example.eu.auth0.com", "bare host name"),
        ("AUTH0_DOMAIN", "example.eu.auth0.com/", "bare host name"),
        ("AUTH0_DOMAIN", "localhost:4400/", "bare host name"),
        ("AUTH0_DOMAIN", "localhost:", "bare host name"),
        ("AUTH0_DOMAIN", "localhost:0", "port from 1"),
        ("AUTH0_DOMAIN", "localhost:port", "Port could not be cast"),
        ("AUTH0_DOMAIN", "localhost:4400:1", "Port could not be cast"),
        ("AUTH0_DOMAIN", "user@localhost", "bare host name"),
        ("AUTH0_DOMAIN", "[::1]:4400", "bare host name"),
        ("AUTH0_DOMAIN", "*.eu.auth0.com", "one host"),
        ("OIDC_ISSUER", "https://other.example", "together with AUTH0_DOMAIN"),
        ("BFF_LOGIN_PARAMETERS", "kc_idp_hint,redirect_uri", "can't contain redirect_uri"),
        ("BFF_LOGIN_PARAMETERS", "Request_URI=https://evil.example", "can't contain Request_URI"),
        ("BFF_LOGIN_PARAMETERS", "scope=admin", "can't contain scope"),
        ("BFF_LOGIN_PARAMETERS", "prompt=none", "can't fix prompt"),
        ("BFF_LOGIN_PARAMETERS", "session_transfer_token=x", "can't fix session_transfer_token"),
        ("BFF_LOGIN_PARAMETERS", "hd=a,hd", "twice"),
        ("BFF_LOGIN_PARAMETERS", "hd=", "no value"),
        ("BFF_LOGIN_PARAMETERS", "a b", "name=value"),
        ("BFF_LOGIN_PARAMETERS", "hd=a\r\nb", "name=value"),
        ("AUTH0_CLIENT_ID", None, "is missing"),
        ("AUTH0_CLIENT_ID", "", "is missing"),
        ("AUTH0_CLIENT_SECRET", None, "is missing"),
        ("AUTH0_CLIENT_AUTH", "none", "client_secret_post"),
        ("AUTH0_SECRET", None, "is missing"),
        ("AUTH0_SECRET", "short", "32 characters"),
        ("AUTH0_SECRET", f"{SECRET},short", "32 characters"),
        ("AUTH0_SECRET", ",", "at least one key"),
        ("AUTH0_SECRET", f"{SECRET}\n{SECRET}x", "with commas"),
        ("AUTH0_SECRET", f"{SECRET}; {SECRET}x", "with commas"),
        ("AUTH0_SECRET", f'"{SECRET},{SECRET}x"', "without quotes"),
        ("AUTH0_SCOPE", "profile email", "must contain openid"),
        ("AUTH0_SCOPE", "openid offline_access online_access", "both"),
        ("AUTH0_FEDERATED_LOGOUT", "perhaps", "boolean"),
        ("BFF_SSF_JWKS_URL", "http://keys.example/jwks", "must be https"),
        ("BFF_SSF_JWKS_URL", "http://127.0.0.1.keys.example/jwks", "must be https"),
        ("BFF_SSF_JWKS_URL", "https://keys.example/jwks#x", "no fragment"),
        ("BFF_SSF_JWKS_URL", "keys.example/jwks", "http:// or https://"),
        ("BFF_SSF_POLL_URL", "http://signals.example/poll", "must be https"),
        ("BFF_SSF_POLL_URL", "signals.example/poll", "http:// or https://"),
        ("BFF_SSF_POLL_URL", "https://a:b@signals.example/poll", "no user name"),
        ("BFF_SSF_POLL_URL", "https://signals.example/poll#x", "fragment"),
        ("BFF_SSF_POLL_URL", "https://signals.example/a b", "blanks"),
        ("BFF_SSF_POLL_URL", "https://signals.example/poll?\u00fc", "percent-encoded"),
        ("BFF_SSF_POLL_URL", "https://signals.example/poll?stream=1", "needs BFF_SSF_ISSUER"),
        ("BFF_SSF_TOKEN", "a b", "without blanks"),
        ("BFF_SSF_TOKEN", "a\nb", "without blanks"),
        ("BFF_SSF_TOKEN", "t\u00f6ken", "in ASCII"),
        ("BFF_SSF_TOKEN", "x" * 20_000, "16384 characters"),
        ("BFF_SSF_POLL_SECONDS", "0", "1"),
        ("BFF_SSF_POLL_SECONDS", "soon", "integer"),
        ("APP_BASE_URL", None, "is missing"),
        ("APP_BASE_URL", "http://app.example.com", "must be https"),
        ("APP_BASE_URL", "http://localhost.evil.example", "must be https"),
        ("APP_BASE_URL", "https://app.example.com/path", "without a path"),
        ("APP_BASE_URL", "app.example.com", "http:// or https://"),
        ("APP_BASE_URL", "https://user@app.example.com", "no user name"),
        ("APP_BASE_URL", "https://app.example.com:99999", "out of range"),
        ("APP_BASE_URL", "https://*.example.com", "without wildcards"),
        ("APP_BASE_URL", "https://*", "without wildcards"),
        ("APP_BASE_URL", "https://a.example.com,b.example.com", "without wildcards"),
        ("APP_BASE_URL", "https://{tenant}.example.com", "without wildcards"),
        ("APP_BASE_URL", "https://.example.com", "one host"),
        ("APP_BASE_URL", "https://app..example.com", "one host"),
        ("BFF_API_URL", "https://*.example.com/v1", "without wildcards"),
        ("BFF_API_URL", None, "is missing"),
        ("BFF_API_URL", "ftp://api.example.com", "http:// or https://"),
        ("BFF_API_URL", "https://api.example.com/?a=b", "no query"),
        ("REDIS_URL", "localhost:6379", "redis://"),
        ("REDIS_URL", "redis+sentinel://a:26379,b:26379", "names no master"),
        ("REDIS_URL", "rediss+sentinel://a:26379", "names no master"),
        ("BFF_CA_FILE", "/nowhere", "PEM certificates"),
        ("BFF_CA_FILE", __file__, "PEM certificates"),
        ("BFF_PROVIDER_PROXY", "proxy.internal:3128", "http://proxy.internal:3128"),
        ("BFF_PROVIDER_PROXY", "https://proxy.internal:3128", "http://proxy.internal:3128"),
        ("BFF_PROVIDER_PROXY", "http://proxy.internal/path", "http://proxy.internal:3128"),
        ("BFF_PROVIDER_PROXY", "http://proxy.internal:port", "Port"),
        ("REDIS_URL", "rediss://redis:6379/0?ssl_ca_cert=/x", "no option ssl_ca_cert;"),
        ("REDIS_URL", "redis://redis:6379/0?ssl_ca_certs=/x", "no option ssl_ca_certs;"),
        ("REDIS_URL", "redis+cluster://redis:6379?db=1", "no option db;"),
        ("REDIS_URL", "redis://redis:6379?sentinel_password=x", "no option sentinel_password;"),
        ("REDIS_URL", "redis://redis:6379?db=first", "db"),
        ("REDIS_URL", "rediss://redis:6379?ssl_cert_reqs=maybe", "ssl_cert_reqs"),
        ("BFF_REDIS_WAIT_REPLICAS", "-1", "greater than or equal to 0"),
        ("BFF_ADMIN_KEY", "short", "32 characters"),
        ("BFF_ADMIN_SCOPE", "admin", "BFF_ADMIN_AUDIENCE"),
        ("BFF_INTROSPECTION_CLIENTS", "api", "id:secret"),
        ("BFF_SPA_DIR", "/nowhere", "index.html"),
        ("BFF_CONTENT_SECURITY_POLICY", "default-src 'self';\nbase-uri 'none'", "one line"),
        ("BFF_CONTENT_SECURITY_POLICY", "default-src \u65e5", "fits into a header"),
        ("BFF_CSP_ADD", "img-src a.example, default-src *", "comma"),
        ("BFF_CSP_ADD", "img-src b\u00fccher.example", "ASCII"),
        ("BFF_CSP_ADD", "image-src a.example", "unknown directive"),
        ("BFF_CSP_ADD", "script-src unsafe-eval", "between single quotes"),
        ("BFF_CSP_ADD", "img-src a.example; img-src b.example", "twice"),
        ("BFF_CSP_ADD", "frame-ancestors https:", "excludes nobody"),
        ("BFF_CSP_ADD", "Form-Action 'NONE'", "our logout is one"),
        ("BFF_CSP_ADD", "img-src a.example\r\nX: y", "one line"),
        *[
            ("BFF_SIGN_IN_ERROR_PATH", path, "such as /sign-in-error")
            for path in (
                "e",
                "//evil.example",
                "https://evil.example",
                "/\\evil",
                "/a b",
                "/\u00e9",
                "/auth/login",
                "/AUTH?x",
                "/admin",
            )
        ],
        ("BFF_SESSION_IDLE_SECONDS", "0", "greater than or equal to 1"),
        ("BFF_SESSIONS_PER_USER_MAX", "-1", "greater than or equal to 0"),
        ("BFF_SESSION_IDLE_SECONDS", "a day", "integer"),
        ("BFF_SESSION_ABSOLUTE_SECONDS", "60", "BFF_SESSION_IDLE_SECONDS"),
        ("BFF_PROVIDER_TIMEOUT_SECONDS", "0", "greater than 0"),
        ("BFF_REFRESH_BEFORE_SECONDS", "-1", "greater than or equal to 0"),
        ("BFF_TRUSTED_PROXIES", "10.0.0.0/8,nonsense", "nonsense"),
        ("BFF_ID_TOKEN_ALGORITHMS", "RS256,none", "must be some of"),
        ("BFF_ID_TOKEN_ALGORITHMS", "HS256", "must be some of"),
        ("BFF_REDIS_PREFIX", "a:b", "pattern"),
        ("BFF_REQUIRE_CSRF_ON_WRITES", "some", "boolean"),
        ("BFF_REFUSE_TYPED_ADDRESSES", "some", "boolean"),
        ("BFF_CLOCK_SKEW_SECONDS", "3600", "less than or equal to 120"),
    ],
)
def test_an_invalid_setting_is_reported(name: str, value: str | None, says: str) -> None:
    [problem] = problems(**{name: value})
    assert problem.startswith(f"{name}: ")
    assert says in problem


@pytest.mark.parametrize("scheme", ["redis+cluster", "rediss+cluster"])
def test_a_cluster_has_no_session_cache(scheme: str) -> None:
    assert load(GOOD).session_lease_seconds == 0.25
    assert load(GOOD | {"REDIS_URL": f"{scheme}://redis:6379"}).session_lease_seconds == 0


def test_another_provider_must_be_https_too() -> None:
    [problem] = problems(AUTH0_DOMAIN=None, OIDC_ISSUER="http://provider.example/")
    assert problem.startswith("OIDC_ISSUER: must be https")


def test_no_provider_at_all_is_one_problem() -> None:
    [problem] = problems(AUTH0_DOMAIN=None)
    assert "AUTH0_DOMAIN" in problem


def test_private_key_jwt_needs_a_key_file_and_no_secret(tmp_path: Path) -> None:
    [problem] = problems(AUTH0_CLIENT_AUTH="private_key_jwt", AUTH0_CLIENT_SECRET=None)
    assert problem.startswith("AUTH0_CLIENT_PRIVATE_KEY_FILE: ")
    key = tmp_path / "key.pem"
    key.write_text("key")
    environ = GOOD | {
        "AUTH0_CLIENT_AUTH": "private_key_jwt",
        "AUTH0_CLIENT_PRIVATE_KEY_FILE": str(key),
    }
    del environ["AUTH0_CLIENT_SECRET"]
    assert load(environ).client_secret is None


def test_a_misspelt_setting_is_an_error_with_a_suggestion() -> None:
    assert problems(BFF_SESION_IDLE_SECONDS="60") == [
        "BFF_SESION_IDLE_SECONDS: no such setting; BFF_SESSION_IDLE_SECONDS?"
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AUTH0_CLIENTID", "AUTH0_CLIENT_ID"), ("AUTH0_DOMAINS", "AUTH0_DOMAIN"),
        ("AUTH0_AUDIANCE", "AUTH0_AUDIENCE"), ("OIDC_ISUER", "OIDC_ISSUER"),
        ("AUTH0_SCOPES", "AUTH0_SCOPE"), ("AUTH0_SECRETS", "AUTH0_SECRET"),
        ("AUTH0_SECRETS_FILE", "AUTH0_SECRET_FILE"),
    ],
)  # fmt: skip
def test_a_near_miss_of_the_providers_settings_is_an_error(name: str, meant: str) -> None:
    assert problems(**{name: "x"}) == [f"{name}: no such setting; {meant}?"]


def test_variables_of_other_programs_are_passed_over() -> None:
    """Kubernetes makes the first ones for services called `bff`, `bff-canary` and `auth0`."""
    assert load(
        GOOD
        | {
            "BFF_SERVICE_HOST": "10.0.0.1", "BFF_SERVICE_PORT": "8000",
            "BFF_SERVICE_PORT_HTTP": "8000", "BFF_PORT": "tcp://10.0.0.1:8000",
            "BFF_PORT_8000_TCP": "tcp://10.0.0.1:8000", "BFF_PORT_8000_TCP_PROTO": "tcp",
            "BFF_PORT_8000_TCP_PORT": "8000", "BFF_PORT_8000_TCP_ADDR": "10.0.0.1",
            "BFF_PORT_53_UDP": "udp://10.0.0.1:53", "BFF_CANARY_SERVICE_HOST": "10.0.0.2",
            "BFF_CANARY_PORT": "tcp://10.0.0.2:80", "AUTH0_SERVICE_HOST": "10.0.0.3",
            "AUTH0_MGMT_TOKEN_URL": "x", "AUTH0_BASE_URL": "x", "AUTH0_ISSUER_BASE_URL": "x",
            "OIDC_PROVIDER_METADATA_URL": "x", "HOME": "/",
        }
    )  # fmt: skip


@pytest.mark.parametrize("name", ["BFF_PORT", "BFF_SERVICE", "BFF_PORT_8000", "BFF_SERVICE_HOSTS"])
def test_what_kubernetes_does_not_make_stays_an_error(name: str) -> None:
    assert problems(**{name: "8000"})[0].startswith(f"{name}: no such setting")


def test_all_problems_are_reported_at_once() -> None:
    found = problems(
        AUTH0_DOMAIN=None,
        AUTH0_SECRET="x",
        APP_BASE_URL="http://app.example.com",
        BFF_API_URL=None,
        BFF_SESSION_ABSOLUTE_SECONDS="5",
        BFF_TYPO="1",
    )
    assert len(found) == 6


def test_a_tenant_may_have_a_port() -> None:
    assert load(GOOD | {"AUTH0_DOMAIN": "localhost:4400"}).issuer == "https://localhost:4400/"


def test_an_issuer_stays_exactly_as_written() -> None:
    other = GOOD | {"OIDC_ISSUER": "https://provider.example/realms/x"}
    del other["AUTH0_DOMAIN"]
    assert load(other).issuer == "https://provider.example/realms/x"


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_plain_http_is_allowed_on_the_loopback_only(host: str) -> None:
    assert load(GOOD | {"APP_BASE_URL": f"http://{host}"}).https is False


def test_secrets_are_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    config = load(GOOD | {"REDIS_URL": f"redis://:{SECRET}@localhost:6379/0"})
    shown = [repr(config), str(config), repr(config.secrets), str(config.model_dump())]
    for wrong in ("APP_BASE_URL", "AUTH0_CLIENT_AUTH", "BFF_SESSION_IDLE_SECONDS", "REDIS_URL"):
        shown += problems(**{wrong: SECRET})
    shown += problems(AUTH0_SECRET=SECRET[:20])
    assert not any(SECRET[:20] in text for text in shown)


def test_the_env_file_is_read_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("\n".join(f"{name}={value}" for name, value in GOOD.items()))
    for name in [*GOOD, *(name for name in os.environ if name.startswith("BFF_"))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUTH0_CLIENT_ID", "from-environment")
    config = load(env_file=str(file))
    assert (config.client_id, config.issuer) == (
        "from-environment",
        "https://example.eu.auth0.com/",
    )
