"""Is this the name or address of one host, and how do browsers write it?"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult

import idna

HOST_CHARACTERS_MAX = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_EXPECTED = (
    "must name one host, such as app.example.com, without wildcards; "
    "letters beyond ASCII may be written in Punycode (xn--)"
)


def netloc_as_sent(parts: SplitResult) -> str:
    """Host and port of a URL as browsers write them in `Host` and `Origin`.

    Args:
        parts: The URL, with a scheme and a host.

    Raises:
        ValueError: The host isn't the name or the address of one host, or the port isn't one.
    """
    bracket, port = "[" in parts.netloc, parts.port
    host_and_port = parts.netloc.rpartition("@")[2]
    if bracket and not re.fullmatch(r"\[[^\[\]]*\](:[0-9]*)?", host_and_port):
        raise ValueError(_EXPECTED)
    if port == 0:
        raise ValueError("must have a port from 1 to 65535, or none")
    host = host_as_sent(parts.hostname or "", is_ipv6=bracket)
    if bracket:
        host = f"[{host}]"
    return host if port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{port}"


def host_as_sent(host: str, *, is_ipv6: bool = False) -> str:
    """*host* in small ASCII letters: a name with A-labels (UTS 46, RFC 5890), or an address.

    Args:
        host: As in a setting, without a port.
        is_ipv6: Whether it stood in brackets.

    Raises:
        ValueError: It isn't the name or the address of one host.
    """
    try:
        return _ipv6(host) if is_ipv6 else _name_or_ipv4(host)
    except ValueError:  # also a UnicodeError
        raise ValueError(_EXPECTED) from None


def _ipv6(host: str) -> str:
    address = ipaddress.IPv6Address(host)
    if address.scope_id is not None:
        raise ValueError  # It means something on one machine only.
    return address.compressed


def _name_or_ipv4(host: str) -> str:
    """Full-width letters, other dots and the like become ASCII here, before anything is checked."""
    mapped = idna.uts46_remap(host, std3_rules=False, transitional=False)
    name = mapped.removesuffix(".")
    labels = [_a_label(label) for label in name.split(".")]
    # What ends in a number is an address to browsers (URL Standard, host parsing): 127.1, 0x7f.1.
    if _NUMBER.fullmatch(labels[-1]):
        return str(ipaddress.IPv4Address(name))
    if sum(map(len, labels)) + len(labels) - 1 > HOST_CHARACTERS_MAX:
        raise ValueError
    return ".".join(labels) + mapped[len(name) :]


def _a_label(label: str) -> str:
    """Not all of them are letters of IDNA 2008: there are underscores, and emoji in Punycode."""
    ascii_label = label if label.isascii() else idna.alabel(label).decode()
    if not _LABEL.fullmatch(ascii_label):
        raise ValueError
    if ascii_label.startswith("xn--"):
        letters = ascii_label[4:].encode().decode("punycode")
        if letters.isascii() or letters != idna.uts46_remap(letters, std3_rules=False):
            raise ValueError
    return ascii_label
