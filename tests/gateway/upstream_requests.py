"""How do tests send requests to an upstream directly, without a web server?"""

from __future__ import annotations

import io

from bff.config.route import Route
from bff.gateway.request_body import RequestBody
from bff.gateway.upstream import Exchange, Upstream

TIMEOUT_SECONDS = 20.0


def upstream_at(url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> Upstream:
    return Upstream(
        Route(
            prefix="/api",
            upstream_urls=(url,),
            connect_timeout_seconds=timeout_seconds / 2,
            answer_timeout_seconds=timeout_seconds,
        )
    )


def send(
    upstream: Upstream, method: str = "GET", body: bytes | None = None, length: int | None = -1
) -> Exchange:
    request_body = None
    if body is not None:
        length = len(body) if length == -1 else length
        request_body = RequestBody(io.BytesIO(body), length, 0)
    return upstream.send(method, "/x", ["x-a: 1"], request_body)


def read(exchange: Exchange) -> bytes:
    if exchange.complete_body is not None:
        return exchange.complete_body
    return b"".join(exchange)
