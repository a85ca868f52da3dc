"""What does a Redis server say about itself, and may it forget what it was told?"""

from __future__ import annotations

from dataclasses import dataclass

MAY_EVICT = "redis_may_evict"
NO_APPEND_ONLY_FILE = "redis_without_append_only_file"
NO_MASTER = "redis_is_no_master"
TAKES_NO_WRITES = "redis_takes_no_writes"
FULL = "redis_is_full"
FIELDS = ("run_id", "role", "maxmemory", "maxmemory_policy", "aof_enabled", "evicted_keys")


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The part of `INFO` that matters; what a server doesn't say counts as right."""

    run_id: str
    """Random, new at each start."""
    is_master: bool
    policy: str
    """`maxmemory-policy`."""
    has_limit: bool
    has_append_only_file: bool
    evicted_keys: int
    """Since its start."""
    version: str = ""

    @classmethod
    def of(cls, info: bytes) -> ServerInfo:
        """Read the reply to `INFO`."""
        said = _fields(info)
        return cls(
            run_id=said.get("run_id", ""),
            is_master=said.get("role", "master") == "master",
            policy=said.get("maxmemory_policy", "noeviction"),
            has_limit=said.get("maxmemory", "0") != "0",
            has_append_only_file=said.get("aof_enabled") != "0",
            evicted_keys=int(said.get("evicted_keys", 0)),
            version=said.get("redis_version", ""),
        )

    def problems(self) -> dict[str, str]:
        """What is wrong with its settings: a stable word for each, and a sentence for the log."""
        found = {}
        if self.has_limit and self.policy != "noeviction":
            found[MAY_EVICT] = (
                f"Redis evicts keys when its memory is full (maxmemory-policy {self.policy}), "
                "logouts among them: set noeviction (docs/deploy.md, Redis)"
            )
        if not self.has_append_only_file:
            found[NO_APPEND_ONLY_FILE] = (
                "Redis has no append-only file, so a restart forgets logouts: "
                "set appendonly yes (docs/deploy.md, Redis)"
            )
        return found


def problem_of_refusal(error: bytes) -> dict[str, str]:
    """What it means that a server refuses a write with *error*; nothing if that is empty."""
    text = error.decode().removeprefix("-")
    if text.startswith("OOM"):
        return {FULL: "Redis is full, so nobody can sign in or out: give it more memory"}
    if text:
        # None of its sessions is believed: another one may be the master by now.
        return {TAKES_NO_WRITES: f"Redis takes no writes: {text[:80]}"}
    return {}


def hidden_in(info: bytes) -> list[str]:
    """The fields that matter, and that a reply to `INFO` doesn't have."""
    return [name for name in FIELDS if name not in _fields(info)]


def _fields(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode().splitlines())
    return {name: value for name, _, value in lines}
