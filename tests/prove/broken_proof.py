"""How is a broken build proved? `python -m tests.prove.broken_proof "deny-list" --json`."""

from __future__ import annotations

import sys

from demo.prove.command import main
from tests.support.start_with import start_with

if __name__ == "__main__":
    environment = start_with("tests.prove.broken_builds", BROKEN_BUILD=sys.argv[1])
    sys.exit(main(sys.argv[2:], environment))
