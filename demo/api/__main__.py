"""How is the demo API started? `python -m demo.api --port 8002 --issuer … --audience …`.

With `REDIS_URL`, `REDIS_PREFIX` and `DENY_LIST_KEY` in its environment it refuses tokens that were
revoked by a logout. They are secrets, so they aren't arguments: every user of the machine can read
those.
"""

import argparse
import json
import os
import signal
import sys
import threading

from bff.resource_server import TokenGuard
from demo.api.app import create_app
from demo.api.serving import APIServer


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; print one JSON line when listening.

    Returns:
        0 after a stop by signal, 1 if the address can't be listened on.
    """
    options = _parser().parse_args(arguments)
    app = create_app(_guard(options.issuer, options.audience))
    try:
        server = APIServer((options.host, options.port), app.wsgi_app)
    except OSError as error:
        reason = f"{options.host}:{options.port}: {error.strerror}"
        print(f"The demo API can't listen on {reason}.", file=sys.stderr)  # noqa: T201
        return 1
    _stop_on_signals(server)
    ready = {"ready": True, "port": server.server_port}
    print(json.dumps(ready), flush=True)  # noqa: T201
    with server:
        server.serve_forever(poll_interval=0.1)
    return 0


def _guard(issuer: str, audience: str) -> TokenGuard:
    redis_url = os.environ.get("REDIS_URL")
    if redis_url is None:
        return TokenGuard.without_deny_list(issuer=issuer, audience=audience)
    return TokenGuard(
        issuer=issuer,
        audience=audience,
        redis_url=redis_url,
        redis_prefix=os.environ["REDIS_PREFIX"],
        deny_key=os.environ["DENY_LIST_KEY"],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.api", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8002, help="0: any free one (%(default)s)")
    parser.add_argument("--issuer", required=True, help="exactly as in the tokens' iss")
    parser.add_argument("--audience", required=True, help="this API's identifier")
    return parser


def _stop_on_signals(server: APIServer) -> None:
    def stop(*_: object) -> None:
        # shutdown() waits for the serving loop, which runs in this thread.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


if __name__ == "__main__":
    raise SystemExit(main())
