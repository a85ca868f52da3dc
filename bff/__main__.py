"""What does `python -m bff <command>` run? The commands of `bff/cli/main.py`."""

from __future__ import annotations

import sys

from bff.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
