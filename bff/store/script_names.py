"""What is a script called? In traces, where its hash would say nothing."""

from __future__ import annotations

from bff.store import (
    device_keys,
    history_cut,
    history_start,
    identity_changes,
    node_marks,
    poll_lease,
    redis_look,
    scripts,
    sign_in_attempts,
    watch_gap,
    watermarks,
)
from bff.store.connection import Script

_MODULES = (
    device_keys, history_cut, history_start, identity_changes, node_marks, poll_lease, redis_look,
    scripts, sign_in_attempts, watch_gap, watermarks,
)  # fmt: skip


def script_names() -> dict[str, str]:
    """The names of all scripts, by their hash: `replace_tokens`."""
    return {
        one.sha: name.strip("_").lower()
        for module in _MODULES
        for name, one in vars(module).items()
        if isinstance(one, Script)
    }
