"""Where is the provider's state? In one object, under one lock."""

import time
from threading import RLock

from demo.provider.counts import Counts
from demo.provider.faults import Faults
from demo.provider.forgery import Forgeries
from demo.provider.keys import SigningKeys
from demo.provider.ledger import TokenLedger
from demo.provider.pushed import PushedRequests
from demo.provider.records import Client
from demo.provider.second_step import SecondSteps
from demo.provider.settings import ProviderSettings
from demo.provider.sso import SSOSessions


class ProviderState:
    """The provider's state. Hold `lock` for several steps; the parts take it themselves."""

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self.lock = RLock()
        self.clock_ahead_seconds = 0.0
        self.counts = Counts()
        self.keys = SigningKeys()
        self.faults = Faults()
        self.forgeries = Forgeries()
        self.clients = {c.client_id: Client(c) for c in settings.clients}
        self.ledger = TokenLedger(settings, self.lock, self.now, self.counts)
        self.pushed = PushedRequests()
        self.second_steps = SecondSteps()
        self.sso = SSOSessions(settings.users, settings.sso_session_seconds, self.lock, self.now)

    def now(self) -> float:
        """UTC epoch seconds; a control request can advance the clock."""
        return time.time() + self.clock_ahead_seconds

    def client(self, client_id: str | None) -> Client | None:
        return self.clients.get(client_id or "")
