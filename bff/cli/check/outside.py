"""Does the address that browsers use lead to a BFF? Asked from this machine, without a cookie."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import replace
from urllib.parse import urlsplit

import certifi

from bff.cli.check import connecting
from bff.cli.check.finding import Finding
from bff.config import Config
from bff.config.route import origin_of
from bff.core.errors import CrossSite, SessionMissing

SUBJECT = "from outside"
PATH = "/auth/profile"
HEADERS = {"Accept": "application/json", "Sec-Fetch-Site": "same-origin"}
OUR_CODES = frozenset({SessionMissing.code, CrossSite.code})
"""The second if a proxy takes `Sec-Fetch-Site` away."""
BODY_MAX_BYTES = 65_536


def findings(config: Config) -> list[Finding]:
    """A row for the connection and its certificate, and one for what is there."""
    # Browsers trust the public CAs, and in a company its own.
    trusted = (certifi.where(), config.trusted_cas)
    address = config.app_base_url
    connection = connecting.look(SUBJECT, origin_of(address), trusted, "APP_BASE_URL")
    if connection.status == "failed":
        advice = (
            "Browsers meet the same: correct the proxy in front, its certificate or APP_BASE_URL"
        )
        return [replace(connection, advice=advice)]
    return [connection, _what_is_there(config, trusted)]


def _what_is_there(config: Config, trusted: tuple[str, ...]) -> Finding:
    base_url = config.app_base_url
    advice = "Set APP_BASE_URL to where the proxy in front passes requests on to this BFF"
    try:
        status, location, body = _get(base_url, trusted)
    except (OSError, http.client.HTTPException) as error:
        return Finding(SUBJECT, "failed", f"{base_url}: {type(error).__name__}", advice)
    if location:
        place = urlsplit(location)
        meaning = f"{base_url} redirects to {place.scheme}://{place.netloc}"
        return Finding(SUBJECT, "failed", meaning, "Set APP_BASE_URL to where it redirects")
    if _code(body) in OUR_CODES:
        return Finding(SUBJECT, "ok", f"{base_url} leads to a BFF")
    meaning = f"{base_url} leads to something else: {PATH} is answered with HTTP {status}"
    return Finding(SUBJECT, "failed", meaning, advice)


def _get(base_url: str, trusted: tuple[str, ...]) -> tuple[int, str, bytes]:
    parts, timeout = urlsplit(base_url), connecting.TIMEOUT_SECONDS
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=trusted[0])
        context.load_verify_locations(trusted[1])
        connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
    try:
        connection.request("GET", PATH, headers=HEADERS)
        response = connection.getresponse()
        return (
            response.status, response.getheader("Location") or "", response.read(BODY_MAX_BYTES)
        )  # fmt: skip
    finally:
        connection.close()


def _code(body: bytes) -> object:
    try:
        problem = json.loads(body)
    except ValueError:
        return None
    return problem.get("code") if isinstance(problem, dict) else None
