"""Which references in an upstream's response (`Location`, `Link`, …) become references to us?

A browser resolves them at our address, and doesn't reach the upstream's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from bff.config.route import DEFAULT_PORTS, Origin, Route, origin_of

HOSTS_MAX = 256
"""How many are remembered; references name few."""

_REFRESH = re.compile(
    r"""\s*(?=[0-9.])([0-9]*)[0-9.]*(?:(?=[\s;,])\s*[;,]?\s*(?:url\s*=\s*)?(["']?)(.*))?""",
    re.IGNORECASE,
)
_LINK_VALUE = re.compile(r'<([^<>]*)>((?:[^,"<]|"(?:[^"\\]|\\.)*")*)')
_PARAMETER = re.compile(r'(;\s*)([^\s=;"]+)(\s*=\s*)("(?:[^"\\]|\\.)*"|[^\s;"]*)')
_TEMPLATE = re.compile(r'"((?:[^"\\]|\\.)*)"((?:[^,"]|"(?:[^"\\]|\\.)*")*)')
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


def our_reference(
    value: str, route: Route, app_base_url: str, target: str, others: Iterable[Route] = ()
) -> str:
    """Turn a reference to the upstream into one to us; empty if no path of ours leads there.

    Args:
        value: Of `Location` or `Content-Location`; may be relative.
        route: The route whose upstream sent it.
        app_base_url: Our own origin, in place of the upstream's.
        target: The upstream's request target, which the reference is relative to.
        others: The other routes, since one upstream may name another.
    """
    value = quote(value.strip(" \t").encode("latin-1"), "%!#$&'()*+,/:;=?@[]{}~")
    scheme, host, port = route.origins[0]
    base = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    try:
        absolute = urljoin(base + target, value)
        parts, origin = urlsplit(absolute), _comparable(origin_of(absolute))
    except ValueError:
        return ""
    if _is_at(origin, route):
        path = _our_path(parts.path, route, target)
        if not path:
            # Another service may listen at the same host.
            return "" if origin in _origins(route) else value
    elif _is_us(origin, app_base_url, route):
        # The upstream believes our X-Forwarded-Host.
        path = _told_path(parts.path, route, others)
    else:
        path = _path_of_another(parts.path, origin, others)
        if not path:
            return value
    return "" if _DOT_SEGMENT.search(path) else app_base_url + path + _rest(parts)


def our_links(
    value: str, route: Route, app_base_url: str, target: str, others: Iterable[Route] = ()
) -> str:
    """The same for each link of a `Link` header; empty if none is left.

    Source: RFC 8288, section 3.
    """

    def ours(reference: str) -> str:
        return our_reference(reference, route, app_base_url, target, others)

    def parameter(found: re.Match[str]) -> str:
        if found[2].lower() != "anchor":
            return found[0]
        context = ours(found[4].strip('"'))
        contexts.append(context)
        return f'{found[1]}{found[2]}{found[3]}"{context}"'

    links = []
    for reference, parameters in _LINK_VALUE.findall(value):
        contexts: list[str] = []
        link, described = ours(reference), _PARAMETER.sub(parameter, parameters).rstrip()
        if link and all(contexts):
            links.append(f"<{link}>{described}")
    return ", ".join(links)


def our_link_templates(
    value: str, route: Route, app_base_url: str, target: str, others: Iterable[Route] = ()
) -> str:
    """The same for each template of a `Link-Template` header (RFC 9652)."""
    templates = []
    for template, parameters in _TEMPLATE.findall(value):
        if ours := our_reference(template, route, app_base_url, target, others):
            templates.append(f'"{ours}"{parameters.rstrip()}')
    return ", ".join(templates)


def our_refresh(
    value: str, route: Route, app_base_url: str, target: str, others: Iterable[Route] = ()
) -> str:
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
        return seconds or "0"
    ours = our_reference(reference, route, app_base_url, target, others)
    return f"{seconds or 0};url={ours}" if ours.startswith(("http:", "https:")) else ""


# ---------------------------------------------------------------- whose path is it?
def _our_path(path: str, route: Route, target: str) -> str:
    """Ours for the upstream's *path*; empty if there is none."""
    if route.forwarded_prefix and route.covers(path) and not route.covers(target.split("?")[0]):
        # The upstream has put the prefix in front, which we told it.
        return path
    return _below(path, route)


def _below(path: str, route: Route) -> str:
    theirs = route.base_path
    if path == theirs or path.startswith(f"{theirs}/"):
        return route.prefix + path[len(theirs) :]
    return ""


def _told_path(path: str, route: Route, others: Iterable[Route]) -> str:
    """Ours for a *path* at our own host: its own path, if it isn't one of ours."""
    if any(one.covers(path) for one in (route, *others)) or not route.base_path:
        return path
    return _below(path, route) or path


def _path_of_another(path: str, origin: Origin, others: Iterable[Route]) -> str:
    """Ours for a path of another route's upstream; empty if it is none's.

    A browser may well reach a https address itself, as that of a signed download.
    """
    named = [one for one in others if origin[0] == "http" and _is_at(origin, one)]
    named.sort(key=lambda one: -len(one.base_path))
    return next(filter(None, (_below(path, one) for one in named)), "")


def _rest(parts: SplitResult) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return f"{query}#{parts.fragment}" if parts.fragment else query


# ---------------------------------------------------------------- who is meant?
def _is_at(origin: Origin, route: Route) -> bool:
    """Whether an upstream is meant: by its address, without its port, or with our own scheme.

    Behind a proxy it knows its port less well than its host, and `X-Forwarded-Proto` says `https`.
    """
    scheme, host, port = origin
    return any(
        host == own_host and port in (own_port, DEFAULT_PORTS.get(scheme))
        for _, own_host, own_port in _origins(route)
    )


def _is_us(origin: Origin, app_base_url: str, route: Route) -> bool:
    """Whether we are meant, perhaps with the upstream's own scheme or port."""
    scheme, host, port = origin
    _, our_host, our_port = _comparable(origin_of(app_base_url))
    ports = {our_port, DEFAULT_PORTS.get(scheme), *(port for _, _, port in route.origins)}
    return host == our_host and port in ports


def _origins(route: Route) -> list[Origin]:
    return [_comparable(origin) for origin in route.origins]


def _comparable(origin: Origin) -> Origin:
    scheme, host, port = origin
    return scheme, _one_spelling(host), port


@lru_cache(HOSTS_MAX)
def _one_spelling(host: str) -> str:
    """*host* as others spell it: letters as Punycode, an IPv6 address compressed, no last dot."""
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host).compressed
        except ValueError:
            return host
    host = host.removesuffix(".")
    if "%" not in host:
        return host
    try:
        return unquote(host).encode("idna").decode("ascii").lower()
    except UnicodeError:
        return host
