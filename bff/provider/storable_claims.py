"""How is a claim stored and shown, if JSON can express its value and our formats can't?

JSON can escape half a surrogate pair (a name that was cut within an emoji), and it bounds neither
whole numbers nor depth. What is only shown is replaced, so that the user can sign in.
"""

from __future__ import annotations

from typing import Any

DEPTH_MAX = 32
INTEGER_MAX = 2**63 - 1
_REPLACEMENT = "\ufffd"


def storable(value: Any, depth: int = 0) -> Any:
    """*value* of JSON, with U+FFFD instead of half a character, and large numbers as text."""
    if isinstance(value, str):
        return "".join(_REPLACEMENT if "\ud800" <= c <= "\udfff" else c for c in value)
    if isinstance(value, int) and abs(value) > INTEGER_MAX:
        return str(value)
    if isinstance(value, list | dict) and depth >= DEPTH_MAX:
        return None
    if isinstance(value, list):
        return [storable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {storable(name): storable(item, depth + 1) for name, item in value.items()}
    return value
