"""How are security events asked for, acknowledged and refused (RFC 8936)?

Each poll returns at once: how long a transmitter holds one back is its own choice, and a poll that
is held back for longer than our time limit can't be told from an outage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import requests

from bff.core.errors import TransmitterUnavailable
from bff.provider.transmitter import Transmitter


class PollReply(msgspec.Struct, frozen=True):
    """What the transmitter has for us."""

    events: dict[str, Any]
    """Not checked yet; each should be a token. By `jti`, in the transmitter's order."""
    more_available: bool = False


class SignalPoll:
    """Polls one stream.

    Args:
        transmitter: Whose stream it is.
        url: The stream's `endpoint_url`.
    """

    def __init__(self, transmitter: Transmitter, url: str) -> None:
        self._transmitter = transmitter
        self._url = url

    def ask(
        self, acknowledged: Sequence[str], errors: Mapping[str, Mapping[str, str]], events_max: int
    ) -> PollReply:
        """Tell what became of earlier events, and ask for others.

        Args:
            acknowledged: The `jti` of those that were acted on.
            errors: `err` and `description` of those that were refused, by `jti`.
            events_max: How many others at most; 0 only tells.

        Raises:
            TransmitterUnavailable: No response, or one that is no answer to a poll.
            TransmitterRefused: The transmitter refuses us.

        Source: RFC 8936, sections 2.2 to 2.5.
        """
        body: dict[str, Any] = {"maxEvents": events_max, "returnImmediately": True}
        headers = {}
        if acknowledged:
            body["ack"] = list(acknowledged)
        if errors:
            body["setErrs"] = dict(errors)
            headers["Content-Language"] = "en"
        response = self._transmitter.send("POST", self._url, body, **headers)
        if not events_max or not response.content.strip():
            return PollReply({})
        return _reply(response)

    def close(self) -> None:
        """Close the connections: a transmitter may drop them until the next round."""
        self._transmitter.transport.close()


def _reply(response: requests.Response) -> PollReply:
    try:
        found = json.loads(response.content, object_pairs_hook=_without_repetitions)
    except (ValueError, RecursionError) as error:
        raise TransmitterUnavailable("the answer to a poll is not JSON") from error
    events = found.get("sets") if isinstance(found, dict) else None
    if not isinstance(events, dict):
        raise TransmitterUnavailable("the answer to a poll has no object sets")
    return PollReply(events, found.get("moreAvailable") is True)


def _without_repetitions(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An event under a `jti` that comes twice would be acknowledged without being acted on."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is repeated")
    return found
