"""How is a stream of security events made, looked at, verified and deleted at a transmitter?

The Stream Management API of the Shared Signals Framework 1.0, section 8.1. Subjects are not added
to a stream: it is about everybody whom the transmitter knows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import quote

import msgspec
import requests

from bff.core.errors import ProviderMisconfigured, TransmitterRefused, TransmitterUnavailable
from bff.provider.http_transport import Deadline
from bff.provider.metadata import acceptable
from bff.provider.transmitter import Transmitter
from bff.provider.transmitter_keys import endpoint_of, fetch_metadata

Delivery = Literal["push", "poll"]
METHODS: dict[Delivery, str] = {"push": "urn:ietf:rfc:8935", "poll": "urn:ietf:rfc:8936"}


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One stream, as the transmitter describes it."""

    id: str
    method: str
    endpoint_url: str
    """Where events are pushed to, or polled."""
    audience: tuple[str, ...]
    events_delivered: tuple[str, ...]


class SignalStreams:
    """The streams of one transmitter that our token may use.

    Every method raises TransmitterUnavailable and TransmitterRefused (its status is in
    `status_received`), and ProviderError if the metadata can't be used.

    Args:
        transmitter: How it is called.
        issuer: Which one it is.
    """

    def __init__(self, transmitter: Transmitter, issuer: str) -> None:
        self._transmitter = transmitter
        self._issuer = issuer

    def create(self, delivery: Delivery, events: Sequence[str], push_url: str) -> Stream:
        """Create a stream of *events*, which are pushed to *push_url* or polled (8.1.1.1)."""
        metadata = self._metadata()
        supported = metadata.get("delivery_methods_supported")
        if isinstance(supported, list) and METHODS[delivery] not in supported:
            raise ProviderMisconfigured(f"the transmitter doesn't support {METHODS[delivery]}")
        wanted = {"method": METHODS[delivery]}
        if delivery == "push":
            wanted["endpoint_url"] = push_url
        body = {"delivery": wanted, "events_requested": list(events), "description": "bff"}
        url = endpoint_of(metadata, "configuration_endpoint", self._issuer)
        stream = self._stream(_json_of(self._transmitter.send("POST", url, body)))
        if delivery == "poll" and not acceptable(stream.endpoint_url, self._issuer):
            raise ProviderMisconfigured(f"stream {stream.id!r} has no https endpoint_url to poll")
        return stream

    def all(self) -> list[Stream]:
        """All streams; one that is returned by itself, too (8.1.1.2)."""
        url = endpoint_of(self._metadata(), "configuration_endpoint", self._issuer)
        found = _json_of(self._transmitter.send("GET", url))
        return [self._stream(one) for one in (found if isinstance(found, list) else [found])]

    def verify(self, stream_id: str, state: str) -> None:
        """Have a verification event with *state* delivered (8.1.4.2)."""
        url = endpoint_of(self._metadata(), "verification_endpoint", self._issuer)
        self._transmitter.send("POST", url, {"stream_id": stream_id, "state": state})

    def delete(self, stream_id: str) -> None:
        """Delete a stream, and with it what it hasn't delivered (8.1.1.5)."""
        url = endpoint_of(self._metadata(), "configuration_endpoint", self._issuer)
        mark = "&" if "?" in url else "?"
        self._transmitter.send("DELETE", f"{url}{mark}stream_id={quote(stream_id, safe='')}")

    def _metadata(self) -> dict[str, Any]:
        transmitter = self._transmitter
        deadline = Deadline(transmitter.timeout_seconds)
        return fetch_metadata(transmitter.transport, self._issuer, deadline)

    def _stream(self, found: Any) -> Stream:
        found = found if isinstance(found, dict) else {}
        delivery, stream_id = found.get("delivery"), found.get("stream_id")
        if not isinstance(stream_id, str) or not stream_id or not isinstance(delivery, dict):
            raise TransmitterUnavailable("the answer describes no stream")
        if found.get("iss") != self._issuer:
            raise ProviderMisconfigured(f"stream {stream_id!r} is of another issuer")
        audience = found.get("aud")
        return Stream(
            id=stream_id,
            method=str(delivery.get("method", "")),
            endpoint_url=str(delivery.get("endpoint_url", "")),
            audience=_texts([audience] if isinstance(audience, str) else audience),
            events_delivered=_texts(found.get("events_delivered")),
        )


def only_one(streams: Sequence[Stream]) -> Stream:
    """The stream that is meant if none is named; raises TransmitterRefused if it isn't clear."""
    if len(streams) == 1:
        return streams[0]
    found = f"several streams: {', '.join(repr(one.id) for one in streams)}" if streams else "none"
    raise TransmitterRefused(f"no stream is named, and there are {found}", 0)


def _texts(found: Any) -> tuple[str, ...]:
    values = found if isinstance(found, list) else []
    return tuple(one for one in values if isinstance(one, str))


def _json_of(response: requests.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError) as error:
        raise TransmitterUnavailable("the answer is not JSON") from error
