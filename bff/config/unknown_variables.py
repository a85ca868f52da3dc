"""Which variables look like settings of ours, and are none?

A misspelt one would silently leave a default in force, so it is an error. Every `BFF_…` must be a
setting; an `AUTH0_…` or `OIDC_…` may belong to another program, and only a near miss is refused.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping

NEAR = 0.85
"""How similar an `AUTH0_…` must be to one of ours to be taken for it, from 0 to 1."""
_KUBERNETES = re.compile(
    r"[A-Z][A-Z0-9_]*_SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)"
    r"|[A-Z][A-Z0-9_]*_PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?"
)
_SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://\S+")


def problems(environ: Mapping[str, str], known: Collection[str]) -> list[str]:
    """What is wrong with the names in *environ*.

    Args:
        environ: All variables.
        known: The names of our settings.
    """
    found = []
    for name in sorted(environ):
        if name in known or _is_of_kubernetes(name, environ[name]):
            continue
        if name.startswith("BFF_"):
            near = difflib.get_close_matches(name, known, n=1)
        elif name.startswith(("AUTH0_", "OIDC_")):
            near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
            if not near:
                continue
        else:
            continue
        found.append(f"{name}: no such setting" + (f"; {near[0]}?" if near else ""))
    return found


def _is_of_kubernetes(name: str, value: str) -> bool:
    """Whether Kubernetes made it: it does so in every container, for each service.

    Of a service `bff`: `BFF_SERVICE_HOST`, `BFF_PORT=tcp://…`, `BFF_PORT_8000_TCP` and more.
    Source: Kubernetes, "Service: environment variables".
    """
    return bool(
        _KUBERNETES.fullmatch(name) or (name.endswith("_PORT") and _SERVICE_URL.fullmatch(value))
    )
