"""Promise 10: a cookie that is not exactly one of ours gives no access."""

from __future__ import annotations

import hashlib
import re
from functools import partial

import pytest

from tests.promises.refused.sending import refused, send
from tests.support.browser_client import BrowserClient
from tests.support.cluster import EMAIL, PASSWORD, Cluster
from tests.support.processes import free_port
from tests.support.waiting import within

pytestmark = pytest.mark.usefixtures("unharmed")

ANSWER_SECONDS = 2.0

FORGED = {
    "empty": "session=",
    "no value": "session",
    "a word": "session=admin",
    "too short": "session=" + "A" * 42,
    "too long": "session=" + "A" * 44,
    "of the right shape": "session=" + "A" * 43,
    "oversized": "session=" + "A" * 100_000,
    "100 KB of other cookies": "; ".join(f"c{i}={'x' * 90}" for i in range(1_100)),
    "thousands of empty cookies": "; ".join(["a="] * 20_000),
    "a tab": "session=" + "A" * 20 + "\t" + "A" * 22,
    "bytes above 127": "session=" + "\xff" * 43,
    "UTF-8": "session=" + "\xc3\xa9" * 21 + "A",
    "escapes": "session=" + "%41" * 43,
    "octal escapes": 'session="' + "\\054" * 43 + '"',
    "a line end in quotation marks": 'session="' + "A" * 40 + '\\015\\012"',
    "an injection": "session=' OR 1=1 --",
    "a pattern": "session=*",
    "a path": "session=../../etc/passwd",
    "a pickle": "session=gASVBAAAAAAAAABLAS4=",
    "a JWT": "session=eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
    "the other name": "__Host-Http-session=" + "A" * 43,
}


@pytest.mark.parametrize("value", FORGED.values(), ids=FORGED.keys())
def test_promise_10_a_forged_cookie(cluster: Cluster, value: str) -> None:
    for target in ("/auth/profile", "/auth/sessions", "/api/x"):
        ask = partial(send, cluster, target, f"Cookie: {value}")
        received = within(ANSWER_SECONDS, ask)
        of_our_shape = re.fullmatch(r"session=[A-Za-z0-9_-]{43}", value)
        code = "session_ended" if of_our_shape else "session_missing"
        # Granian hides such a header, so it can't be told whether there is a session.
        refused(received, 401, code if value.isascii() else "cookies_unreadable")
        assert "set-cookie" not in received.fields


def test_promise_10_a_control_character_in_a_cookie_is_no_request(cluster: Cluster) -> None:
    """The server refuses it before the application."""
    received = send(cluster, "/auth/profile", "Cookie: session=A\x01B")
    assert (received.status, received.body) == (400, b"")


def test_promise_10_changed_copies_of_a_valid_cookie(
    cluster: Cluster, bystander: BrowserClient
) -> None:
    cookie = bystander.cookie or ""
    other = "A" if cookie[20] != "A" else "B"
    copies = {
        cookie[:-1]: "session_missing",
        cookie[1:]: "session_missing",
        cookie + "A": "session_missing",
        cookie + "=": "session_missing",
        cookie[:20] + other + cookie[21:]: "session_ended",
        cookie.swapcase(): "session_ended",
        cookie[::-1]: "session_ended",
        hashlib.sha256(cookie.encode()).hexdigest(): "session_missing",
        hashlib.sha256(cookie.encode()).hexdigest()[:43]: "session_ended",
    }
    for value, code in copies.items():
        refused(send(cluster, "/api/x", f"Cookie: session={value}"), 401, code)


def test_promise_10_another_installation_s_cookie(cluster: Cluster) -> None:
    """The same Redis and secret with another prefix: its sessions don't count here."""
    port = free_port()
    with cluster.start_replica(port, BFF_REDIS_PREFIX=f"{cluster.prefix}-other"):
        neighbour = BrowserClient([f"http://localhost:{port}"], EMAIL, PASSWORD)
        neighbour.log_in()
        assert neighbour.profile().status_code == 200
        for target in ("/auth/profile", "/api/x"):
            received = send(cluster, target, f"Cookie: session={neighbour.cookie}")
            refused(received, 401, "session_ended")
        assert neighbour.log_out().status_code == 200
        neighbour.close()


def test_promise_10_of_two_session_cookies_the_first_counts(
    cluster: Cluster, bystander: BrowserClient
) -> None:
    """The second is ignored, even if the first is invalid."""
    good, bad = f"session={bystander.cookie}", "session=" + "A" * 43
    refused(send(cluster, "/auth/profile", f"Cookie: {bad}; {good}"), 401, "session_ended")
    refused(send(cluster, "/auth/profile", f"Cookie: {bad}", f"Cookie: {good}"), 401,
            "session_ended")  # fmt: skip
    assert send(cluster, "/auth/profile", f"Cookie: {good}; {bad}").status == 200
