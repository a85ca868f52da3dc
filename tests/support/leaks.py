"""Is a secret in what was received or logged, plain or in a usual encoding?"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

TOKEN_KINDS = ("access_token", "refresh_token", "id_token")
PART_MIN_CHARACTERS = 20


def tokens_of(issued: Iterable[dict[str, Any]]) -> set[str]:
    """Every token that the provider has issued, and the parts of JWTs.

    Authorization codes are left out: they pass through the browser by design.
    """
    values = {token["value"] for token in issued if token["kind"] in TOKEN_KINDS}
    parts = {part for value in values for part in value.split(".")}
    return values | {part for part in parts if len(part) > PART_MIN_CHARACTERS}


def leaks(secrets: Iterable[str], texts: Iterable[tuple[str, str]]) -> list[str]:
    """Return where secrets were found; shortened, so that the report leaks nothing."""
    looked_for = [(secret[:8], disguises(secret)) for secret in secrets]
    return [
        f"{short}… in {where}"
        for where, text in texts
        for short, forms in looked_for
        if any(form in text for form in forms)
    ]


def disguises(secret: str) -> set[str]:
    """The secret plain, percent-encoded, in hex and in base64."""
    raw = secret.encode()
    encoded = {base64.b64encode(raw).decode().rstrip("="), raw.hex(), quote(secret, safe="")}
    return encoded | {secret, base64.urlsafe_b64encode(raw).decode().rstrip("=")}
