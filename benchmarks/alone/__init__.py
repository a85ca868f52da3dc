"""What is measured of us alone? What no peer has, or what has no meaning for it.

`storm`: many processes, one refresh. `streams`: how many can be open, and what each takes.
`stored`: what a session takes in Redis, and whether a logout gets slower with many of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.alone import stored, storm, streams
from benchmarks.ground import Ground

Measurement = Callable[[Ground], str]

ALL: tuple[Measurement, ...] = (storm.measure, streams.measure, stored.measure)


def sections(ground: Ground) -> Iterator[str]:
    """Each measurement's Markdown, as it is done."""
    for measurement in ALL:
        with ground.stage():
            yield measurement(ground)
