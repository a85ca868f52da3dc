"""Promise 1: the browser never holds a token, over http and over https, and no log line does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from demo.child import KEPT_LINES
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
class Lived:
    """A whole flow that was lived through, and what was heard of it."""

    installation: Installation
    record: BrowserRecord
    last_cookie: str

    def received(self) -> list[tuple[str, str]]:
        """Everything that came to the browser: as it says, and as it was on the wire."""
        answers = self.installation.front.exchanges()
        bodies = [(e.target, e.answer.body.decode("latin-1")) for e in answers if e.answer]
        wire = self.installation.front.received()
        raw = [(f"connection {n}", data.decode("latin-1")) for n, data in enumerate(wire)]
        return self.record.texts() + bodies + raw

    def logged(self) -> list[tuple[str, str]]:
        """What the BFF wrote."""
        return [(p.name, p.output) for p in self.installation.cluster.replicas]


@pytest.fixture(scope="module", params=["http", "https"])
def lived(
    request: pytest.FixtureRequest,
    browser: Browser,
    https_browser: Browser,
    certificate: Certificate,
) -> Iterator[Lived]:
    secure = request.param == "https"
    with installation(certificate if secure else None) as started:
        context = (https_browser if secure else browser).new_context()
        record = BrowserRecord(context)
        page = context.new_page()
        whole_flow(page, started)
        yield Lived(started, record, session_cookie(page))
        context.close()


def test_promise_1_nothing_that_the_browser_received_has_a_token(lived: Lived) -> None:
    issued = lived.installation.cluster.control("GET", "tokens")
    # Three sign-ins and a refresh.
    for kind in TOKEN_KINDS:
        assert len([t for t in issued if t["kind"] == kind]) >= 4, f"too few of kind {kind}"
    assert leaks(tokens_of(issued), lived.received()) == []


def test_promise_1_the_record_would_have_shown_it(lived: Lived) -> None:
    """What must be in the record is found there: body, header, address, redirect, event."""
    heard = lived.record.texts()
    assert leaks([NAME], [text for text in heard if text[0].endswith("/auth/profile")])
    assert leaks([lived.last_cookie], [t for t in heard if t[0] == "responseReceivedExtraInfo"])
    assert leaks(["server_time"], [t for t in heard if t[0] == "eventSourceMessageReceived"])
    assert leaks(["auth/callback?code="], [t for t in heard if t[0] == "requestWillBeSent"])
    assert leaks(["redirectResponse"], heard)
    assert {e.path for e in lived.installation.front.exchanges() if e.status} >= PATHS


def test_promise_1_no_log_line_has_a_secret(lived: Lived) -> None:
    secrets = never_logged(lived.installation, lived.record)
    assert lived.last_cookie in secrets
    assert len(secrets) > 25, "tokens, codes, states, verifiers, cookies of three sign-ins"
    logged = lived.logged()
    assert all(text.count("\n") < KEPT_LINES - 1 for _, text in logged), "lines were dropped"
    assert leaks(["sign_in_succeeded", "session_ended"], logged)
    assert leaks(secrets, logged) == []
