"""What makes the token for a Shared Signals transmitter, or the address of its events, invalid?"""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from bff.config.host_name import netloc_as_sent
from bff.config.validators import LOOPBACK_HOSTS

TOKEN_MAX_CHARACTERS = 16_384


def _bearer_token(value: SecretStr) -> SecretStr:
    """Any visible ASCII: more than RFC 6750, 2.1, allows, and nothing that breaks a header."""
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("is one token, in ASCII and without blanks and line ends")
    if len(value.get_secret_value()) > TOKEN_MAX_CHARACTERS:
        raise ValueError(f"has more than {TOKEN_MAX_CHARACTERS} characters")
    return value


def _poll_url(value: str) -> str:
    """https or on the loopback, perhaps with a query: some transmitters name the stream there."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL that begins with http:// or https://")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        raise ValueError("must be https unless it is on the loopback")
    if parts.username or parts.password or re.search(r"[\0- \x7f\\#]", value):
        raise ValueError("must have no user name, blanks, backslashes and fragment in it")
    if not f"{parts.path}{parts.query}".isascii():
        raise ValueError("must be percent-encoded behind the host")
    return parts._replace(netloc=netloc_as_sent(parts)).geturl()


BearerToken = Annotated[SecretStr, AfterValidator(_bearer_token)]
PollURL = Annotated[str, AfterValidator(_poll_url)]
