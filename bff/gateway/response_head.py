"""What does an upstream respond: which status, and which headers?

A response whose end is ambiguous, or that breaks HTTP, is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bff.core.errors import UpstreamUnreachable

HEAD_MAX_BYTES = 64 * 1024

Header = tuple[str, str]
"""Name in lower case, and value."""

_HEADER_LINE = re.compile(
    r"^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)\r?\n", re.MULTILINE
)
_TIMEOUT = re.compile(r"\btimeout=([0-9]{1,9})\b", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(slots=True)
class Head:
    """Status and headers of a response."""

    status: int
    headers: list[Header]
    is_ascii: bool = True
    by_name: dict[str, str] = field(init=False)
    """The last value of each header."""

    def __post_init__(self) -> None:
        self.by_name = dict(self.headers)

    @property
    def ends_with_connection(self) -> bool:
        """Whether nothing else says where the body ends (RFC 9112, 6.3)."""
        return self.by_name.keys().isdisjoint(("content-length", "transfer-encoding"))

    def joined(self, name: str) -> str:
        """The values of all headers of this name, as one list (RFC 9110, 5.3)."""
        if len(self.by_name) == len(self.headers):  # As in most responses, no name comes twice.
            return self.by_name.get(name, "")
        return ", ".join([value for found, value in self.headers if found == name])


def final_head(lines: list[bytes]) -> tuple[int, int] | None:
    """Where the first response that is not a 1xx begins and its head ends; trailers may follow."""
    start = 0
    for index, line in enumerate(lines):
        if line in (b"\r\n", b"\n"):
            if lines[start][9:10] != b"1":
                return start, index
            start = index + 1
    return None


def read_head(lines: list[bytes], start: int, end: int) -> Head:
    """Status and headers of the response that begins at line *start*; its head ends at *end*.

    Raises:
        UpstreamUnreachable: It can't be passed on.
    """
    status = lines[start][9:12]
    if not status.isdigit() or not 200 <= int(status) <= 599:
        raise UpstreamUnreachable("status that can't be passed on")
    # All at once: one search for each line took a twentieth of a request's time.
    block = b"".join(lines[start + 1 : end]).decode("latin-1")
    if len(block) > HEAD_MAX_BYTES:
        raise UpstreamUnreachable("headers larger than the limit")
    pairs = _HEADER_LINE.findall(block)
    if len(pairs) != end - start - 1:
        raise UpstreamUnreachable("header that breaks HTTP")
    headers = [(name.lower(), value.rstrip(" \t")) for name, value in pairs]
    head = Head(int(status), headers, block.isascii())
    _check_framing(head)
    return head


def keep_alive_seconds(head: Head) -> float | None:
    """The `timeout` of `Keep-Alive` (RFC 2068, 19.7.1.1), as Node and Apache send it."""
    found = _TIMEOUT.search(head.by_name.get("keep-alive", ""))
    return float(found[1]) if found else None


def _check_framing(head: Head) -> None:
    """Refuse a response whose end is ambiguous (RFC 9112, 6.3)."""
    if head.ends_with_connection:
        return
    by_name = head.by_name
    if len(by_name) == len(head.headers) and "transfer-encoding" not in by_name:
        if _LENGTH.fullmatch(by_name["content-length"]):
            return
        raise UpstreamUnreachable("Content-Length that is not one number")
    lengths = {value for name, value in head.headers if name == "content-length"}
    codings = [value.lower() for name, value in head.headers if name == "transfer-encoding"]
    if len(lengths) > 1 or any(not _LENGTH.fullmatch(length) for length in lengths):
        raise UpstreamUnreachable("Content-Length that is not one number")
    if codings and (lengths or codings != ["chunked"]):
        raise UpstreamUnreachable("framing that can be read in two ways")
    if lengths:
        # Once: Granian breaks off with two, and nginx refuses them (RFC 9110, 8.6).
        others = [header for header in head.headers if header[0] != "content-length"]
        head.headers = [("content-length", lengths.pop()), *others]
