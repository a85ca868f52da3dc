"""What is in the software bill of materials, and where does it come from?

`python -m tests.support.sbom FILE` (`make sbom`) writes it in CycloneDX's JSON, from the locked
requirements of production alone, with those of traces, so it is the same on every machine:
versions, hashes, and what needs what. Licenses are those that the installed packages declare.
"""

from __future__ import annotations

import re
import sys
import uuid
from importlib import metadata
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from bff.core.version import __version__

ROOT = Path(__file__).resolve().parents[2]
LOCKS = [ROOT / "requirements.txt", ROOT / "requirements-otel.txt"]
OURS = "bff"
_PACKAGE = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z,]+\])?==(\S+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"^    #(?: via)? +(\S.*)$", re.MULTILINE)


def bill(lock: str) -> Bom:
    """The bill of what *lock*, the text of one requirements.txt or of several, names."""
    starts = [*_PACKAGE.finditer(lock)]
    ends = [*(match.start() for match in starts[1:]), len(lock)]
    components = {OURS: _ours()}
    wanted_by: dict[str, set[str]] = {}
    for match, end in zip(starts, ends, strict=True):
        block = lock[match.start() : end]
        name = match[1]
        components[name] = _component(name, match[2], _HASH.findall(block))
        # "-r requirements.in" is what we ask for ourselves; "-c requirements.txt" asks for nothing.
        vias = {via for via in _VIA.findall(block) if not via.startswith("-c")}
        wanted = {OURS if via.startswith("-r") else via for via in vias}
        wanted_by[name] = wanted_by.get(name, set()) | wanted
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, lock))
    bom.metadata.component = components[OURS]
    for name, component in components.items():
        if name != OURS:
            bom.components.add(component)
        needed = [components[one] for one, wanting in wanted_by.items() if name in wanting]
        bom.register_dependency(component, needed)
    return bom


def _ours() -> Component:
    return Component(
        name=OURS,
        version=__version__,
        type=ComponentType.APPLICATION,
        bom_ref=OURS,
        licenses=[DisjunctiveLicense(id="MIT")],
    )


def _component(name: str, version: str, hashes: list[str]) -> Component:
    purl = PackageURL("pypi", None, name, version)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        # One for each file of the release: any of them may be installed.
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in hashes],
        licenses=_licenses(name),
    )


def _licenses(name: str) -> list[License]:
    try:
        declared = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return []  # It is for another system.
    if "License-Expression" in declared:
        return [LicenseExpression(declared["License-Expression"])]
    classifiers = declared.get_all("Classifier") or []
    names = [c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License ::")]
    # The oldest field may have the whole text instead of a name.
    named = (declared["License"] or "").strip() if "License" in declared else ""
    if not names and named and "\n" not in named:
        names = [named]
    return [DisjunctiveLicense(name=one) for one in names]


def main() -> int:
    """Write the file that the one argument names."""
    path = Path(sys.argv[1])
    path.write_text(
        JsonV1Dot6(bill("".join(lock.read_text() for lock in LOCKS))).output_as_string(indent=2)
        + "\n"
    )
    print(f"{path}: the software bill of materials (CycloneDX 1.6)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
