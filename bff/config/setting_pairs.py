"""Which settings exclude or need each other?"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, SecretStr, ValidationInfo, field_validator

from bff.config import validators

BY_SECRET = ("client_secret_post", "client_secret_basic")
BY_CERTIFICATE = ("tls_client_auth", "self_signed_tls_client_auth")


class CheckedPairs(BaseModel):
    """Checks of fields that `settings` defines; a field sees those above it."""

    @field_validator("api_url", check_fields=False)
    @classmethod
    def _some_route(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("routes_file") is None:
            raise ValueError("is missing, and so is BFF_ROUTES_FILE; one of them is required")
        return value

    @field_validator("admin_scope", check_fields=False)
    @classmethod
    def _audience_and_scope(cls, value: str | None, info: ValidationInfo) -> str | None:
        if (value is None) != (info.data.get("admin_audience") is None):
            raise ValueError("goes together with BFF_ADMIN_AUDIENCE")
        return value

    @field_validator("forward_auth_key", check_fields=False)
    @classmethod
    def _proxy_and_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and not info.data.get("trusted_proxies", True):
            raise ValueError("needs BFF_TRUSTED_PROXIES: who may show it")
        return value

    @field_validator("ssf_poll_url", check_fields=False)
    @classmethod
    def _transmitter_to_poll(cls, value: str | None, info: ValidationInfo) -> str | None:
        for field, name in (("ssf_issuer", "BFF_SSF_ISSUER"), ("ssf_token", "BFF_SSF_TOKEN")):
            # An invalid one is not in the data, and has been reported by itself.
            if value is not None and info.data.get(field, True) is None:
                raise ValueError(f"needs {name}")
        return value

    @field_validator("oidc_issuer", check_fields=False)
    @classmethod
    def _one_provider(cls, value: str | None, info: ValidationInfo) -> str | None:
        domain = info.data.get("auth0_domain")
        if value is None and domain is None and "auth0_domain" in info.data:
            raise ValueError("is missing, and so is AUTH0_DOMAIN; one of them is required")
        if value is not None and domain is not None:
            raise ValueError("can't be set together with AUTH0_DOMAIN")
        return value

    @field_validator("client_secret_file", check_fields=False)
    @classmethod
    def _secret_file_there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("must name a readable file")
        return value

    @field_validator("client_secret", check_fields=False)
    @classmethod
    def _secret_given(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        in_file = info.data.get("client_secret_file")
        if value is not None and in_file is not None:
            raise ValueError("can't be set together with AUTH0_CLIENT_SECRET_FILE")
        if info.data.get("client_auth", "private_key_jwt") not in BY_SECRET:
            return value
        # An invalid file is not in the data, and has been reported by itself.
        if value is None and in_file is None and "client_secret_file" in info.data:
            raise ValueError("is missing")
        return None if value is None else validators.client_secrets(value)

    @field_validator("client_private_key_file", check_fields=False)
    @classmethod
    def _key_given(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if info.data.get("client_auth") == "private_key_jwt" and not (value and value.is_file()):
            raise ValueError("must name a readable file when private_key_jwt is used")
        return value

    @field_validator("device_binding", check_fields=False)
    @classmethod
    def _bound_over_https(cls, value: str, info: ValidationInfo) -> str:
        # Browsers register no key over plain http, and the cookie's prefix needs https.
        if value != "off" and info.data.get("app_base_url", "https:").startswith("http:"):
            raise ValueError("needs https in APP_BASE_URL: over plain http, no browser does it")
        return value

    @field_validator("client_certificate_file", check_fields=False)
    @classmethod
    def _certificate_given(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if info.data.get("client_auth") in BY_CERTIFICATE and not (value and value.is_file()):
            raise ValueError("must name a readable file when a certificate is used")
        return value

    @field_validator("session_absolute_seconds", check_fields=False)
    @classmethod
    def _idle_within(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("session_idle_seconds", 0):
            raise ValueError("must not be less than BFF_SESSION_IDLE_SECONDS")
        return value
