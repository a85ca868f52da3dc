"""Which options does `python -m demo` have?"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DEMO_SPA = Path(__file__).resolve().parent / "spa"


@dataclass(frozen=True)
class Options:
    """The options of the demo."""

    port: int
    provider_port: int
    api_port: int
    access_token_seconds: int
    idle_seconds: int
    overlap_seconds: float
    redis_url: str | None
    spa_dir: Path
    workers: int
    verbose: bool


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the arguments; exits with a message if they are wrong."""
    return Options(**vars(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Starts a provider, an API, a Redis and the BFF on this machine.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=_port, default=8000, help="port of the BFF, on localhost")
    add("--provider-port", type=_port, default=8001, help="port of the provider, on 127.0.0.1")
    add("--api-port", type=_port, default=8002, help="port of the API, on 127.0.0.1")
    add(
        "--access-token-seconds",
        type=_positive,
        default=300,
        help="lifetime of an access token; with 20 a silent refresh comes soon",
    )
    add(
        "--idle-seconds",
        type=_positive,
        default=86_400,
        help="a session ends after this time without a request",
    )
    add(
        "--overlap-seconds",
        type=_not_negative,
        default=10.0,
        help="how long a replaced refresh token may still be used",
    )
    add(
        "--redis-url",
        default=None,
        help="use this Redis; the demo removes its keys at the end (default: start one)",
    )
    add(
        "--spa-dir",
        type=_app,
        default=DEMO_SPA,
        help="a built app to serve instead, such as examples/react/dist",
    )
    add("--workers", type=_positive, default=1, help="processes of the BFF")
    add("--verbose", action="store_true", help="show what the programs print")
    return parser


def _port(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 65_535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return number


def _app(text: str) -> Path:
    folder = Path(text).resolve()
    if not (folder / "index.html").is_file():
        raise argparse.ArgumentTypeError(f"{folder} has no index.html; was the app built?")
    return folder


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number
