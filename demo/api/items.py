"""Where are the items? In memory, one list per user."""

import itertools
import threading
import time
from typing import Any

MAX_ITEMS_PER_USER = 100


class ItemsFull(Exception):
    """The user has `MAX_ITEMS_PER_USER` items."""


class ItemStore:
    """The items of all users; thread-safe."""

    def __init__(self) -> None:
        """Begin without items."""
        self._items: dict[str, dict[int, dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def list(self, sub: str) -> list[dict[str, Any]]:
        """Return the items of user *sub*, oldest first."""
        with self._lock:
            return list(self._items.get(sub, {}).values())

    def add(self, sub: str, title: str) -> dict[str, Any]:
        """Add an item and return it.

        Raises:
            ItemsFull: The user has `MAX_ITEMS_PER_USER` already.
        """
        with self._lock:
            items = self._items.setdefault(sub, {})
            if len(items) >= MAX_ITEMS_PER_USER:
                raise ItemsFull
            item_id = next(self._numbers)
            items[item_id] = {"id": item_id, "title": title, "created_at": int(time.time())}
            return items[item_id]

    def remove(self, sub: str, item_id: int) -> bool:
        """Remove an item; False if this user has no such item."""
        with self._lock:
            return self._items.get(sub, {}).pop(item_id, None) is not None
