"""Which secrets did a browser carry, so that no log line may have them?"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import msgspec

from bff.core.model import LoginTransaction
from bff.core.sealing import Sealer
from tests.browser.installation import Installation
from tests.support.browser_record import BrowserRecord
from tests.support.leaks import tokens_of


def never_logged(installation: Installation, record: BrowserRecord) -> set[str]:
    """What no log line may have: tokens, codes, states, verifiers, nonces, cookies, ids."""
    queries = [parse_qs(urlsplit(address).query) for address in record.addresses()]
    found = {query[name][0] for query in queries for name in ("code", "state") if name in query}
    issued = installation.cluster.control("GET", "tokens")
    found |= {token["value"] for token in issued} | {token["sid"] for token in issued}
    found |= tokens_of(issued)
    for name, values in record.set_cookies().items():
        found |= set(values)
        if "login-" in name:
            pending = [opened(installation, name, value) for value in values]
            found |= {one for p in pending for one in (p.code_verifier, p.state, p.nonce)}
    return found


def opened(installation: Installation, name: str, value: str) -> LoginTransaction:
    """The sign-in under way in a cookie, opened with the installation's own key."""
    content = Sealer([installation.cluster.secret]).open_text(value, f"login transaction {name}")
    return msgspec.json.decode(content, type=LoginTransaction)
