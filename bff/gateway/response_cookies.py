"""Which cookies may an upstream set in the browser, and how?

Only those that the route names, for the route's paths, and for our host alone. A `Set-Cookie` is
rebuilt from the attributes that are understood; one that asks for a wider scope is dropped.
Source: RFC 6265, sections 4.1 and 5.3; draft-ietf-httpbis-rfc6265bis.
"""

from __future__ import annotations

import re

from bff.config.route import Route

COOKIE_MAX_CHARACTERS = 4_096
COOKIE_VALUE = re.compile(r'"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"'
                          r"|[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")  # fmt: skip
"""`cookie-value`; also without a comma, since servers join headers with one."""

_MAX_AGE = re.compile(r"-?[0-9]{1,10}")
_EXPIRES = re.compile(r"[A-Za-z0-9 ,:+-]{1,40}")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+@:/-]*")


def browser_cookie(value: str, route: Route, *, secure: bool) -> str:
    """The `Set-Cookie` for the browser; empty if it gets none.

    `Path` becomes the route's prefix, or our path for the upstream's path. `SameSite` is `Strict`
    unless the upstream's is `Lax`. Over https the cookie is `Secure`.

    Args:
        value: The upstream's `Set-Cookie`.
        route: Which names may pass, and for which paths.
        secure: Whether browsers reach us over https.
    """
    pair, *rest = value.split(";")
    name, equals, content = (part.strip(" \t") for part in pair.partition("="))
    attributes = _attributes(rest)
    if (
        not equals
        or name not in route.answer_cookies
        or not COOKIE_VALUE.fullmatch(content)
        or len(value) > COOKIE_MAX_CHARACTERS
        or attributes.get("domain")
    ):
        return ""
    parts = [f"{name}={content}", f"Path={_our_path(attributes.get('path', ''), route)}"]
    if _MAX_AGE.fullmatch(attributes.get("max-age", "")):
        parts.append(f"Max-Age={attributes['max-age']}")
    if _EXPIRES.fullmatch(attributes.get("expires", "")):
        parts.append(f"Expires={attributes['expires']}")
    if secure:
        parts.append("Secure")
    if "httponly" in attributes:
        parts.append("HttpOnly")
    lax = attributes.get("samesite", "").lower() == "lax"
    parts.append("SameSite=Lax" if lax else "SameSite=Strict")
    return "; ".join(parts)


def _attributes(parts: list[str]) -> dict[str, str]:
    """The attributes by name in lower case; of equal names, browsers use the last one."""
    pairs = (part.partition("=") for part in parts)
    return {name.strip(" \t").lower(): value.strip(" \t") for name, _, value in pairs}


def _our_path(path: str, route: Route) -> str:
    below = path[len(route.base_path) :]
    inside = path.startswith(route.base_path) and below[:1] in ("", "/")
    if inside and _PATH.fullmatch(path) and not {".", ".."} & set(below.split("/")):
        return route.prefix + below.rstrip("/")
    return route.prefix
