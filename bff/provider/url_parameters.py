"""How are parameters added to a URL that may have a query of its own?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from authlib.common.urls import add_params_to_uri


def with_parameters(url: str, parameters: Mapping[str, str | None]) -> str:
    """*url* with those of *parameters* that have a value."""
    return str(add_params_to_uri(url, [(n, v) for n, v in parameters.items() if v is not None]))


def with_resources(url: str, resources: Iterable[str]) -> str:
    """*url* with one `resource` for each of *resources* (RFC 8707, section 2.1)."""
    named = [("resource", one) for one in resources]
    return str(add_params_to_uri(url, named)) if named else url
