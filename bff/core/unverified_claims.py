"""What does an access token say about itself, if it is a JWT?

Only for tokens that came from the provider itself: no signature is checked.
"""

from __future__ import annotations

import base64
import json
from typing import Any


def unverified_claims(access_token: str) -> dict[str, Any]:
    """The payload of a JWT; {} for any other token."""
    try:
        payload = access_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
