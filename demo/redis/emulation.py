"""What answers as Redis where no binary fits? `fakeredis` over TCP, in a process of its own.

Prints one JSON line when it listens, and ends at SIGTERM. It keeps its data in memory only.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from typing import NoReturn


def main(arguments: list[str] | None = None) -> NoReturn:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(prog="python -m demo.redis.emulation", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0: any free one (%(default)s)")
    options = parser.parse_args(arguments)
    # Imported here because it takes most of the time, and --help needs nothing of it.
    from fakeredis import TcpFakeServer

    # Nothing is kept, so there is nothing to be done at the end; its threads don't end otherwise.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    server = TcpFakeServer((options.host, options.port))
    print(json.dumps({"ready": True, "port": server.server_address[1]}), flush=True)
    server.serve_forever()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
