"""Which of the upstream's headers reach the browser, and how does the server get the response?

The response comes from our own origin, which has a session cookie to protect: headers that act on a
whole origin are dropped, documents can't run in it, and shared caches store nothing personal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from flask import Response
from werkzeug.datastructures import Headers

from bff.config.header_names import HOP_BY_HOP
from bff.config.route import Route
from bff.gateway import granian
from bff.gateway.references import our_link_templates, our_links, our_reference, our_refresh
from bff.gateway.response_cookies import browser_cookie
from bff.gateway.response_head import Head, Header
from bff.gateway.upstream import Exchange

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ORIGIN_WIDE = frozenset(
    {"set-cookie", "set-cookie2", "clear-site-data", "service-worker-allowed",
     "strict-transport-security", "public-key-pins", "public-key-pins-report-only", "expect-ct",
     "alt-svc", "nel", "report-to", "reporting-endpoints", "origin-agent-cluster", "accept-ch",
     "accept-ch-lifetime", "critical-ch", "set-login", "idp-signin-status", "origin-trial",
     "speculation-rules", "supports-loading-mode", "activate-storage-access", "use-as-dictionary",
     "observe-browsing-topics", "cache-groups", "cache-group-invalidation", "timing-allow-origin",
     "x-permitted-cross-domain-policies"}
)  # fmt: skip
"""They act on a whole origin, and it isn't the upstream's."""

ORIGIN_WIDE_PREFIXES = (
    "access-control-", "sec-", "secure-session-", "shared-storage-", "attribution-reporting-",
    "ad-auction-",
)  # fmt: skip
"""So does any header whose name begins so: CORS, sessions of the browser's, storage, reports."""

FOR_PROXIES = frozenset(
    {
        "surrogate-control",
        "cdn-cache-control",
        "edge-control",
        "x-sendfile",
        "x-sendfile2",
        "x-reproxy-url",
    }
)
"""Instructions to a proxy or CDN in front of us; those come from us, not from the upstream."""

VERSIONS = frozenset(
    {"server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "x-generator", "via",
     "powered-by", "x-powered-by-plesk", "x-powered-cms", "x-server-powered-by",
     "x-cf-powered-by", "x-turbo-charged-by", "x-generated-by", "x-content-encoded-by",
     "x-redirect-by", "x-php-version", "x-cms", "x-framework", "x-runtime", "x-joomla-version",
     "x-umbraco-version", "x-owa-version", "x-cocoon-version", "x-jitsi-release", "x-jenkins",
     "x-varnish", "x-drupal-cache", "x-drupal-dynamic-cache", "x-mod-pagespeed",
     "x-page-speed", "x-sourcefiles", "x-application-context", "x-server", "x-served-by",
     "x-backend-server", "x-upstream", "x-debug-token", "x-debug-token-link", "liferay-portal",
     "oraclecommercecloud-version", "microsoftsharepointteamservices"}
)  # fmt: skip
"""What an upstream tells of its own software and machines helps attackers only."""

VALIDATORS = ("etag", "last-modified")
"""With one of them, a browser may store a response and ask whether it is still the same."""

CACHING_MAX = 256
"""How many are remembered; an API has few."""

_PASSED = frozenset({"content-type", "date", "etag", "last-modified", "content-encoding"})
"""The usual ones that pass unchanged, whatever the route: most of what responses have."""
_NONE: frozenset[str] = frozenset()
_WRITTEN_BY_US = frozenset({"x-content-type-options", "cache-control", "vary", "x-request-id"})
_FOR_US = frozenset({"dpop-nonce"})
_DROPPED = HOP_BY_HOP | ORIGIN_WIDE | FOR_PROXIES | VERSIONS | _WRITTEN_BY_US | _FOR_US
_DROPPED_PREFIXES = (*ORIGIN_WIDE_PREFIXES, "x-accel-", "x-lighttpd-", "x-litespeed-", "x-envoy-")
_FOR_ONE_CDN = "-cache-control"
"""How the names end of what is for one CDN only, and overrides `Cache-Control` (RFC 9213)."""
_REFERENCES = {
    "location": our_reference, "content-location": our_reference, "link": our_links,
    "refresh": our_refresh, "sourcemap": our_reference, "x-sourcemap": our_reference,
    "operation-location": our_reference, "azure-asyncoperation": our_reference,
    "link-template": our_link_templates,
}  # fmt: skip
_CHALLENGES = frozenset({"bearer", "dpop"})
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_DIRECTIVE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_BETWEEN_WORDS = re.compile(r"[ \t,]+")
_BODYLESS = frozenset({204, 205, 304})
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
_OWN_HEADERS: list[Header] = [
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "sandbox"),
]


class PassThroughResponse(Response):
    """A Flask response whose body goes to the server unchanged.

    Werkzeug's own method handles relative URLs, implicit lengths and encodings. None of that
    applies here, and it costs more than the forwarding.
    """

    default_mimetype = None
    is_ascii = True
    """Whether all headers of the upstream are."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Begin the response and return its body."""
        headers = list(self.headers)
        if not self.is_ascii and granian.serves(environ):
            headers = [(name, granian.header_value(value)) for name, value in headers]
        start_response(self._status, headers)
        return cast(Iterable[bytes], self.response)


def make_response(
    exchange: Exchange, route: Route, app_base_url: str, target: str, others: Iterable[Route] = ()
) -> PassThroughResponse:
    """Make the response to the browser.

    Args:
        exchange: The upstream's response.
        route: Where it came from.
        app_base_url: Our own origin.
        target: The upstream's request target, which relative references are relative to.
        others: The other routes.
    """
    head = exchange.head
    headers = Headers()
    # `Headers(…)` would search each value for line ends; the values of a `Head` have none.
    headers._list = response_headers(head, route, app_base_url, target, others)  # noqa: SLF001
    response = PassThroughResponse(status=_status_line(head.status), headers=headers)
    response.is_ascii = head.is_ascii
    if head.status == HTTPStatus.RESET_CONTENT:
        # It has none (RFC 9110, 15.3.6); unlike 204, it says so.
        exchange.close()
        headers["content-length"], response.response = "0", [b""]
    elif exchange.complete_body is None:
        response.response = exchange
    else:
        response.response = [exchange.complete_body]
    return response


def _status_line(status: int) -> str:
    # The upstream's reason phrase is free text without meaning (RFC 9112, 4).
    return _STATUS_LINES.get(status) or f"{status} Unknown"


def response_headers(
    head: Head, route: Route, app_base_url: str, target: str, others: Iterable[Route] = ()
) -> list[Header]:
    """The headers for the browser.

    Source: RFC 9110, 7.6.1; RFC 9111, 3.5.
    """
    nominated = _nominated(head)
    headers: list[Header] = list(_OWN_HEADERS)
    for name, value in head.headers:
        if name in _PASSED and name not in nominated:
            headers.append((name, value))
            continue
        if (
            name in _DROPPED
            or name in nominated
            or name.startswith(_DROPPED_PREFIXES)
            or name.endswith(_FOR_ONE_CDN)
        ):
            if name == "set-cookie" and route.answer_cookies:
                cookie = browser_cookie(value, route, secure=app_base_url.startswith("https:"))
                headers += [("set-cookie", cookie)] if cookie else []
            continue
        if name == "www-authenticate" and not _asks_for_token(value):
            continue
        ours = _REFERENCES.get(name)
        if ours is not None:
            value = ours(value, route, app_base_url, target, others)
            if not value:
                continue
        if name == "content-length" and head.status in _BODYLESS - {304}:
            continue
        headers.append((name, value))
    headers += _caching_of(head, nominated)
    return headers


def _asks_for_token(challenges: str) -> bool:
    """Whether each of *challenges* is for a token; browsers ask people for what others want.

    Source: RFC 9110, 11.6.1: one header may have several, and parameters have commas, too.
    """
    bare = _EQUALS.sub("=", _QUOTED.sub('""', challenges)).lower()
    schemes = {word for word in _BETWEEN_WORDS.split(bare) if word and "=" not in word}
    return bool(schemes) and schemes <= _CHALLENGES


def _caching_of(head: Head, nominated: frozenset[str]) -> tuple[Header, ...]:
    names = head.by_name.keys() - nominated
    cache = head.joined("cache-control") if "cache-control" in names else ""
    vary = head.joined("vary") if "vary" in names else ""
    expires = "expires" in names
    if not cache and not expires and head.status != HTTPStatus.NOT_MODIFIED:
        cache = "private, no-store" if names.isdisjoint(VALIDATORS) else "private, no-cache"
    return _caching(cache, vary, expires=expires)


def _nominated(head: Head) -> frozenset[str]:
    if "connection" not in head.by_name:
        return _NONE
    return frozenset(word.strip().lower() for word in head.joined("connection").split(","))


@lru_cache(CACHING_MAX)
def _caching(cache: str, vary: str, *, expires: bool) -> tuple[Header, ...]:
    """`Cache-Control` and `Vary` for a response to a request with a cookie.

    The upstream got `Authorization`, which by itself keeps shared caches from storing a response
    (RFC 9111, 3.5). The browser's request has none, so `private` is added instead. `public` and
    `s-maxage` allow shared caches, unless the response varies with `Authorization`. What a browser
    may store varies with the cookie, so that the next user of the browser doesn't get it.
    """
    directives = [found.strip() for found in _DIRECTIVE.findall(cache) if found.strip()]
    parts = [directive.lower().partition("=") for directive in directives]
    # `private="x"` is for that header alone (RFC 9111, 5.2.2.7).
    words = {word for word, equals, _ in parts if not (word == "private" and equals)}
    varies = [word.strip() for word in vary.split(",") if word.strip()]
    personal = any(word.lower() in ("authorization", "*") for word in varies)
    shared = not personal and ("public" in words or "s-maxage" in words)
    if not shared and "no-store" not in words:
        directives = [
            w for w in directives if w.lower().partition("=")[0] not in ("public", "s-maxage")
        ]
        if "private" not in words and (cache or expires):
            directives.append("private")
        cache = ", ".join(directives)
        if not any(word.lower() in ("cookie", "*") for word in varies):
            varies.append("Cookie")
    result: list[Header] = [("cache-control", cache)] if cache else []
    if varies:
        result.append(("vary", ", ".join(varies)))
    return tuple(result)
