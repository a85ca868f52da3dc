"""How does `python -m demo.provider` run the provider in a separate process?

It prints one line of JSON when it listens: `ready`, `port`, `issuer` and `control_key`.
"""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from demo.provider.server import start_provider
from demo.provider.settings import REVOCATION_REACHES, TOKEN_DIALECTS, ProviderSettings

DEMO_CLIENT: dict[str, Any] = {"client_id": "demo-client", "client_secret": "demo-secret"}


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; 2 if the settings or the port can't be used."""
    try:
        settings = read_settings(arguments)
        provider = start_provider(settings)
    except (OSError, ValueError, TypeError) as error:
        print(f"demo provider: {error}", file=sys.stderr)
        return 2
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    ready = {"port": provider.port, "issuer": provider.issuer, "control_key": provider.control_key}
    print(json.dumps({"ready": True, **ready}), flush=True)
    stop.wait()
    provider.stop()
    return 0


def read_settings(arguments: list[str] | None = None) -> ProviderSettings:
    """Return the settings of the JSON file; those of the command line override them.

    Raises:
        OSError: The file can't be read.
        ValueError: It isn't JSON, or a value is not allowed.
    """
    given = vars(_parser().parse_args(arguments))
    config = given.pop("config", None)
    values: dict[str, Any] = json.loads(config.read_text()) if config else {}
    client: dict[str, Any] = {
        key: given.pop(key)
        for key in (
            "client_id",
            "client_secret",
            "redirect_uris",
            "post_logout_redirect_uris",
            "backchannel_logout_uri",
            "token_endpoint_auth_method",
        )
        if key in given
    }
    if "public_jwk_file" in given:
        client["public_jwk"] = json.loads(given.pop("public_jwk_file").read_text())
    if client or "clients" not in values:
        values["clients"] = [DEMO_CLIENT | client]
    return ProviderSettings.from_mapping(values | given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo.provider", argument_default=argparse.SUPPRESS
    )
    add = parser.add_argument
    add("--config", type=Path, help="JSON with the fields of ProviderSettings; needed for users")
    add("--host")
    add("--port", type=int, help="0: any free port")
    add("--control-key")
    _add_client(parser)
    add("--audience", dest="audiences", action="append", metavar="AUDIENCE")
    for name in ("access-token", "id-token", "refresh-token", "sso-session", "session-expiry"):
        add(f"--{name}-seconds", type=int)
    add("--overlap-seconds", type=float, help="how long the previous refresh token still works")
    add("--authorization-code-seconds", type=int)
    add("--access-token-dialect", choices=TOKEN_DIALECTS)
    add("--revocation-deletes-grant", action="store_true")
    add("--revocation-reaches", choices=REVOCATION_REACHES)
    add("--iss-parameter", action="store_true")
    add("--auth-time-always", action=argparse.BooleanOptionalAction)
    add("--logout-token-typ")
    return parser


def _add_client(parser: argparse.ArgumentParser) -> None:
    client = parser.add_argument_group("one client; several need --config")
    client.add_argument("--client-id")
    client.add_argument("--client-secret")
    client.add_argument("--redirect-uri", dest="redirect_uris", action="append")
    client.add_argument(
        "--post-logout-redirect-uri", dest="post_logout_redirect_uris", action="append"
    )
    client.add_argument("--backchannel-logout-uri")
    client.add_argument("--token-endpoint-auth-method")
    client.add_argument("--public-jwk-file", type=Path)


if __name__ == "__main__":
    sys.exit(main())
