"""Which secrets passed through a browser? None of them may be in a log line."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import msgspec

from bff.core.model import LoginTransaction
from bff.core.sealing import Sealer
from tests.browser.installation import Installation
from tests.support.browser_record import BrowserRecord
from tests.support.leaks import tokens_of


def never_logged(installation: Installation, record: BrowserRecord) -> set[str]:
    """Tokens, codes, states, verifiers, nonces, cookies and ids: no log line may have one."""
    queries = [parse_qs(urlsplit(address).query) for address in record.addresses()]
    found = {query[name][0] for query in queries for name in ("code", "state") if name in query}
    issued = installation.cluster.control("GET", "tokens")
    found |= {token["value"] for token in issued} | {token["sid"] for token in issued}
    found |= tokens_of(issued)
    for name, values in record.set_cookies().items():
        found |= set(values)
        if "login-" in name:
            transactions = [opened(installation, name, value) for value in values]
            found |= {one for t in transactions for one in (t.code_verifier, t.state, t.nonce)}
    return found


def opened(installation: Installation, name: str, value: str) -> LoginTransaction:
    """The login transaction in a cookie, opened with the installation's own key."""
    content = Sealer([installation.cluster.secret]).open_text(value, f"login transaction {name}")
    return msgspec.json.decode(content, type=LoginTransaction)
