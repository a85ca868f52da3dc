"""How does a test see the traces? A collector of its own: OTLP over HTTP, protobuf."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.waiting import wait_for

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT"}


@dataclass(frozen=True)
class ReceivedSpan:
    """One span, as a collector sees it."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    state: str
    failed: bool
    began_at: float
    ended_at: float
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass
class ReceivedTraces:
    """What a collector has got. `respond` may be set: a status, or what raises."""

    url: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    respond: Callable[[], int] = lambda: 200

    def trace(self, trace_id: str) -> list[ReceivedSpan]:
        """The spans of one trace, by the time of their beginning."""
        found = [one for one in self.spans if one.trace_id == trace_id]
        return sorted(found, key=lambda one: one.began_at)

    def wait_for_trace(self, trace_id: str, root: str, parent: str = "") -> list[ReceivedSpan]:
        """`trace`, as soon as the request's own span is there, which comes last."""

        def is_there() -> bool:
            return any(
                one.name == root and one.kind == "SERVER" and one.parent_id.startswith(parent)
                for one in self.trace(trace_id)
            )

        wait_for(is_there, f"{root} in the trace {trace_id}")
        return self.trace(trace_id)


@contextmanager
def start_collector(port: int = 0) -> Iterator[ReceivedTraces]:
    """Listen on a free port, or on *port*."""
    traces = ReceivedTraces()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = traces.respond()
            if status == 200:
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                traces.headers.append(dict(self.headers))
                traces.bodies.append(body)
                traces.spans += _spans(ExportTraceServiceRequest.FromString(body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    traces.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield traces
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _spans(request: ExportTraceServiceRequest) -> Iterator[ReceivedSpan]:
    for group in request.resource_spans:
        resource = _values(group.resource.attributes)
        for scope in group.scope_spans:
            for one in scope.spans:
                assert not one.events and not one.links
                yield ReceivedSpan(
                    name=one.name,
                    kind=KINDS[one.kind],
                    trace_id=one.trace_id.hex(),
                    span_id=one.span_id.hex(),
                    parent_id=one.parent_span_id.hex(),
                    state=one.trace_state,
                    failed=one.status.code == 2,
                    began_at=one.start_time_unix_nano / 1e9,
                    ended_at=one.end_time_unix_nano / 1e9,
                    attributes=_values(one.attributes),
                    resource=resource,
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in attributes}
