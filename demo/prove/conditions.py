"""What could come in the way of a logout? Something in flight, or something that is down.

Each of these ends the session of a robbed browser amid such a thing, and then tries everything.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import requests

from demo.prove.browser import FETCH, TIMEOUT_SECONDS, send, sets_session
from demo.prove.endings import spa
from demo.prove.installation import PROVIDER_TIMEOUT_SECONDS, Installation
from demo.prove.rows import Finding, ProofFailed, Section
from demo.prove.thief import Thief, signed_in

SHORT_SECONDS = 4
"""Lifetime of an access token that is to be dead soon."""
NORMAL_SECONDS = 300
STREAM_WITHIN_SECONDS = 2.0
TAKEN_OVER_WITHIN_SECONDS = 30.0
"""The killed process's lease, and a round of another's drain."""
WAIT_SECONDS = 20.0
POLL_SECONDS = 0.02
FOREVER = 100_000


def request_in_flight(installation: Installation, section: Section, thief: Thief) -> None:
    """A slow answer is on its way through another replica."""
    with _in_background(lambda: _ask(installation, thief, "/api/slow?seconds=2")) as slow:
        # It has reached the API by then; nothing tells when.
        time.sleep(0.5)
        _sign_out(installation, section, thief)
        thief.try_cookie(section)
        section.attack(
            "request", "the request in flight: may finish, can't bring the session back",
            "an answer without a session cookie", lambda: _without_cookie(slow),
        )  # fmt: skip
        thief.try_everything(section.later("afterwards"))


def stream_open(installation: Installation, section: Section, thief: Thief) -> None:
    """An event stream is open at another replica."""
    url = f"{installation.urls[-1]}/api/events?interval_ms=100"
    with requests.Session() as session:
        session.trust_env = False
        stream = session.get(
            url, headers=FETCH, cookies={"session": thief.cookie}, stream=True, timeout=WAIT_SECONDS
        )
        chunks = stream.iter_content(1024)
        if stream.status_code != 200 or not next(chunks):
            raise ProofFailed(f"the stream was answered {stream.status_code}")
        _sign_out(installation, section, thief)
        section.attack(
            "stream", "the event stream that was open at another replica",
            f"ends within {STREAM_WITHIN_SECONDS:g} s", lambda: _ends(section, chunks),
        )  # fmt: skip
    thief.try_everything(section)


def _ends(section: Section, chunks: Iterator[bytes]) -> Finding:
    count = 0
    try:
        for _ in chunks:
            count += 1
            if time.monotonic() - section.ended_at > STREAM_WITHIN_SECONDS:
                return Finding(f"still open, {count} events later", held=False)
    except requests.RequestException:
        pass  # Broken off in the middle is an end, too.
    return Finding(f"ended after {count} more events", held=True)


def signed_in_with_a_short_token(installation: Installation) -> Thief:
    """The access token is dead soon, so that the next request refreshes."""
    installation.control("POST", "lifetimes", access_token_seconds=SHORT_SECONDS)
    try:
        return signed_in(installation)
    finally:
        installation.control("POST", "lifetimes", access_token_seconds=NORMAL_SECONDS)


def refresh_in_flight(installation: Installation, section: Section, thief: Thief) -> None:
    """The provider has minted new tokens, and its answer comes after the logout."""
    time.sleep(SHORT_SECONDS)
    had = len(thief.tokens("refresh_token"))
    installation.control("POST", "faults", endpoint="token", do="hang", grant_type="refresh_token")
    try:
        with _in_background(lambda: _ask(installation, thief, "/api/items")) as late:
            _await(lambda: len(thief.tokens("refresh_token")) > had, "the refresh didn't begin")
            _sign_out(installation, section, thief)
            thief.try_cookie(section)
            installation.control("DELETE", "faults")
            section.ended_now()
            section.attack(
                "request", "the request whose refresh came too late", "401",
                lambda: _status_is(late, 401),
            )  # fmt: skip
        again = section.later("afterwards")
        thief.try_cookie(again)
        thief.try_access_token(again, within_seconds=10)
        thief.try_refresh_token(again)
    finally:
        installation.control("DELETE", "faults")


def provider_down(installation: Installation, section: Section, thief: Thief) -> None:
    """The provider takes connections and answers nothing, during the whole logout."""
    installation.provider.pause()
    try:
        _sign_out_within(installation, section, thief, PROVIDER_TIMEOUT_SECONDS + 1)
        thief.try_cookie(section)
    finally:
        installation.provider.resume()
    section.ended_now()
    later = section.later("after its return")
    thief.try_refresh_token(later)
    thief.try_access_token(later)


def provider_failing(installation: Installation, section: Section, thief: Thief) -> None:
    """The provider answers every revocation with 503, and then no more."""
    installation.control(
        "POST", "faults", endpoint="revoke", do="status", status=503, times=FOREVER
    )
    try:
        _sign_out_within(installation, section, thief, PROVIDER_TIMEOUT_SECONDS + 1)
        thief.try_cookie(section)
        thief.try_access_token(section)
        section.attack(
            "waiting", "meanwhile: what does the person on call see?",
            "`python -m bff revocations` lists it", lambda: _listed(installation),
        )  # fmt: skip
    finally:
        installation.control("DELETE", "faults")
    section.ended_now()
    thief.try_refresh_token(section.later("after its return"))


def _listed(installation: Installation) -> Finding:
    output = installation.command("revocations", "--json")
    waiting = json.loads(output)["waiting"] if output.startswith("{") else []
    listed = any(entry["reason"] == "logout" for entry in waiting)
    return Finding("listed" if listed else "not listed", held=listed)


def redis_away(installation: Installation, section: Section, thief: Thief) -> None:
    """Redis is killed; the logout can't be done and says so. It comes back, and is asked again."""
    if not installation.redis.source.real:
        section.not_run("the emulated Redis keeps nothing over a restart")
        return
    installation.redis.child.kill()
    section.ended_now()
    section.attack(
        "honest", "signing out while Redis is down", "503 that says: not signed out",
        lambda: _honest(thief),
    )  # fmt: skip
    section.attack(
        "no-pass", "the copied access token while Redis is down", "503, nobody gets through",
        lambda: _no_pass(installation, thief),
    )  # fmt: skip
    installation.redis.start_again()
    section.attack(
        "not-signed-out", "was the outage a sign-out?", "no, the session works",
        lambda: _status_is_now(thief, 200), within_seconds=10,
    )  # fmt: skip
    _sign_out(installation, section, thief)
    thief.try_everything(section)


def redis_restarted(installation: Installation, section: Section, thief: Thief) -> None:
    """Redis is killed right after the logout's answer, and starts again with what it kept."""
    if not installation.redis.source.real:
        section.not_run("the emulated Redis keeps nothing over a restart")
        return
    _sign_out(installation, section, thief)
    installation.redis.child.kill()
    installation.redis.start_again()
    # The replicas' connections are broken; 503 is no way in, and isn't what is asked here.
    _await(
        lambda: all(_answers(url) for url in installation.urls), "the replicas aren't ready again"
    )
    section.ended_now()
    thief.try_everything(section)


def process_killed(installation: Installation, section: Section, thief: Thief) -> None:
    """The process that signs out is killed while it waits for the provider."""
    victim = len(installation.urls) - 1
    order = {"endpoint": "revoke", "do": "hang", "act": False, "times": FOREVER}
    begun, left = _count(installation, "revoke"), _count(installation, "revoke.client_left")
    installation.control("POST", "faults", **order)
    try:
        url = f"{installation.urls[victim]}/auth/logout"
        with _in_background(lambda: send("POST", url, thief.cookie, headers=FETCH)):
            _await(lambda: _count(installation, "revoke") > begun, "the revocation didn't begin")
            installation.replicas[victim].kill()
            section.ended_now()
        # Else the order's end could let the dead process's call be carried out.
        _await(
            lambda: _count(installation, "revoke.client_left") > left,
            "the provider noticed nothing",
        )
    finally:
        installation.control("DELETE", "faults")
    installation.restart_replica(victim)
    thief.try_cookie(section)
    thief.try_access_token(section)
    thief.try_refresh_token(section, within_seconds=TAKEN_OVER_WITHIN_SECONDS)


# ---------------------------------------------------------------- parts of the above


@contextmanager
def _in_background(ask: Callable[[], requests.Response]) -> Iterator[Future[requests.Response]]:
    """Send a request and go on; it is waited for at the end."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(ask)


def _ask(installation: Installation, thief: Thief, path: str) -> requests.Response:
    return send("GET", installation.urls[-1] + path, thief.cookie, headers=FETCH)


def _sign_out(installation: Installation, section: Section, thief: Thief) -> None:
    spa(installation, thief)
    section.ended_now()


def _sign_out_within(
    installation: Installation, section: Section, thief: Thief, seconds: float
) -> None:
    section.ended_now()

    def attempt() -> Finding:
        spa(installation, thief)
        took = time.monotonic() - section.ended_at
        return Finding(f"signed out after {took:.1f} s", held=took < seconds)

    section.attack("answer", "the sign-out itself", f"answered within {seconds:g} s", attempt)
    section.ended_now()


def _without_cookie(future: Future[requests.Response]) -> Finding:
    response = future.result(TIMEOUT_SECONDS)
    given = sets_session(response)
    return Finding(f"{response.status_code}{' with a session cookie' * given}", held=not given)


def _status_is(future: Future[requests.Response], status: int) -> Finding:
    response = future.result(TIMEOUT_SECONDS)
    held = response.status_code == status and not sets_session(response)
    return Finding(str(response.status_code), held)


def _status_is_now(thief: Thief, status: int) -> Finding:
    response = thief.browser.fetch("GET", "/auth/profile")
    return Finding(str(response.status_code), response.status_code == status)


def _honest(thief: Thief) -> Finding:
    response = thief.browser.fetch("POST", "/auth/logout")
    code = response.json().get("code") if response.status_code == 503 else None
    return Finding(f"{response.status_code} {code or ''}".strip(), held=code == "not_signed_out")


def _no_pass(installation: Installation, thief: Thief) -> Finding:
    bearer = {"Authorization": f"Bearer {thief.access_tokens()[0]['value']}"}
    status = send("GET", f"{installation.api_url}/items", headers=bearer).status_code
    return Finding(str(status), held=status == 503)


def _count(installation: Installation, what: str) -> int:
    return int(installation.control("GET", "counts").get(what, 0))


def _answers(url: str) -> bool:
    return send("GET", f"{url}/readyz").status_code == 200


def _await(check: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not check():
        if time.monotonic() > end:
            raise ProofFailed(what)
        time.sleep(POLL_SECONDS)
