"""Promise 1: no token ever reaches the browser, over http or https, and none is in a log line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from demo.child import OUTPUT_MAX_LINES
from tests.browser.installation import Installation, installation
from tests.browser.secrets_seen import never_logged
from tests.browser.whole_flow import NAME, session_cookie, whole_flow
from tests.support.browser_record import BrowserRecord
from tests.support.certificate import Certificate
from tests.support.leaks import TOKEN_KINDS, leaks, tokens_of

PATHS = {
    "/", "/app.js", "/auth/client.js", "/auth/login", "/auth/callback", "/auth/profile",
    "/auth/sessions", "/auth/logout", "/auth/logged-out", "/api/items", "/api/whoami",
    "/api/events", "/api/nothing",
}  # fmt: skip


@dataclass
class FinishedFlow:
    """A whole flow that has run, and what was recorded of it."""

    installation: Installation
    record: BrowserRecord
    last_cookie: str

    def received(self) -> list[tuple[str, str]]:
        """Everything that reached the browser: as it reports it, and as it was on the wire."""
        responses = self.installation.front.exchanges()
        bodies = [(e.target, e.response.body.decode("latin-1")) for e in responses if e.response]
        wire = self.installation.front.received()
        raw = [(f"connection {n}", data.decode("latin-1")) for n, data in enumerate(wire)]
        return self.record.texts() + bodies + raw

    def logged(self) -> list[tuple[str, str]]:
        """The output of the BFF."""
        return [(p.name, p.output) for p in self.installation.cluster.replicas]


@pytest.fixture(scope="module", params=["http", "https"])
def flow(
    request: pytest.FixtureRequest,
    browser: Browser,
    https_browser: Browser,
    certificate: Certificate,
) -> Iterator[FinishedFlow]:
    secure = request.param == "https"
    with installation(certificate if secure else None) as started:
        context = (https_browser if secure else browser).new_context()
        record = BrowserRecord(context)
        page = context.new_page()
        whole_flow(page, started)
        yield FinishedFlow(started, record, session_cookie(page))
        context.close()


def test_promise_1_nothing_that_the_browser_received_has_a_token(flow: FinishedFlow) -> None:
    issued = flow.installation.cluster.control("GET", "tokens")
    # Three sign-ins and a refresh.
    for kind in TOKEN_KINDS:
        assert len([t for t in issued if t["kind"] == kind]) >= 4, f"too few of kind {kind}"
    assert leaks(tokens_of(issued), flow.received()) == []


def test_promise_1_the_record_would_have_shown_it(flow: FinishedFlow) -> None:
    """The record has what must be in it: body, header, address, redirect, event."""
    recorded = flow.record.texts()
    assert leaks([NAME], [text for text in recorded if text[0].endswith("/auth/profile")])
    assert leaks([flow.last_cookie], [t for t in recorded if t[0] == "responseReceivedExtraInfo"])
    assert leaks(["server_time"], [t for t in recorded if t[0] == "eventSourceMessageReceived"])
    assert leaks(["auth/callback?code="], [t for t in recorded if t[0] == "requestWillBeSent"])
    assert leaks(["redirectResponse"], recorded)
    assert {e.path for e in flow.installation.front.exchanges() if e.status} >= PATHS


def test_promise_1_no_log_line_has_a_secret(flow: FinishedFlow) -> None:
    secrets = never_logged(flow.installation, flow.record)
    assert flow.last_cookie in secrets
    assert len(secrets) > 25, "tokens, codes, states, verifiers, cookies of three sign-ins"
    logged = flow.logged()
    assert all(text.count("\n") < OUTPUT_MAX_LINES - 1 for _, text in logged), "lines were dropped"
    assert leaks(["sign_in_succeeded", "session_ended"], logged)
    assert leaks(secrets, logged) == []
