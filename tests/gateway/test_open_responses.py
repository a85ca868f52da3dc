"""Does a response that nobody sends any more keep its place?"""

from __future__ import annotations

import contextlib

import pytest
from flask import Response

from tests.support.embedding import Embedding
from tests.support.fixtures import MakeReceiver
from tests.support.raw_upstream import RawUpstream, Wire
from tests.support.waiting import wait_for

LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + bytes(5_000_000)
PLACES = "2"


def respond(upstream: RawUpstream, wire: Wire) -> None:
    """As long as the BFF listens."""
    with contextlib.suppress(OSError):
        while wire.read_request() is not None:
            wire.send(LARGE)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("how", ["raises", "replaces", "wraps"])
def test_a_response_that_the_application_drops_keeps_no_place(
    receiver_for: MakeReceiver, how: str, method: str
) -> None:
    """An `after_request` function of its own may do so; each would take a place for ever."""
    with RawUpstream(respond) as upstream:
        embedding = Embedding(
            receiver_for(
                BFF_API_URL=upstream.url,
                BFF_OPEN_ANSWERS_MAX=PLACES,
                BFF_UPSTREAM_REQUESTS_MAX=PLACES,
            )
        )
        embedding.sign_in()
        failing = True

        @embedding.app.after_request
        def own(response: Response) -> Response:
            if not failing:
                return response
            if how == "raises":
                raise RuntimeError("a mistake in the application")
            if how == "wraps":
                return Response(bytes(piece) for piece in response.iter_encoded())
            return Response("another")

        embedding.app.testing = False
        for _ in range(3):
            try:
                embedding.call("/api/x", method).close()
            except RuntimeError:
                assert how == "raises"
        failing = False

        def served() -> bool:
            with embedding.call("/api/x", method) as response:
                return response.status_code == 200

        wait_for(served, "a place", 5)
