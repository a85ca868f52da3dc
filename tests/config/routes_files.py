"""How does a test write a routes file and load the settings with it?"""

from __future__ import annotations

from pathlib import Path

import pytest

from bff.config import Config, load
from bff.core.errors import ConfigError

SECRET = "a-secret-that-must-not-be-shown-0123456789"
GOOD = {
    "AUTH0_DOMAIN": "example.eu.auth0.com",
    "AUTH0_CLIENT_ID": "client",
    "AUTH0_CLIENT_SECRET": SECRET,
    "AUTH0_SECRET": SECRET,
    "APP_BASE_URL": "https://app.example.com",
}


def loaded(file: Path, text: str | bytes, **environ: str) -> Config:
    """The settings with a file of that text."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return load(GOOD | {"BFF_ROUTES_FILE": str(file)} | environ)


def problems(file: Path, text: str | bytes, **environ: str) -> list[str]:
    """The problems with a file of that text."""
    with pytest.raises(ConfigError) as caught:
        loaded(file, text, **environ)
    return caught.value.problems
