"""What does a worker send to the process that has the sums?

Each report is one datagram: it arrives whole or not at all, so a worker that is killed leaves
neither half a report nor a lock. It holds what was added since the last one.
"""

from __future__ import annotations

import msgspec

DATAGRAM_MAX_BYTES = 100_000
PART_MAX_BYTES = 40_000
"""For the series of one report."""
SERIES_BYTES = 300
"""A series takes no more, but for its labels: a route's prefix may be long."""

SeriesName = tuple[str, tuple[str, ...]]
"""The name of a metric, and the values of its labels."""


class Report(msgspec.Struct, array_like=True):
    """What one worker has seen.

    Attributes:
        worker: Its process id.
        added: For a counter its increase; for a histogram that of its sum, and of each bucket.
        gauges: All of them, as they are now.
        is_last: The worker ends.
    """

    worker: int
    added: list[tuple[SeriesName, list[float]]]
    gauges: dict[str, float]
    is_last: bool = False


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Report).decode
