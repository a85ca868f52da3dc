"""How does a test set the clock of a Redis? With libfaketime, which reads it from a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Self

from demo.redis.embedded import EmbeddedRedis, Source, first_source
from tests.support.processes import guardian
from tests.support.redis_server import RedisServer

PLACES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
ADVICE = "No libfaketime was found. Install it (Debian: apt-get install libfaketime)."


class NoFaketime(Exception):
    """It wasn't found; the message says what to install."""


def library() -> Path:
    """Where it is; raises NoFaketime."""
    found = [path for place in PLACES for path in sorted(Path("/").glob(place[1:]))]
    if not found:
        raise NoFaketime(ADVICE)
    return found[0]


class RedisWithClock(RedisServer):
    """A Redis whose clock can be set while it runs.

    Args:
        folder: For the file with the time.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.set_clock(0)
        # Debian's is linked with jemalloc, which reads the clock before the library is ready.
        real = first_source(accept=lambda source: source.real and "wheel" in source.description)
        words = (
            "env", f"LD_PRELOAD={library()}", f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", *real.command,
        )  # fmt: skip
        self._server = EmbeddedRedis(Source(real.description, words, real=True), guardian())

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def set_clock(self, ahead_seconds: int) -> None:
        """Let it be so far ahead of the right time from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_seconds:+d}")
        new.rename(self._file)  # In one step: Redis reads it all the time.


def main() -> int:
    """Print where it is (`python -m tests.support.faketime`); 1 if nowhere."""
    try:
        print(f"libfaketime: {library()}")
    except NoFaketime as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
