"""What is done before a process ends, whichever server runs it?

`atexit` for a process of its own, such as a worker of gunicorn. A process of `multiprocessing`,
such as a worker of Granian, ends without it and runs its finalizers only.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from multiprocessing.util import Finalize


def at_process_end(work: Callable[[], object]) -> None:
    """Run *work* when this process ends in good order; it may be called twice."""
    atexit.register(work)
    Finalize(None, work, exitpriority=0)
