"""What can be proved of a running deployment? That a logout revokes a copied cookie and token.

The user signs in there with a browser and passes the cookie's value, and optionally an access token
and an address of the API. The session is signed out as by the SPA. Scenarios that need faults of
the provider, or that stop processes, are not run.
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

WHY_NOT = "not run: needs faults of the provider, or stops processes"


@dataclass(frozen=True, slots=True)
class Deployment:
    """Its address, and the credentials that were copied."""

    url: str
    cookie: str
    api_path: str
    """A path under `/api` that allows GET."""
    tries: int
    """How often each attack is repeated, on a new connection each time, so that a load balancer
    sends it to every replica."""
    access_token: str | None = None
    api_url: str | None = None
    """An address of the API itself that accepts the access token."""


def run(deployment: Deployment, table: Table) -> None:
    """Sign out, and repeat what worked before."""
    for scenario in SCENARIOS:
        section = Section(table, scenario.id, scenario.title)
        if scenario.id != "spa":
            section.not_run(WHY_NOT)
            continue
        try:
            _run(deployment, section)
        except (ProofFailed, requests.RequestException) as error:
            section.failed(error)


def _run(deployment: Deployment, section: Section) -> None:
    attacks = _attacks(deployment)
    for attack in attacks.values():
        attack.check_it_works()
    response = _with_cookie(deployment, "POST", "/auth/logout")
    if response.status_code != 200:
        raise ProofFailed(f"the logout responded {response.status_code}")
    section.ended_now()
    for id, attack in attacks.items():
        section.attack(id, attack.what, "401 at once", attack.refused)


@dataclass(frozen=True, slots=True)
class Attack:
    """One request, repeated several times."""

    what: str
    send_request: Callable[[], requests.Response]
    tries: int

    def check_it_works(self) -> None:
        """Send the requests before the logout; raises ProofFailed if one fails."""
        if any(word[:1] != "2" for word in self._statuses()):
            raise ProofFailed(f"before the logout this did not work: {self.what}")

    def refused(self) -> Finding:
        """Whether each response is 401."""
        results = self._statuses()
        got = ", ".join(f"{word} ×{count}" for word, count in sorted(results.items()))
        return Finding(got, held=set(results) == {"401"})

    def _statuses(self) -> Counter[str]:
        responses = [self.send_request() for _ in range(self.tries)]
        return Counter(
            f"{response.status_code}{' with a session cookie' * sets_session(response)}"
            for response in responses
        )


def _attacks(deployment: Deployment) -> dict[str, Attack]:
    paths = {
        "cookie-profile": "/auth/profile?slide=true",
        "cookie-api": f"/api{deployment.api_path}",
    }
    attacks = {
        id: Attack(
            f"the cookie on {path.partition('?')[0]}, {deployment.tries} times",
            partial(_with_cookie, deployment, "GET", path),
            deployment.tries,
        )
        for id, path in paths.items()
    }
    if deployment.access_token and deployment.api_url:
        bearer = {"Authorization": f"Bearer {deployment.access_token}"}
        send_request = partial(send, "GET", deployment.api_url, headers=bearer)
        attacks["access-token"] = Attack(
            "the access token at the API itself", send_request, deployment.tries
        )
    return attacks


def _with_cookie(deployment: Deployment, method: str, path: str) -> requests.Response:
    return send(method, deployment.url + path, deployment.cookie, headers=FETCH)
