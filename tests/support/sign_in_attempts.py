"""What stands in for Redis where a test of a sign-in has none?"""

from __future__ import annotations

from bff.core.errors import SignInSpent
from bff.store.sign_in_attempts import SignInAttempts


class AttemptsInMemory(SignInAttempts):
    """The same for one process."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def take(self, state: str) -> None:
        """Spend a sign-in."""
        if state in self.taken:
            raise SignInSpent("taken")
        self.taken.add(state)

    def give_back(self, state: str) -> None:
        """It may be tried again."""
        self.taken.discard(state)

    def fail(self, state: str) -> None:
        """Nobody waits for it."""

    def is_under_way(self, state: str) -> bool:
        """A test has one request at a time."""
        return False
