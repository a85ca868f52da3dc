"""What does `python -m demo.prove` run? `command`."""

from __future__ import annotations

import sys

from demo.prove.command import main

if __name__ == "__main__":
    sys.exit(main())
