"""Which refresh tokens were ever written to Redis? Its append-only file has every write.

It records the effects of scripts, so it has each value that a hash ever had; sealed values are
opened with the cluster's key.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from bff.core.model import Tokens
from bff.core.sealing import Sealer
from tests.support.cluster import Cluster


def refresh_tokens_written(cluster: Cluster) -> set[str]:
    """All of them, from the first write. Redis must be stopped, so that the file is complete."""
    assert cluster.redis.folder is not None
    sealer = Sealer([cluster.secret])
    found: set[str] = set()
    for words in _commands(cluster.redis.folder):
        if words[0].upper() != b"HSET":
            continue
        fields = dict(zip(words[2::2], words[3::2], strict=True))
        for sealed, context in _sealed(cluster.prefix, words[1].decode(), fields):
            tokens = msgspec.json.decode(sealer.open(sealed, context), type=Tokens)
            found.update(tokens.all_refresh_tokens())
    return found


def _sealed(prefix: str, key: str, fields: dict[bytes, bytes]) -> Iterator[tuple[bytes, str]]:
    """The sealed tokens in one write, and the context of the seal."""
    name = key.removeprefix(f"{prefix}:")
    if tokens := fields.get(b"tokens"):
        yield tokens, f"session {name.partition('{')[2].rstrip('}')} tokens"
    if tokens := fields.get(b"sealed_tokens"):
        yield tokens, f"outbox {name.removeprefix('{outbox}:entry:')}"


def _commands(folder: Path) -> Iterator[list[bytes]]:
    files = sorted(folder.rglob("*.aof"))
    assert files, "Redis has no append-only file"
    for file in files:
        yield from _parsed(file.read_bytes())


def _parsed(raw: bytes) -> Iterator[list[bytes]]:
    """Commands in the form of the protocol: `*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\nk\\r\\n`."""
    at = 0

    def line(mark: bytes) -> int:
        nonlocal at
        end = raw.index(b"\r\n", at)
        assert raw[at : at + 1] == mark, raw[at : at + 20]
        number, at = int(raw[at + 1 : end]), end + 2
        return number

    while at < len(raw):
        words = []
        for _ in range(line(b"*")):
            length = line(b"$")
            words.append(raw[at : at + length])
            at += length + 2
        yield words
