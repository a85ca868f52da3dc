"""Which references in an upstream's response (`Location`, `Link`, …) become references to us?

A browser resolves them at our address, and doesn't reach the upstream's.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urljoin, urlsplit

from bff.config.route import DEFAULT_PORTS, Origin, Route, origin_of

_REFRESH = re.compile(
    r"""\s*([0-9]+)[0-9.]*(?:(?=[\s;,])\s*[;,]?\s*(?:url\s*=\s*)?(["']?)(.*))?""",
    re.IGNORECASE,
)
_LINK_VALUE = re.compile(r'<([^<>]*)>((?:[^,"<]|"(?:[^"\\]|\\.)*")*)')


def our_reference(value: str, route: Route, app_base_url: str, target: str) -> str:
    """Turn a reference to the upstream into one to us; empty if no path of ours leads there.

    Args:
        value: Of `Location` or `Content-Location`; may be relative.
        route: The route whose upstream sent it.
        app_base_url: Our own origin, in place of the upstream's.
        target: The upstream's request target, which the reference is relative to.
    """
    value = quote(value.encode("latin-1"), "%!#$&'()*+,/:;=?@[]~")
    scheme, host, port = route.origins[0]
    base = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        absolute = urljoin(base + target, value)
        parts, origin = urlsplit(absolute), origin_of(absolute)
    except ValueError:
        return ""
    path, theirs = parts.path, route.base_path
    if origin not in route.origins and not _is_near(origin, route):
        return value
    if route.forwarded_prefix and route.covers(path) and not route.covers(target.split("?")[0]):
        # The upstream has put the prefix in front, which we told it.
        ours = app_base_url + path
    elif path == theirs or path.startswith(f"{theirs}/"):
        ours = f"{app_base_url}{route.prefix}{path[len(theirs) :]}"
    else:
        # Another service may listen at the same host.
        return "" if origin in route.origins else value
    if parts.query:
        ours += f"?{parts.query}"
    return f"{ours}#{parts.fragment}" if parts.fragment else ours


def our_links(value: str, route: Route, app_base_url: str, target: str) -> str:
    """The same for each link of a `Link` header; empty if none is left.

    Source: RFC 8288, section 3.
    """
    links = []
    for reference, parameters in _LINK_VALUE.findall(value):
        ours = our_reference(reference, route, app_base_url, target)
        if ours:
            links.append(f"<{ours}>{parameters.rstrip()}")
    return ", ".join(links)


def our_refresh(value: str, route: Route, app_base_url: str, target: str) -> str:
    """The same for the address in a `Refresh` header; empty if no browser should go there.

    Source: HTML Standard, "shared declarative refresh steps".
    """
    found = _REFRESH.fullmatch(value)
    if found is None:
        return ""
    seconds, quotation_mark, reference = found.groups("")
    if quotation_mark:
        reference = reference.partition(quotation_mark)[0]
    if not reference.strip():
        return seconds
    ours = our_reference(reference.strip(), route, app_base_url, target)
    return f"{seconds};url={ours}" if ours.startswith(("http:", "https:")) else ""


def _is_near(origin: Origin, route: Route) -> bool:
    """Whether the upstream may mean itself: it names no port, or believes in our own scheme.

    Behind a proxy it knows its port less well than its host, and `X-Forwarded-Proto` says `https`.
    """
    scheme, host, port = origin
    return any(
        host == own_host and port in (own_port, DEFAULT_PORTS.get(scheme))
        for _, own_host, own_port in route.origins
    )
