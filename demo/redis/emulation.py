"""What serves as Redis where no binary runs? `fakeredis` over TCP, in a separate process.

It prints one JSON line when it listens, and ends at SIGTERM. Its data is in memory only.
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
    # Imported here: it is slow to load, and --help doesn't need it.
    from fakeredis import TcpFakeServer

    # There is no data to save, and its threads would keep the process running.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    server = TcpFakeServer((options.host, options.port))
    print(json.dumps({"ready": True, "port": server.server_address[1]}), flush=True)
    server.serve_forever()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
