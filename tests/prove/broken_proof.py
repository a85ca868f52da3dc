"""`python -m tests.prove.broken_proof "deny-list" --json`: the proof against a broken build."""

from __future__ import annotations

import sys
from pathlib import Path

from bff.demo.prove.command import main

FOLDER = Path(__file__).resolve().parent
PATH = f"{FOLDER / 'broken_builds'}:{FOLDER.parent.parent}"

if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], {"BROKEN_BUILD": sys.argv[1], "PYTHONPATH": PATH}))
