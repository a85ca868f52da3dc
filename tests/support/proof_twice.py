"""Does a process of its own take a proof that another one has? Run by test_dpop_guard.py.

It reads one line of JSON, says that it is ready, waits for another line, and then lets several
threads verify the same request. It prints how often that was accepted.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bff.resource_server import AccessRefused, IssuerKeys, TokenGuard

THREADS = 8


def main() -> None:
    """Do it."""
    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    documents: dict[str, Any] = asked["documents"]
    issuer = asked["guard"]["issuer"]
    guard = TokenGuard(
        keys=IssuerKeys(issuer, lambda url: documents[url]),
        dpop="required",
        redis_timeout_seconds=10,
        **asked["guard"],
    )

    def verify(_: int) -> str:
        try:
            guard.verify(asked["authorization"], **asked["request"])
        except AccessRefused as refused:
            return str(refused)
        return "accepted"

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(THREADS) as crowd:
        print(json.dumps(list(crowd.map(verify, range(THREADS)))), flush=True)


if __name__ == "__main__":
    main()
