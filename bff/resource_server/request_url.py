"""Which URL has a request, so that two spellings of it are equal?

As RFC 9449, 4.3 (9), wants it: without query and fragment, after the normalisation by syntax and
by scheme of RFC 3986, 6.2.2 and 6.2.3. A proxy in front may have changed scheme, host and prefix,
so an API can say what its own address is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

PORTS = {"http": 80, "https": 443}
# No user (RFC 9110, 4.2.4); a host beyond ASCII is in Punycode.
_URL = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<ipv6>[0-9A-F:.]+)\]|(?P<host>[A-Z0-9._-]+))"
    r"(?::(?P<port>[0-9]{0,5}))?(?P<path>/(?:[!-\"$&->@-~]|%[0-9A-F]{2})*)?"
    r"(?P<rest>[?#][!-~]*)?",
    re.IGNORECASE | re.ASCII,  # Else `ſ` is an `s`.
)
_SCHEME_AND_AUTHORITY = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{0,5})?")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_IN_PATHS = "/:@!$&'()*+,;="
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


def normalised(url: str) -> str:
    """*url* in the one spelling of all that are equal to it, without query and fragment.

    Raises:
        ValueError: It isn't an absolute URL of http or https, or has a user in it.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError("no URL")
    scheme = found["scheme"].lower()
    # An address of IPv6 has many spellings; ipaddress raises ValueError for none.
    host = f"[{ipaddress.IPv6Address(found['ipv6'])}]" if found["ipv6"] else found["host"].lower()
    port = int(found["port"] or PORTS[scheme])
    if port > 65_535:
        raise ValueError("no port")
    path = quote(_ENCODED.sub(_shortest, found["path"] or "/"), safe=f"{_IN_PATHS}%")
    return f"{scheme}://{host}:{port}{_without_dots(path)}"


def base(url: str) -> str:
    """*url* as what comes before each path: without a slash at its end.

    Raises:
        ValueError: It is none, or has a query or a fragment.
    """
    found = _URL.fullmatch(url)
    if found is None or found["rest"]:
        raise ValueError(
            "base_url is https://host, perhaps with a port and the beginning of a path"
        )
    normalised(url)
    return url.rstrip("/")


def placed(url: str, base_url: str) -> str:
    """*url* as clients call it.

    Args:
        url: A whole URL, or a path with or without a query. What is beyond ASCII is encoded.
        base_url: What comes before each path, from `base`; empty if *url* has it right.

    Raises:
        ValueError: It is neither.
    """
    if base_url:
        url = _SCHEME_AND_AUTHORITY.sub("", url, count=1)
        if url[:1] not in ("", "/", "?", "#"):
            raise ValueError("no path")
    return quote(f"{base_url}{url}", safe=_VISIBLE)


def of_wsgi(environ: Mapping[str, Any]) -> str:
    """The URL of a request of WSGI, with its path as it was sent if the server tells that.

    Where it doesn't, a `%2F` in a path can't be told from a slash. Source: PEP 3333, "URL
    Reconstruction"; `REQUEST_URI` and `RAW_URI` are what servers add.
    """
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    if target is None:
        target = quote(_bytes(environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]), _IN_PATHS)
    else:
        target = quote(_bytes(target), safe=_VISIBLE)
    target = _SCHEME_AND_AUTHORITY.sub("", target, count=1)
    host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    if not _AUTHORITY.fullmatch(host):
        host = ""  # Else `Host: api.example.com/other?` would say that the path is another.
    return f"{environ['wsgi.url_scheme']}://{host}{target}"


def _bytes(text: str) -> bytes:
    """WSGI gives bytes as Latin-1."""
    return text.encode("latin-1", "replace")


def _shortest(encoded: re.Match[str]) -> str:
    character = chr(int(encoded[0][1:], 16))
    return character if _UNRESERVED.fullmatch(character) else encoded[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986, 5.2.4, of a path that begins with a slash."""
    first, *segments = path.split("/")
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            kept[-1:] = []
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/".join([first, *kept])
