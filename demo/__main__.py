"""What does `python -m demo` run? `launch`."""

from __future__ import annotations

import sys

from demo.launch import main

if __name__ == "__main__":
    sys.exit(main())
