"""Which clock of this machine is never set? It measures how long something took, suspends included.

`CLOCK_BOOTTIME` runs on while the machine is suspended; other clocks don't on every system.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

own_clock: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)
