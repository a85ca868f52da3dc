"""What does Amazon Cognito do otherwise than the standard says?

Its logout has names of its own: `logout_uri` with `client_id`, compared exactly, and nothing comes
back with it. A `state` or a hint would not be understood.
Source: Amazon Cognito Developer Guide, the managed login sign-out endpoint.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from bff.config import Config
from bff.provider.dialect import Dialect

_HOST = re.compile(r"(issuer-)?cognito-idp\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")


def is_cognito(issuer: str) -> bool:
    """Whether *issuer* is a user pool; a domain of one's own doesn't change its issuer."""
    return _HOST.fullmatch(urlsplit(issuer).hostname or "") is not None


class CognitoDialect(Dialect):
    """A user pool of Amazon Cognito."""

    def logout_parameters(self, config: Config) -> dict[str, str | None]:
        """`logout_uri` in place of the standard's parameters."""
        return {
            "logout_uri": config.post_logout_redirect_uri,
            "post_logout_redirect_uri": None,
            "state": None,
            "logout_hint": None,
            "id_token_hint": None,
        }
