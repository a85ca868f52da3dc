"""What does a program of ours import before everything else? The module in `TEST_AT_START`.

Python imports a module of this name at its start if its folder is on the path; `start_with` puts it
there. So tests can break a build, or make a process die at a step, without a switch in `bff/`.
"""

from __future__ import annotations

import importlib
import os

if "TEST_AT_START" in os.environ:
    importlib.import_module(os.environ["TEST_AT_START"])
