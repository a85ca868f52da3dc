"""Which requests and responses are in the bytes of a connection (HTTP/1.1, RFC 9112)?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

BODYLESS = (204, 304)


@dataclass
class Transcript:
    """The bytes of one connection, with the instants of the requests."""

    clock: Callable[[], float]
    requests: bytearray = field(default_factory=bytearray)
    responses: bytearray = field(default_factory=bytearray)
    marks: list[tuple[int, float]] = field(default_factory=list)

    def add_request(self, data: bytes) -> None:
        """The client sent *data*."""
        self.marks.append((len(self.requests), self.clock()))
        self.requests += data

    def add_answer(self, data: bytes) -> None:
        """The server sent *data*."""
        self.responses += data

    def instant_of(self, offset: int) -> float:
        """The instant at which the client's byte at *offset* came."""
        return max((mark for mark in self.marks if mark[0] <= offset), default=(0, 0.0))[1]


@dataclass(frozen=True)
class Message:
    """A request or a response; header names in lower case, in order."""

    start_line: str
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def get(self, name: str) -> str:
        """All values of a header, joined; empty if it is missing."""
        return ", ".join(value for key, value in self.fields if key == name)


@dataclass(frozen=True)
class Exchange:
    """One request, and its response, which may be incomplete."""

    request: Message
    response: Message | None
    began_at: float

    @property
    def method(self) -> str:
        """The method of the request."""
        return self.request.start_line.split(" ")[0]

    @property
    def target(self) -> str:
        """The target of the request: path and query."""
        return self.request.start_line.split(" ")[1]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def site(self) -> str:
        """The header `Sec-Fetch-Site`."""
        return self.request.get("sec-fetch-site")

    @property
    def status(self) -> int:
        """The status of the response; 0 if none came."""
        return int(self.response.start_line.split(" ")[1]) if self.response else 0

    @property
    def complete(self) -> bool:
        """Whether the whole response has come, by its framing."""
        if self.response is None:
            return False
        length = self.response.get("content-length")
        return self.method == "HEAD" or not length or len(self.response.body) == int(length)


def exchanges_of(transcript: Transcript) -> list[Exchange]:
    """The requests of a connection in order, each with its response."""
    raw, responses = bytes(transcript.requests), bytes(transcript.responses)
    offset, found = 0, []
    while b"\r\n\r\n" in raw[offset:]:
        began_at = transcript.instant_of(offset)
        request, offset = _message(raw, offset, is_request=True)
        method = request.start_line.split(" ")[0]
        response, responses = _response(responses, method)
        found.append(Exchange(request, response, began_at))
    return found


def _response(raw: bytes, method: str) -> tuple[Message | None, bytes]:
    if b"\r\n\r\n" not in raw:
        return None, b""
    response, end = _message(raw, 0, is_request=False, method=method)
    return response, raw[end:]


def _message(raw: bytes, offset: int, *, is_request: bool, method: str = "") -> tuple[Message, int]:
    head_end = raw.index(b"\r\n\r\n", offset)
    start_line, *lines = raw[offset:head_end].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    fields = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    body, end = _body(raw, head_end + 4, dict(fields), start_line, is_request, method)
    return Message(start_line, fields, body), end


def _body(
    raw: bytes, at: int, fields: dict[str, str], start_line: str, is_request: bool, method: str
) -> tuple[bytes, int]:
    if not is_request and (method == "HEAD" or int(start_line.split(" ")[1]) in BODYLESS):
        return b"", at
    if fields.get("transfer-encoding") == "chunked":
        return _chunks(raw, at)
    if is_request or "content-length" in fields:
        end = at + int(fields.get("content-length", 0))
        return raw[at:end], end
    return raw[at:], len(raw)


def _chunks(raw: bytes, at: int) -> tuple[bytes, int]:
    """The body so far; a stream may be incomplete."""
    body = b""
    while (line_end := raw.find(b"\r\n", at)) >= 0:
        size = int(raw[at:line_end].split(b";")[0] or b"0", 16)
        at = line_end + 2
        if size == 0:
            return body, min(at + 2, len(raw))
        body += raw[at : at + size]
        at += size + 2
    return body, len(raw)
