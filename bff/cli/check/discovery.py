"""Is there an OpenID provider at the configured address, and does its clock agree with ours?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime

import requests

from bff.cli.check.finding import Finding
from bff.config import Config
from bff.core.errors import ProviderError, ProviderMisconfigured
from bff.provider import products
from bff.provider.endpoints import EndpointClient
from bff.provider.metadata import Metadata, metadata_url


def findings(client: EndpointClient) -> tuple[Metadata | None, list[Finding]]:
    """The metadata, or None if they can't be had; and what is to be said of them."""
    config, deadline = client.config, client.deadline()
    place = config.issuer
    try:
        metadata = client.discovery.metadata(deadline)
        place = f"the keys of {config.issuer} ({metadata.jwks_uri})"
        client.discovery.load(deadline)
    except ProviderError as error:
        # Of an error and its causes, the last is the first cause.
        cause = error.detail.rpartition(" < ")[2]
        advice = _advice(config, error)
        return None, [Finding("provider", "failed", f"{place}: {cause}", advice)]
    found = [Finding("provider", "ok", f"{config.issuer}: metadata and keys are there")]
    unfit = (_unfit(text) for text in products.warnings(metadata, config))
    return metadata, [*found, *unfit, *_clock(client)]


def issuer_variable(config: Config) -> str:
    """The variable that names the provider."""
    return "AUTH0_DOMAIN" if config.auth0_domain else "OIDC_ISSUER"


def _advice(config: Config, error: ProviderError) -> str:
    name, detail = issuer_variable(config), error.detail
    if isinstance(error, ProviderMisconfigured):
        return f"Set {name} to what the provider calls itself; a slash at its end counts"
    if "ProxyError" in detail or (config.provider_proxy and "deadline" in detail):
        return "Set BFF_PROVIDER_PROXY to the proxy on the way there, or unset it"
    if "CERTIFICATE_VERIFY_FAILED" in detail:
        return f"Set BFF_CA_FILE to the CA of its certificate, or correct {name}"
    return f"Set {name} to the provider's address; this machine must be able to reach it"


def _unfit(text: str) -> Finding:
    meaning, _, advice = text.replace("; ", ". ").partition(". ")
    return Finding("provider", "warning", meaning, advice[:1].upper() + advice[1:])


def _clock(client: EndpointClient) -> Iterator[Finding]:
    config, began_at = client.config, time.time()
    try:
        response = client.page(metadata_url(config.issuer), client.deadline())
    except ProviderError:
        return  # It answered a moment ago.
    ended_at = time.time()
    theirs_at = _date(response)
    if theirs_at is None:
        # Keycloak: never does.
        yield Finding("clock", "ok", "can't be compared, as the provider sends no Date; mind NTP")
        return
    # The header has whole seconds, and was written some time between request and response.
    ahead = (began_at + ended_at) / 2 - theirs_at - 0.5
    apart_seconds = max(0.0, abs(ahead) - 0.5 - (ended_at - began_at) / 2)
    if apart_seconds <= config.clock_skew_seconds:
        yield Finding("clock", "ok", "agrees with the provider's")
        return
    side = "ahead of" if ahead > 0 else "behind"
    yield Finding(
        "clock",
        "failed",
        f"{apart_seconds:.0f} s {side} the provider's: its tokens can be refused",
        "Set this machine's clock by NTP. BFF_CLOCK_SKEW_SECONDS is how far it may be off: "
        f"{config.clock_skew_seconds}",
    )


def _date(response: requests.Response) -> float | None:
    """When it was sent; a cache in between says how old it is (RFC 9111, 5.1)."""
    try:
        sent = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return None
    age = response.headers.get("Age", "0")[:12]
    return sent.replace(tzinfo=UTC).timestamp() + (int(age) if age.isdecimal() else 0)
