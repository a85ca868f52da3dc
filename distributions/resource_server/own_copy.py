"""Which files are in the distribution for APIs, and under which names?

Two distributions must not install the same file: if one is uninstalled, the other would miss it. So
the modules are installed as `_bff_resource_server`, with their imports changed. One file makes them
known as `bff.resource_server`: a module, which Python passes over where the BFF itself has
installed its package of that name.
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "_bff_resource_server"
COPIED = {
    "bff/resource_server/*.py": PACKAGE,
    "bff/core/__init__.py": f"{PACKAGE}/core",
    "bff/core/errors/*.py": f"{PACKAGE}/core/errors",
    "bff/core/keyed_hashes.py": f"{PACKAGE}/core",
    "bff/core/signing_keys.py": f"{PACKAGE}/core",
    "bff/core/unknown_keys.py": f"{PACKAGE}/core",
}
NAMES = {"bff.resource_server": PACKAGE, "bff.core": f"{PACKAGE}.core"}
_IMPORT = re.compile(r"^( *(?:from|import) )(bff\.[a-z_]+)", re.MULTILINE)


class OwnCopy(BuildHookInterface):  # type: ignore[misc]
    """Adds the files to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the changed copies into a temporary folder."""
        self._folder = Path(tempfile.mkdtemp())
        for pattern, target in COPIED.items():
            for path in sorted(ROOT.glob(pattern)):
                self._add(build_data, f"{target}/{path.name}", _renamed(path))
        shim = _renamed(ROOT / "bff/resource_server/__init__.py")
        self._add(build_data, "bff/resource_server.py", shim)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove them."""
        shutil.rmtree(self._folder)

    def _add(self, build_data: dict[str, Any], name: str, text: str) -> None:
        file = self._folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        build_data["force_include"][str(file)] = name


def _renamed(path: Path) -> str:
    """The text of a module, with the other names in its imports; an unknown one is a KeyError."""
    return _IMPORT.sub(lambda found: found[1] + NAMES[found[2]], path.read_text())
