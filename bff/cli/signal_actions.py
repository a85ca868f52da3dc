"""What does `python -m bff signals` do at the transmitter, and what does it print?"""

from __future__ import annotations

import argparse
import json
import secrets
import time
from typing import TYPE_CHECKING, Any

from bff.cli.exit_codes import NOT_DELIVERED, OK
from bff.core import audit
from bff.core.errors import BFFError, ConfigError, TransmitterRefused
from bff.machine_api.shared_signals import PATH
from bff.machine_api.signal_receiver import VERIFICATION
from bff.provider.security_event import ENDING
from bff.provider.signal_streams import SignalStreams, Stream, only_one
from bff.provider.transmitter import Transmitter

if TYPE_CHECKING:
    from bff.app.services import Services

CALLER = "command"
WAIT_SECONDS = 30
"""How long `verify` waits for the event; and for as long as the pause between two polls."""
VERIFICATION_POLL_SECONDS = 0.2


def act(options: argparse.Namespace, services: Services) -> int:
    """Manage streams; each call but `list` writes an audit line.

    Returns:
        The exit code: 0; 1 if the verification didn't arrive in time.

    Raises:
        ConfigError: No transmitter is set, or no token.
        ProviderError: The transmitter refuses, or gives no usable response.
        StoreUnavailable: Redis is away, so that `verify` can't tell what has arrived.
    """
    streams = _streams(services)
    if options.action == "list":
        return _list(options, streams.all())
    try:
        code, result = ACTIONS[options.action](options, services, streams)
    except BFFError as error:
        outcome: audit.Outcome = "failed" if error.status >= 500 else "refused"
        _record(options, outcome, error.code)
        if isinstance(error, TransmitterRefused) and error.status_received == 409:
            error.detail += ": there is one already; python -m bff signals list"
        raise
    _record(options, "ok" if code == OK else "failed", result)
    return code


def _streams(services: Services) -> SignalStreams:
    config = services.config
    problems = [
        f"{name}: is missing, and python -m bff signals needs it"
        for name, value in (
            ("BFF_SSF_ISSUER", config.ssf_issuer),
            ("BFF_SSF_TOKEN", config.ssf_token),
        )
        if value is None
    ]
    if config.ssf_issuer is None or problems:
        raise ConfigError(problems)
    return SignalStreams(Transmitter(config), config.ssf_issuer)


def _list(options: argparse.Namespace, found: list[Stream]) -> int:
    if options.json:
        print(json.dumps({"streams": [_shown(one) for one in found]}))
    elif not found:
        print("No streams.")
    for one in () if options.json else found:
        print(f"{_escaped(one.id)}  {_escaped(one.method)}  {_escaped(one.endpoint_url)}")
    return OK


def _create(
    options: argparse.Namespace, services: Services, streams: SignalStreams
) -> tuple[int, str]:
    config = services.config
    stream = streams.create(options.delivery, ENDING, f"{config.app_base_url}{PATH}")
    missing = [event for event in ENDING if event not in stream.events_delivered]
    if options.json:
        print(json.dumps(_shown(stream) | {"not_delivered": missing}))
        return OK, options.delivery
    print(f"Created: {_escaped(stream.id)}")
    for event in missing:
        print(f"The transmitter doesn't deliver {event}")
    if options.delivery == "poll":
        print(f"Set BFF_SSF_POLL_URL={_escaped(stream.endpoint_url)}")
    if stream.audience and (config.ssf_audience or config.app_base_url) not in stream.audience:
        print(f"Set BFF_SSF_AUDIENCE={_escaped(stream.audience[0])}")
    print("Then see whether events arrive: python -m bff signals verify")
    return OK, str(options.delivery)


def _verify(
    options: argparse.Namespace, services: Services, streams: SignalStreams
) -> tuple[int, str]:
    stream_id = options.stream or only_one(streams.all()).id
    state = secrets.token_urlsafe(16)
    streams.verify(stream_id, state)
    wait = options.wait
    if wait is None:
        wait = WAIT_SECONDS + (
            services.config.ssf_poll_seconds if services.config.ssf_poll_url else 0
        )
    arrived = _has_arrived(services, state, wait) if wait else None
    if options.json:
        print(json.dumps({"stream_id": stream_id, "arrived": arrived}))
    elif arrived is None:
        print("Asked for. When it arrives, the servers' audit log has: verification: passed over")
    elif arrived:
        print("It has arrived.")
    else:
        print(f"It has not arrived within {wait:g} seconds. What the servers' audit log has of")
        print("event_received says why; nothing, if they were never asked, or never got through.")
    return (
        (NOT_DELIVERED, "not arrived") if arrived is False else (OK, "arrived" if arrived else "")
    )


def _has_arrived(services: Services, state: str, wait_seconds: float) -> bool:
    """Whether a server receives the verification in time."""
    ends_at = time.monotonic() + wait_seconds
    seen, issuer = services.stores.seen_messages, services.config.ssf_issuer or ""
    while not seen.contains(VERIFICATION, issuer, state):
        if time.monotonic() > ends_at:
            return False
        time.sleep(VERIFICATION_POLL_SECONDS)
    return True


def _delete(
    options: argparse.Namespace, services: Services, streams: SignalStreams
) -> tuple[int, str]:
    stream_id = options.stream or only_one(streams.all()).id
    streams.delete(stream_id)
    print(json.dumps({"deleted": stream_id}) if options.json else f"Deleted: {_escaped(stream_id)}")
    return OK, "deleted"


ACTIONS = {"create": _create, "verify": _verify, "delete": _delete}


def _record(options: argparse.Namespace, outcome: audit.Outcome, result: str) -> None:
    reason = f"signals {options.action}: {result}"
    audit.record("admin_called", outcome, reason=reason, caller=CALLER)


def _shown(stream: Stream) -> dict[str, Any]:
    return {
        "stream_id": stream.id,
        "method": stream.method,
        "endpoint_url": stream.endpoint_url,
        "audience": stream.audience,
        "events_delivered": stream.events_delivered,
    }


def _escaped(text: str) -> str:
    """What the transmitter says could hold control characters for the terminal."""
    return json.dumps(text)[1:-1].replace("\x7f", "\\u007f")
