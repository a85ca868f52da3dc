"""What must a refusal look like, and what may the logs say after it?"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping

import requests

from bff.core.errors import BFFError
from tests.support.cluster import CLIENT_SECRET, Cluster
from tests.support.leaks import leaks, tokens_of

PROBLEM = "application/problem+json"
PAGE = "text/html; charset=utf-8"
INTERNALS = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|/usr/|/tmp/|Exception|\b\w+Error\b|127\.0\.0\.1"
    r"|redis|authlib|joserfc|werkzeug|flask|granian|gunicorn|pydantic|msgspec|curl|urllib|openssl",
    re.IGNORECASE,
)
"""Files, classes, libraries and addresses, which no response may show."""
UNEXPECTED = re.compile(r"Traceback|unexpected_error|internal_error|unexpected error")
MEMBERS = {"type", "title", "status", "code", "detail", "reference"}

OWN_SCRIPT = '<script type="module" src="/auth/cookies.js">'
"""Of the page for `cookies_unreadable`."""


def assert_refused(
    response: requests.Response, status: int, code: str, *, login_url: bool | None = None
) -> None:
    """A clear error: status, stable code, no internals, and no session."""
    assert_error(response.status_code, response.headers, response.text, status, code)
    names = [cookie.name for cookie in response.cookies]
    assert not [name for name in names if name.endswith("session")], names
    if login_url is not None:
        assert ("login_url" in response.json()) == login_url


def assert_error(
    got_status: int, headers: Mapping[str, str], text: str, status: int, code: str
) -> None:
    """The same for a response over a plain socket; header names in any case."""
    fields = {name.lower(): value for name, value in headers.items()}
    assert got_status == status, f"{got_status}: {text[:500]}"
    kind = fields["content-type"]
    if kind == PROBLEM:
        problem = json.loads(text)
        assert set(problem) - {"login_url"} == MEMBERS
        assert (problem["status"], problem["code"]) == (status, code)
        assert (problem["title"], problem["detail"]) in public_texts(code)
    else:
        assert kind == PAGE
        assert f"<code>{code}</code>" in text, text
        assert "<script" not in text.replace(OWN_SCRIPT, "")
    if status == 503:
        assert int(fields["retry-after"]) > 0
    assert fields["cache-control"] == "no-store"
    assert not [name for name in fields if name.startswith("access-control-")]
    found = INTERNALS.search(text)
    assert found is None, f"{found} in {text}"


def public_texts(code: str) -> set[tuple[str, str]]:
    """Message and hint of the errors with this code: the texts that a response may have."""
    kinds: list[type[BFFError]] = [BFFError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {(kind.message, kind.hint) for kind in kinds if kind.code == code}


WRITTEN_BY_TIME = b"{born_at}:marks"
"""Each process writes it again and again, whatever is asked of it."""


def written_keys(cluster: Cluster, *, without: Collection[bytes] = ()) -> dict[bytes, bytes | None]:
    """Every key of the cluster with its value, to compare with a later state.

    Args:
        without: Keys with one of these texts in their name are left out.
    """
    store, left_out = cluster.store(), (*without, WRITTEN_BY_TIME)
    names = list(store.scan_iter(f"{cluster.prefix}:*", count=1000))
    return {name: store.dump(name) for name in names if not any(one in name for one in left_out)}


def assert_quiet_logs(cluster: Cluster, secrets: Iterable[str | None] = ()) -> None:
    """Check that the BFF processes log no secret and no unexpected line.

    Args:
        cluster: The installation; its settings and its provider's tokens are secret.
        secrets: More secrets: cookies, states, verifiers.
    """
    hidden = tokens_of(cluster.control("GET", "tokens"))
    hidden |= {token["value"] for token in cluster.control("GET", "tokens")}
    hidden |= {CLIENT_SECRET, cluster.secret} | {secret for secret in secrets if secret}
    texts = [(replica.name, replica.output) for replica in cluster.replicas]
    assert leaks(hidden, texts) == []
    for name, text in texts:
        found = list(_unexpected(text))
        assert not found, f"{name}: {found}"


def _unexpected(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if UNEXPECTED.search(line))
