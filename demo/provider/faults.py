"""Which of the next requests fail, and how? Tests add faults by the control endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

ENDPOINTS = ("token", "revoke", "discovery", "jwks", "userinfo", "par")
KINDS = ("status", "garbage", "delay", "hang", "drop_before", "drop_after", "drip")
KINDS_THAT_ACT = ("drop_after", "hang", "delay", "drip")


@dataclass
class Fault:
    """Fail the next `times` requests to an endpoint.

    `do` is one of: `status` (respond with it), `garbage` (200 with an invalid body), `delay` (wait
    `seconds`, then respond as usual), `hang` (hold the response until it is released or the client
    disconnects), `drop_before` and `drop_after` (close the connection without a response), `drip`
    (send the usual response one byte every `seconds`). `act`: whether the endpoint does its work.
    """

    endpoint: str
    do: str
    times: int = 1
    grant_type: str | None = None
    client_id: str | None = None
    audience: str | None = None
    """Only requests with this API as `audience` or `resource`."""
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    seconds: float = 1.0
    act: bool | None = None
    released: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        if self.endpoint not in ENDPOINTS:
            raise ValueError(f"endpoint must be one of {', '.join(ENDPOINTS)}")
        if self.do not in KINDS:
            raise ValueError(f"do must be one of {', '.join(KINDS)}")
        if self.act is None:
            self.act = self.do in KINDS_THAT_ACT

    def concerns(self, endpoint: str, form: Mapping[str, str]) -> bool:
        return (
            self.times > 0
            and self.endpoint == endpoint
            and self.grant_type in (None, form.get("grant_type"))
            and self.client_id in (None, form.get("client_id"))
            and self.audience in (None, form.get("audience"), form.get("resource"))
        )


class Faults:
    """The faults to inject, oldest first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def take(self, endpoint: str, form: Mapping[str, str]) -> Fault | None:
        """Return the fault for this request, with `times` reduced by one."""
        with self._lock:
            for fault in self._faults:
                if fault.concerns(endpoint, form):
                    fault.times -= 1
                    return fault
        return None

    def clear(self) -> None:
        """Remove all faults, and let requests that hang continue."""
        with self._lock:
            for fault in self._faults:
                fault.released.set()
            self._faults = []

    def listing(self) -> list[dict[str, Any]]:
        with self._lock:
            return [
                {"endpoint": o.endpoint, "do": o.do, "times": o.times, "grant_type": o.grant_type}
                for o in self._faults
            ]
