"""What can be proved of a deployment that runs elsewhere? That what was copied dies at a logout.

Somebody signs in there with a browser and gives the cookie's value; an access token and the address
of an API too, if there is a way to get them. The session is signed out as the SPA does it. What
would need orders to the provider, or somebody's process to be killed, is not run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import requests

from demo.prove.browser import FETCH, send, sets_session
from demo.prove.rows import Finding, ProofFailed, Section, Table
from demo.prove.scenarios import SCENARIOS

WHY_NOT = "not run: needs orders to the provider, or processes to stop"


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where it is, and what was copied there."""

    url: str
    cookie: str
    api_path: str
    """A GET under `/api` that the session may do."""
    tries: int
    """How often each attack is made, each time on a new connection, so that a load balancer sends
    it to every replica."""
    access_token: str | None = None
    api_url: str | None = None
    """An address of the API itself, where the access token works."""


def run(deployment: Deployment, table: Table) -> None:
    """Sign out there, and try again what worked before."""
    for scenario in SCENARIOS:
        section = Section(table, scenario.id, scenario.title)
        if scenario.id != "spa":
            section.not_run(WHY_NOT)
            continue
        try:
            _run(deployment, section)
        except (ProofFailed, requests.RequestException) as error:
            section.failed(error)


def _run(there: Deployment, section: Section) -> None:
    attacks = _attacks(there)
    for attack in attacks.values():
        attack.make_sure_it_works()
    response = _with_cookie(there, "POST", "/auth/logout")
    if response.status_code != 200:
        raise ProofFailed(f"the logout was answered {response.status_code}")
    section.ended_now()
    for id, attack in attacks.items():
        section.attack(id, attack.what, "401 at once", attack.refused)


@dataclass(frozen=True, slots=True)
class Attack:
    """One request, made several times."""

    what: str
    ask: Callable[[], requests.Response]
    tries: int

    def make_sure_it_works(self) -> None:
        """Before the logout; raises ProofFailed."""
        if any(word[:1] != "2" for word in self._told()):
            raise ProofFailed(f"before the logout this did not work: {self.what}")

    def refused(self) -> Finding:
        """Whether each of them is refused."""
        results = self._told()
        got = ", ".join(f"{word} ×{count}" for word, count in sorted(results.items()))
        return Finding(got, held=set(results) == {"401"})

    def _told(self) -> Counter[str]:
        responses = [self.ask() for _ in range(self.tries)]
        return Counter(
            f"{response.status_code}{' with a session cookie' * sets_session(response)}"
            for response in responses
        )


def _attacks(there: Deployment) -> dict[str, Attack]:
    paths = {"cookie-profile": "/auth/profile?slide=true", "cookie-api": f"/api{there.api_path}"}
    attacks = {
        id: Attack(
            f"the cookie on {path.partition('?')[0]}, {there.tries} times",
            partial(_with_cookie, there, "GET", path),
            there.tries,
        )
        for id, path in paths.items()
    }
    if there.access_token and there.api_url:
        bearer = {"Authorization": f"Bearer {there.access_token}"}
        ask = partial(send, "GET", there.api_url, headers=bearer)
        attacks["access-token"] = Attack("the access token at the API itself", ask, there.tries)
    return attacks


def _with_cookie(there: Deployment, method: str, path: str) -> requests.Response:
    return send(method, there.url + path, there.cookie, headers=FETCH)
