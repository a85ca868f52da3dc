"""An https upstream: which CAs are trusted for it, and what it gets if none is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bff.config.route import Route
from bff.core.errors import UpstreamUnreachable
from bff.gateway.upstream import Upstream
from tests.gateway.upstream_requests import read, send
from tests.support.certificate import Certificate
from tests.support.raw_upstream import RawUpstream
from tests.support.tls_front import Front


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For 127.0.0.1 and one name, of a CA that no system trusts."""
    return Certificate(tmp_path_factory.mktemp("tls"), ("api.test",))


@pytest.fixture
def raw() -> Iterator[RawUpstream]:
    with RawUpstream() as started:
        yield started


@pytest.fixture
def front(raw: RawUpstream, certificate: Certificate) -> Iterator[Front]:
    with Front(raw.port, certificate.server_context()) as started:
        yield started


def upstream_at(front: Front, host: str = "127.0.0.1", **ca: str) -> Upstream:
    return Upstream(Route(prefix="/api", upstream_urls=(f"https://{host}:{front.port}",), **ca))  # type: ignore[arg-type]


def test_an_upstream_whose_ca_is_trusted_gets_requests(
    front: Front, certificate: Certificate, raw: RawUpstream
) -> None:
    upstream = upstream_at(front, ca_file=str(certificate.ca_file))
    for _ in range(2):
        assert read(send(upstream, "POST", b"body")) == b"ok"
    assert [(seen.method, seen.body) for seen in raw.seen] == [("POST", b"body")] * 2
    assert {seen.connection for seen in raw.seen} == {0}, "the connection is reused"


@pytest.mark.parametrize("which", ["the public ones", "another"])
def test_an_upstream_of_an_unknown_ca_gets_nothing(
    which: str, front: Front, raw: RawUpstream, tmp_path: Path, certificate: Certificate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The process's environment doesn't add trusted CAs."""
    for variable in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(variable, str(certificate.ca_file))
    ca = {"ca_file": str(Certificate(tmp_path).ca_file)} if which == "another" else {}
    with pytest.raises(UpstreamUnreachable):
        send(upstream_at(front, **ca))
    assert raw.seen == []


def test_an_upstream_with_another_name_gets_nothing(
    front: Front, certificate: Certificate, raw: RawUpstream
) -> None:
    """`localhost` is the same machine, but isn't in the certificate."""
    with pytest.raises(UpstreamUnreachable):
        send(upstream_at(front, "localhost", ca_file=str(certificate.ca_file)))
    assert raw.seen == []
