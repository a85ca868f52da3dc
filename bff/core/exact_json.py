"""Is it JSON, so that what is stored is read again as it was?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


def encoded(data: Mapping[str, Any], what: str) -> bytes:
    """*data* as JSON; raises TypeError unless it can be read again as it is, tuples as lists.

    Args:
        data: What to store.
        what: Its name, for the error.
    """
    found = msgspec.json.encode(data)
    if decoded(found) != _with_lists(data):
        raise TypeError(
            f"{what} holds JSON only: names are text, and values are text, finite numbers, "
            "true, false, None, and lists and dictionaries of those"
        )
    return found


def decoded(data: bytes) -> dict[str, Any]:
    """What `encoded` has written."""
    return msgspec.json.decode(data, type=dict[str, Any])


def _with_lists(value: Any) -> Any:
    # Tuples come back as lists; `flask.flash` writes such.
    if isinstance(value, Mapping):
        return {name: _with_lists(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_with_lists(one) for one in value]
    return value
