"""Does a broken build turn the proof red, in the right rows?"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.prove.proof import ALL, prove, rows

SECOND = ("second-by-link", "second-at-once", "restored-tabs")
"""Ends of a browser that has signed in twice."""
DIRECT = ("spa", "link", "form", *SECOND, "other-device", "backchannel-sid", "admin-one",
          "log-logout", "timed-out", "stream", "refresh-refused", "replaced", "redis-away",
          "redis-restarted", "killed", "provider-503")  # fmt: skip
"""Ends without a watermark: only the deny-list has their access tokens."""
GROUPS = ("backchannel-sid", "backchannel-sub", "admin-user", "global", "log-logout",
          "log-password", "everyone")  # fmt: skip
"""Ends of many sessions, whose refresh tokens are revoked by a drain."""

RED = {
    "outbox": {f"{id}/refresh-token" for id in (*GROUPS, "killed", "provider-503-later")}
    | {"provider-503/waiting"},
    "drain": {f"{id}/refresh-token" for id in (*GROUPS, "killed", "provider-503-later")},
    "existence check": {
        "refresh/request", "refresh-later/cookie-profile", "refresh-later/cookie-api",
        "refresh-later/access-token", "refresh-later/refresh-token",
    },
    "watermark": {"old-sign-in/half-done", "old-sign-in/silent", "old-sign-in/other-token"},
    "one session of a browser": {
        f"{id}/{tried}"
        for id in SECOND
        for tried in ("cookie-profile", "cookie-api", "access-token", "refresh-token")
    },
    "deny-list": {f"{id}/access-token" for id in DIRECT}
    | {"in-flight-later/access-token", "refresh-later/access-token",
       "provider-down-later/access-token"},
}  # fmt: skip
"""The rows that each broken build must turn red; no others."""

SOME = {
    "outbox": "spa,provider-503",
    "drain": "spa,provider-503",
    "existence check": "spa,refresh",
    "watermark": "spa,backchannel-sub,admin-user,old-sign-in",
    "one session of a browser": "spa,second-by-link,restored-tabs",
    "deny-list": "spa,admin-one,admin-user,replaced",
}
"""The scenarios of a reduced run: those that must turn red, and some that must not."""


@pytest.fixture(scope="module")
def proofs() -> Iterator[dict[str, Future[tuple[int, dict[str, Any]]]]]:
    """The proof of each broken build; two run at a time, since they mostly wait."""
    pool = ThreadPoolExecutor(2)

    def proof_of(build: str) -> tuple[int, dict[str, Any]]:
        chosen = [] if ALL else ["--only", SOME[build]]
        return prove(build, *chosen, module="tests.prove.broken_proof")

    yield {build: pool.submit(proof_of, build) for build in RED}
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("build", RED)
def test_a_broken_build_turns_its_rows_red_and_no_others(
    proofs: dict[str, Future[tuple[int, dict[str, Any]]]], build: str
) -> None:
    status, result = proofs[build].result()
    tried = {row["id"] for row in result["rows"]}
    assert set(rows(result, "broken")) == RED[build] & tried, rows(result, "broken")
    assert RED[build] & tried
    assert status == 1
    assert result["held"] is False
