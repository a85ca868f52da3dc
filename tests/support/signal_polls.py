"""How does a test poll for security events when it wants to, and cut a pause short?"""

from __future__ import annotations

from typing import Any

from bff.machine_api.signal_polling import SignalPolling, create_polling
from tests.support.receiver import Receiver
from tests.support.transmitter import TOKEN, Transmitter


def polling(bff: Receiver, transmitter: Transmitter, **changes: Any) -> SignalPolling:
    """The job of one process."""
    config = bff.config.model_copy(
        update={
            "ssf_poll_url": transmitter.poll_url,
            "ssf_token": bff.fake.config(BFF_SSF_TOKEN=TOKEN).ssf_token,
        }
        | changes
    )
    stores = bff.services.stores
    made = create_polling(config, bff.services.sessions, stores.seen_messages, stores.poll_lease)
    assert made
    return made


def pause_over(bff: Receiver) -> int:
    """Cut the pause short, as time does; returns how many milliseconds were left."""
    database = bff.services.stores.database
    left = database.command("PTTL", database.keys.poll_lease())
    database.command("DEL", database.keys.poll_lease())
    return int(left)
