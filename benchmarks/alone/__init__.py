"""Which measurements are for the BFF alone, since no peer has the feature?

`storm`: many processes, one refresh. `streams`: how many can be open, and the memory of each.
`stored`: the size of a session in Redis, and whether a logout is slower with many sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.alone import stored, storm, streams
from benchmarks.testbed import Testbed

Measurement = Callable[[Testbed], str]

ALL: tuple[Measurement, ...] = (storm.measure, streams.measure, stored.measure)


def sections(testbed: Testbed) -> Iterator[str]:
    """Yield the Markdown of each measurement when it is done."""
    for measurement in ALL:
        with testbed.phase():
            yield measurement(testbed)
