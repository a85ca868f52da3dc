"""What could make a logout fail? Requests in flight, or parts that are down.

Each function ends a copied session under such a condition, and then tries everything.
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
"""Lifetime of an access token that is to expire soon."""
NORMAL_SECONDS = 300
STREAM_WITHIN_SECONDS = 2.0
TAKEN_OVER_WITHIN_SECONDS = 30.0
"""The killed process's claim on the outbox entry, and one drain of another process."""
WAIT_SECONDS = 20.0
POLL_SECONDS = 0.02
FOREVER = 100_000


def request_in_flight(installation: Installation, section: Section, thief: Thief) -> None:
    """A slow request is in flight at another replica."""
    with _in_background(lambda: _get(installation, thief, "/api/slow?seconds=2")) as slow:
        # It has reached the API by then; no event shows when.
        time.sleep(0.5)
        _sign_out(installation, section, thief)
        thief.try_cookie(section)
        section.attack(
            "request", "the request in flight: may finish, can't restore the session",
            "a response without a session cookie", lambda: _without_cookie(slow),
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
            raise ProofFailed(f"the stream responded {stream.status_code}")
        _sign_out(installation, section, thief)
        section.attack(
            "stream", "the event stream that was open at another replica",
            f"ends within {STREAM_WITHIN_SECONDS:g} s", lambda: _ends_in_time(section, chunks),
        )  # fmt: skip
    thief.try_everything(section)


def _ends_in_time(section: Section, chunks: Iterator[bytes]) -> Finding:
    count = 0
    try:
        for _ in chunks:
            count += 1
            if time.monotonic() - section.ended_at > STREAM_WITHIN_SECONDS:
                return Finding(f"still open, {count} events later", held=False)
    except requests.RequestException:
        pass  # A broken connection is an end, too.
    return Finding(f"ended after {count} more events", held=True)


def signed_in_with_a_short_token(installation: Installation) -> Thief:
    """The access token expires soon, so that the next request refreshes."""
    installation.control("POST", "lifetimes", access_token_seconds=SHORT_SECONDS)
    try:
        return signed_in(installation)
    finally:
        installation.control("POST", "lifetimes", access_token_seconds=NORMAL_SECONDS)


def refresh_in_flight(installation: Installation, section: Section, thief: Thief) -> None:
    """The provider has issued new tokens, and its response arrives after the logout."""
    time.sleep(SHORT_SECONDS)
    had = len(thief.tokens("refresh_token"))
    installation.control("POST", "faults", endpoint="token", do="hang", grant_type="refresh_token")
    try:
        with _in_background(lambda: _get(installation, thief, "/api/items")) as late:
            _await(lambda: len(thief.tokens("refresh_token")) > had, "the refresh didn't begin")
            _sign_out(installation, section, thief)
            thief.try_cookie(section)
            installation.control("DELETE", "faults")
            section.ended_now()
            section.attack(
                "request", "the request whose refresh finished after the logout", "401",
                lambda: _status_of(late, 401),
            )  # fmt: skip
        again = section.later("afterwards")
        thief.try_cookie(again)
        thief.try_access_token(again, within_seconds=10)
        thief.try_refresh_token(again)
    finally:
        installation.control("DELETE", "faults")


def provider_down(installation: Installation, section: Section, thief: Thief) -> None:
    """The provider accepts connections and doesn't respond during the whole logout."""
    installation.provider.pause()
    try:
        _sign_out_within(installation, section, thief, PROVIDER_TIMEOUT_SECONDS + 1)
        thief.try_cookie(section)
    finally:
        installation.provider.resume()
    section.ended_now()
    later = section.later("after its recovery")
    thief.try_refresh_token(later)
    thief.try_access_token(later)


def provider_failing(installation: Installation, section: Section, thief: Thief) -> None:
    """The provider responds to every revocation with 503, and later recovers."""
    installation.control(
        "POST", "faults", endpoint="revoke", do="status", status=503, times=FOREVER
    )
    try:
        _sign_out_within(installation, section, thief, PROVIDER_TIMEOUT_SECONDS + 1)
        thief.try_cookie(section)
        thief.try_access_token(section)
        section.attack(
            "waiting", "meanwhile: the command for the person on call",
            "`python -m bff revocations` lists it", lambda: _listed(installation),
        )  # fmt: skip
    finally:
        installation.control("DELETE", "faults")
    section.ended_now()
    thief.try_refresh_token(section.later("after its recovery"))


def _listed(installation: Installation) -> Finding:
    output = installation.command("revocations", "--json")
    waiting = json.loads(output)["waiting"] if output.startswith("{") else []
    listed = any(entry["reason"] == "logout" for entry in waiting)
    return Finding("listed" if listed else "not listed", held=listed)


def redis_away(installation: Installation, section: Section, thief: Thief) -> None:
    """Redis is killed: the logout fails and says so. After its restart the logout is repeated."""
    if not installation.redis.source.real:
        section.not_run("the emulated Redis loses its data at a restart")
        return
    installation.redis.child.kill()
    section.ended_now()
    section.attack(
        "honest", "a sign-out while Redis is down", "503, not_signed_out",
        lambda: _logout_without_redis(thief),
    )  # fmt: skip
    section.attack(
        "no-pass", "the copied access token while Redis is down", "503",
        lambda: _api_without_redis(installation, thief),
    )  # fmt: skip
    installation.redis.start_again()
    section.attack(
        "not-signed-out", "the session after the outage", "200: it wasn't signed out",
        lambda: _profile_status(thief, 200), within_seconds=10,
    )  # fmt: skip
    _sign_out(installation, section, thief)
    thief.try_everything(section)


def redis_restarted(installation: Installation, section: Section, thief: Thief) -> None:
    """Redis is killed right after the logout's response, and restarts with its data."""
    if not installation.redis.source.real:
        section.not_run("the emulated Redis loses its data at a restart")
        return
    _sign_out(installation, section, thief)
    installation.redis.child.kill()
    installation.redis.start_again()
    # The replicas' connections are broken; a 503 wouldn't prove anything here.
    _await(
        lambda: all(_is_ready(url) for url in installation.urls), "the replicas aren't ready again"
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
        # Otherwise the request of the killed process could continue when the fault is removed.
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
def _in_background(
    send_request: Callable[[], requests.Response],
) -> Iterator[Future[requests.Response]]:
    """Send a request in a thread; the block waits for it at its end."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(send_request)


def _get(installation: Installation, thief: Thief, path: str) -> requests.Response:
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

    section.attack("answer", "the sign-out itself", f"a response within {seconds:g} s", attempt)
    section.ended_now()


def _without_cookie(future: Future[requests.Response]) -> Finding:
    response = future.result(TIMEOUT_SECONDS)
    given = sets_session(response)
    return Finding(f"{response.status_code}{' with a session cookie' * given}", held=not given)


def _status_of(future: Future[requests.Response], status: int) -> Finding:
    response = future.result(TIMEOUT_SECONDS)
    held = response.status_code == status and not sets_session(response)
    return Finding(str(response.status_code), held)


def _profile_status(thief: Thief, status: int) -> Finding:
    response = thief.browser.fetch("GET", "/auth/profile")
    return Finding(str(response.status_code), response.status_code == status)


def _logout_without_redis(thief: Thief) -> Finding:
    response = thief.browser.fetch("POST", "/auth/logout")
    code = response.json().get("code") if response.status_code == 503 else None
    return Finding(f"{response.status_code} {code or ''}".strip(), held=code == "not_signed_out")


def _api_without_redis(installation: Installation, thief: Thief) -> Finding:
    bearer = {"Authorization": f"Bearer {thief.access_tokens()[0]['value']}"}
    status = send("GET", f"{installation.api_url}/items", headers=bearer).status_code
    return Finding(str(status), held=status == 503)


def _count(installation: Installation, what: str) -> int:
    return int(installation.control("GET", "counts").get(what, 0))


def _is_ready(url: str) -> bool:
    return send("GET", f"{url}/readyz").status_code == 200


def _await(check: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not check():
        if time.monotonic() > end:
            raise ProofFailed(what)
        time.sleep(POLL_SECONDS)
