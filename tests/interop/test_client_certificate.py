"""Client authentication by a TLS certificate (RFC 8705), at the certified provider."""

from __future__ import annotations

import base64
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from tests.interop.cluster import SIGN_IN, InteropCluster
from tests.support.ageing import age_access_token
from tests.support.certificate import Certificate
from tests.support.waiting import wait_for

METHODS = ("tls_client_auth", "self_signed_tls_client_auth")
CLIENT_ID = "certified-client"


class CertifiedCluster(InteropCluster):
    """A cluster whose BFF has a certificate, and whose provider asks for it.

    Args:
        method: `AUTH0_CLIENT_AUTH`.
        folder: For certificates.
    """

    def __init__(self, method: str, folder: Path) -> None:
        super().__init__()
        self._method = method
        self._server, self.own, self.other = (self._made(folder / name) for name in "sco")
        self.chain, self.key = folder / "tls.crt", folder / "tls.key"
        self.use(self.own)

    def _made(self, folder: Path) -> Certificate:
        folder.mkdir()
        return Certificate(folder, authority=f"CA of {folder.name}")

    def use(self, certificate: Certificate) -> None:
        """Replace the files that the BFF reads."""
        shutil.copy(certificate.chain_file, self.chain)
        shutil.copy(certificate.key_file, self.key)

    def _settings(self) -> dict[str, Any]:
        server = self._server
        files = {"certificate": server.chain_file, "key": server.key_file}
        mtls = files | {"client_ca": self.own.ca_file}
        return super()._settings() | {"mtls": {name: str(one) for name, one in mtls.items()}}

    def _clients(self) -> list[dict[str, Any]]:
        usual = super()._clients()
        client = {"client_id": CLIENT_ID, "token_endpoint_auth_method": self._method}
        if self._method == "tls_client_auth":
            client |= {"tls_client_auth_san_dns": "localhost"}
        else:
            client |= {"jwks": {"keys": [_jwk(self.own)]}}  # type: ignore[dict-item]
        secret = ("client_id", "client_secret", "token_endpoint_auth_method")
        rest = {name: one for name, one in usual[0].items() if name not in secret}
        return [*usual, rest | client]

    def environment(self) -> dict[str, str]:
        """The environment of every replica."""
        return super().environment() | {
            "AUTH0_CLIENT_ID": CLIENT_ID,
            "AUTH0_CLIENT_AUTH": self._method,
            "AUTH0_CLIENT_SECRET": "",
            "AUTH0_CLIENT_CERTIFICATE_FILE": str(self.chain),
            "AUTH0_CLIENT_PRIVATE_KEY_FILE": str(self.key),
            "BFF_CA_FILE": str(self._server.ca_file),
        }


def _jwk(certificate: Certificate) -> dict[str, Any]:
    leaf, end, _ = certificate.chain_file.read_text().partition("-----END CERTIFICATE-----")
    der = ssl.PEM_cert_to_DER_cert(f"{leaf}{end}\n")
    key = ECKey.import_key(certificate.key_file.read_bytes())
    return key.as_dict(private=False) | {"x5c": [base64.b64encode(der).decode()], "use": "sig"}


@pytest.fixture(params=METHODS)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CertifiedCluster]:
    with CertifiedCluster(request.param, tmp_path) as started:
        assert isinstance(started, CertifiedCluster)
        yield started


def test_sign_in_refresh_and_logout_by_certificate_alone(cluster: CertifiedCluster) -> None:
    browser = cluster.browser()
    browser.log_in(SIGN_IN)
    age_access_token(cluster, browser.cookie, 0)
    assert browser.api("/items").status_code == 200
    assert browser.log_out().status_code == 200
    wait_for(lambda: cluster.counts().get("revocation.200", 0) > 0, "its token is revoked")
    counts = cluster.counts()
    assert counts["pushed_authorization_request.201"] == 1
    assert counts["token.authorization_code.200"] == 1
    assert counts["token.refresh_token.200"] == 1
    assert not [name for name in counts if name.endswith((".400", ".401"))]


def test_another_certificate_is_refused_and_nobody_is_signed_out(
    cluster: CertifiedCluster,
) -> None:
    browser = cluster.browser()
    browser.log_in(SIGN_IN)
    cluster.use(cluster.other)
    age_access_token(cluster, browser.cookie, 0)
    assert browser.api("/items").status_code == 502
    assert cluster.counts()["token.refresh_token.401"] >= 1
    cluster.use(cluster.own)
    wait_for(lambda: browser.api("/items").status_code == 200, "the right one is back")
