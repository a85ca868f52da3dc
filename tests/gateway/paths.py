"""Ambiguous requests, and the table of what each server makes of them.

`python -m tests.gateway.paths` rewrites `docs/paths.md`; a test compares it with what happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support import raw_client
from tests.support.raw_upstream import RawUpstream, Seen
from tests.support.servers import SERVERS, start_server

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "paths.md"

HOSTILE_TARGETS = {
    "parent directory": "/api/../admin",
    "parent directory at the end": "/api/a/..",
    "this directory": "/api/./a",
    "this directory at the end": "/api/a/.",
    "out of the API": "/api/../../../etc/passwd",
    "encoded dots": "/api/%2e%2e/admin",
    "encoded dots, upper case": "/api/%2E%2E/admin",
    "half encoded dots": "/api/.%2e/admin",
    "half encoded dots, other half": "/api/%2e./admin",
    "encoded single dot": "/api/%2e/admin",
    "encoded slash after dots": "/api/..%2fadmin",
    "encoded slashes around dots": "/api%2f..%2fadmin",
    "encoded slash before dots": "/api/a%2f../admin",
    "twice encoded dots": "/api/%252e%252e/admin",
    "thrice encoded dots": "/api/%25252e%25252e/admin",
    "twice encoded slash after dots": "/api/..%252fadmin",
    "endlessly encoded": "/api/%2525252525252525252e",
    "backslash": "/api/a\\b",
    "backslash and dots": "/api/..\\admin",
    "encoded backslash": "/api/a%5cb",
    "encoded backslash and dots": "/api/..%5cadmin",
    "twice encoded backslash": "/api/..%255cadmin",
    "empty segment": "/api//admin",
    "empty segment at the end": "/api/a//",
    "encoded empty segment": "/api/a%2f%2fb",
    "slash, then encoded slash": "/api/%2fadmin",
    "many slashes": "/api////admin",
    "path parameter on dots": "/api/..;/admin",
    "path parameter with value on dots": "/api/..;a=b/admin",
    "path parameter on a dot": "/api/.;/admin",
    "encoded semicolon on dots": "/api/..%3b/admin",
    "encoded dots and semicolon": "/api/%2e%2e;/admin",
    "NUL": "/api/a%00b",
    "NUL after dots": "/api/..%00/admin",
    "twice encoded NUL": "/api/a%2500b",
    "line feed": "/api/a%0ab",
    "a header by line ends": "/api/a%0d%0aX-Evil:%201",
    "tab": "/api/a%09b",
    "tab between dots": "/api/.%09./admin",
    "delete": "/api/a%7fb",
    "escape": "/api/%1b[31m",
    "space after dots": "/api/..%20/admin",
    "overlong dot": "/api/%c0%ae%c0%ae/admin",
    "overlong slash": "/api/..%c0%afadmin",
    "not UTF-8": "/api/%ff",
    "surrogate": "/api/%ed%a0%80",
    "raw byte": "/api/\xff",
    "too long": "/api/" + "a" * 8_300,
    "absolute form, another path": "http://app.test/other/../api/x",
}
"""None of these may reach an upstream."""

OTHER_TARGETS = {
    "bad escape": "/api/a%zzb",
    "cut escape": "/api/a%2",
    "lonely percent": "/api/a%",
    "IIS escape": "/api/%u002e%u002e/admin",
    "fragment": "/api/a#b",
    "fragment and dots": "/api/a#/../b",
    "the prefix": "/api",
    "the prefix and a slash": "/api/",
    "only a query": "/api?a=1",
    "slash at the end": "/api/a/",
    "question mark without query": "/api/a?",
    "encoded slash": "/api/a%2Fb",
    "encoded letter": "/api/%61",
    "encoded prefix": "/%61pi/x",
    "encoded slash after the prefix": "/api%2Fx",
    "encoded question mark": "/api/a%3Fb",
    "encoded number sign": "/api/a%23b",
    "encoded percent": "/api/100%25",
    "encoded space": "/api/a%20b",
    "plus": "/api/a+b",
    "UTF-8": "/api/%c3%a9",
    "punctuation": "/api/a:b@c!$&'()*,=~-_.",
    "path parameter": "/api/a;v=1/b",
    "dots in a name": "/api/a..b/...",
    "a name that begins with a dot": "/api/.well-known/x",
    "quotation marks": "/api/a\"b'c",
    "braces": "/api/{a}|b",
    "dots in the query": "/api/a?x=../../b&y=%2e%2e",
    "slashes in the query": "/api/a?u=//evil/%2f%5c",
    "odd query": "/api/a?100%&b=%zz&c={d}|e^f`g\\h'i",
    "second question mark": "/api/a?b?c",
    "encoded line end in the query": "/api/a?b=%0d%0ac",
    "absolute form": "http://app.test/api/x",
    "absolute form, another host": "http://evil.test/api/x",
    "absolute form with dots": "http://app.test/api/../x",
    "case of the prefix": "/API/x",
    "longer than the prefix": "/apix",
}
"""These may be forwarded where the server has made them unambiguous; the table says how."""

_POST = b"POST /api/x HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n"
_GET = b"GET /api/x HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n"
_CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
_TE = b"Transfer-Encoding: "

FRAMINGS = {
    "Content-Length and chunks": (
        _POST + b"Content-Length: 3\r\n" + _TE + b"chunked\r\n\r\n" + _CHUNKS
    ),
    "chunks and Content-Length": _POST + _TE + b"chunked\r\nContent-Length: 3\r\n\r\n" + _CHUNKS,
    "the same length twice": _POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": _POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "two lengths": _POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "length +3": _POST + b"Content-Length: +3\r\n\r\nabc",
    "length -3": _POST + b"Content-Length: -3\r\n\r\nabc",
    "length 0x3": _POST + b"Content-Length: 0x3\r\n\r\nabc",
    "empty length": _POST + b"Content-Length: \r\n\r\nabc",
    "blank before the colon": _POST + b"Content-Length : 3\r\n\r\nabc",
    "length over the limit": _POST + b"Content-Length: 3000001\r\n\r\nabc",
    "xchunked": _POST + _TE + b"xchunked\r\n\r\n" + _CHUNKS,
    "gzip, chunked": _POST + _TE + b"gzip, chunked\r\n\r\n" + _CHUNKS,
    "chunked, chunked": _POST + _TE + b"chunked, chunked\r\n\r\n" + _CHUNKS,
    "identity": _POST + _TE + b"identity\r\nContent-Length: 3\r\n\r\nabc",
    "chunked, then identity": _POST + _TE + b"chunked\r\n" + _TE + b"identity\r\n\r\n" + _CHUNKS,
    "chunks in HTTP/1.0": b"POST /api/x HTTP/1.0\r\n" + _TE + b"chunked\r\n\r\n" + _CHUNKS,
    "Transfer_Encoding": _POST + b"Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    "Content_Length": _POST + b"Content_Length: 3\r\n\r\n",
    "chunks": _POST + _TE + b"chunked\r\n\r\n" + _CHUNKS,
    "chunk extension": _POST + _TE + b"chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
    "bad chunk size": _POST + _TE + b"chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "trailer": _POST + _TE + b"chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Evil: 1\r\n\r\n",
    "body with GET": _GET + b"Content-Length: 3\r\n\r\nabc",
    "body with HEAD": _GET.replace(b"GET", b"HEAD") + b"Content-Length: 3\r\n\r\nabc",
    "Expect: 100-continue": _POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "another Expect": _POST + b"Expect: 200-ok\r\nContent-Length: 3\r\n\r\nabc",
    "folded header": _GET + b"X-A: b\r\n c\r\n\r\n",
    "line feeds only": b"GET /api/x HTTP/1.1\nHost: app.test\nConnection: close\n\n",
    "bare CR in a header": _GET + b"X-A: b\rX-B: c\r\n\r\n",
    "NUL in a header": _GET + b"X-A: b\0c\r\n\r\n",
    "header without colon": _GET + b"nonsense\r\n\r\n",
    "two Host headers": _GET + b"Host: evil.test\r\n\r\n",
    "HTTP/0.9": b"GET /api/x\r\n\r\n",
    "TRACE": _GET.replace(b"GET", b"TRACE") + b"\r\n",
    "CONNECT": b"CONNECT app.test:443 HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n",
    "CONNECT with a path": _GET.replace(b"GET", b"CONNECT") + b"\r\n",
    "method in small letters": _GET.replace(b"GET", b"get") + b"\r\n",
    "unknown method": _GET.replace(b"GET", b"PURGE") + b"\r\n",
    "WebSocket": (
        _GET.replace(b"close", b"Upgrade, close") + b"Upgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ),
    "h2c": _GET.replace(b"close", b"Upgrade, close") + b"Upgrade: h2c\r\n\r\n",
}  # fmt: skip
"""Whole requests; what reaches the upstream must be unambiguous."""


@dataclass(frozen=True)
class Outcome:
    """What a server and the proxy made of a request."""

    status: int
    code: str
    """The error code, if we refused it; empty if the server did, or if it was forwarded."""
    forwarded: str
    """The request line as it reached the upstream, and the framing."""

    def __str__(self) -> str:
        if self.forwarded:
            return f"→ `{self.forwarded}`"
        if self.code:
            return f"{self.status} `{self.code}`"
        return "404, not under `/api`" if self.status == 404 else f"{self.status} by the server"


def try_it(port: int, raw: RawUpstream, data: bytes) -> Outcome:
    """Send *data*, and see what client and upstream receive."""
    raw.forget()
    with raw_client.connect(port) as sock:
        sock.sendall(data)
        received = raw_client.read_all(sock)
    return Outcome(
        received.status, received.fields.get("x-code", ""), ", ".join(map(_summary, raw.seen))
    )


def _summary(seen: Seen) -> str:
    parts = [f"{seen.method} {seen.target}"]
    if seen.get("content-length") is not None:
        parts.append(f"length {seen.get('content-length')}")
    if seen.get("transfer-encoding") is not None:
        parts.append(str(seen.get("transfer-encoding")))
    return " · ".join(parts + ([] if seen.complete else ["broken off"]))


def targets() -> dict[str, str]:
    """All targets of the table."""
    return HOSTILE_TARGETS | OTHER_TARGETS


def request_for(target: str) -> bytes:
    """A GET of *target*."""
    start = b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\n"
    return start + b"Host: app.test\r\nConnection: close\r\n\r\n"


def measure(kind: str) -> dict[str, Outcome]:
    """Every request of the tables, against a server of that kind."""
    with RawUpstream() as raw:
        env = {"BFF_API_URL": f"{raw.url}/v1", "BFF_REQUEST_MAX_BYTES": "3000000"}
        server = start_server(kind, "tests.gateway.app:app", env=env)
        try:
            return measure_at(server.port, raw)
        finally:
            server.stop()


def measure_at(port: int, raw: RawUpstream) -> dict[str, Outcome]:
    """Every request of the tables, against the server at *port*."""
    found = {name: try_it(port, raw, request_for(target)) for name, target in targets().items()}
    return found | {name: try_it(port, raw, data) for name, data in FRAMINGS.items()}


def document(found: dict[str, dict[str, Outcome]]) -> str:
    """The text of `docs/paths.md`."""
    rows = ["", "## Targets", "", *_head("target")]
    for name, target in targets().items():
        shown = target if len(target) < 60 else f"{target[:12]}… ({len(target)} characters)"
        shown = shown.replace("\xff", "<FF>").replace("|", "\\|")
        rows.append(_row(f"{name}: `` {shown} ``", [found[kind][name] for kind in SERVERS]))
    rows += ["", "## Methods, headers and bodies", "", *_head("request")]
    rows += [_row(name, [found[kind][name] for kind in SERVERS]) for name in FRAMINGS]
    return introduction() + "\n".join(rows) + "\n"


def introduction() -> str:
    """The text above the tables, written by hand."""
    return DOCUMENT.read_text("utf-8").partition("\n## Targets\n")[0]


def _head(first: str) -> list[str]:
    return [f"| {first} | {' | '.join(SERVERS)} |", "|---" * (1 + len(SERVERS)) + "|"]


def _row(name: str, outcomes: list[Outcome]) -> str:
    return f"| {name} | " + " | ".join(str(o).replace("|", "\\|") for o in outcomes) + " |"


if __name__ == "__main__":
    DOCUMENT.write_text(document({kind: measure(kind) for kind in SERVERS}), "utf-8")
