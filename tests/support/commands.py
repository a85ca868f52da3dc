"""How does a test run `python -m bff …` beside a BFF, on the same Redis?"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.receiver import Receiver

ROOT = Path(__file__).resolve().parents[2]


def run_command(
    bff: Receiver, *arguments: str, cwd: Path, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with the settings of *bff*; *env* overrides them."""
    config = bff.config
    assert config.client_secret
    settings = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
        "OIDC_ISSUER": config.issuer,
        "AUTH0_CLIENT_ID": config.client_id,
        "AUTH0_CLIENT_SECRET": config.client_secret.get_secret_value(),
        "AUTH0_SECRET": ",".join(key.get_secret_value() for key in config.secrets),
        "APP_BASE_URL": config.app_base_url,
        "BFF_API_URL": config.api_url or "",
        "REDIS_URL": config.redis_url.get_secret_value(),
        "BFF_REDIS_PREFIX": config.redis_prefix,
    }
    return subprocess.run(
        [sys.executable, "-m", "bff", *arguments],
        capture_output=True, text=True, env=settings | env, cwd=cwd, timeout=60,
    )  # fmt: skip
