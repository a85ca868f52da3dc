"""Which certificate do https tests use, and why does the browser trust it?

It is made for each run, with its own CA. The browser gets the hash of its public key
(`--ignore-certificate-errors-spki-list`) and treats the certificate as valid, so that HSTS and the
cache work, which a certificate error would disable.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=1)


class Certificate:
    """A leaf certificate for some hosts, signed by a new CA.

    Args:
        directory: For the PEM files.
        hosts: DNS names, also wildcards; 127.0.0.1 is always included.
        authority: The name of the CA; a server that trusts two needs two names.
    """

    def __init__(
        self,
        directory: Path,
        hosts: tuple[str, ...] = ("localhost",),
        authority: str = "Test CA",
    ) -> None:
        ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca = _signed(_builder(authority, authority, ca_key.public_key(), is_ca=True), ca_key)
        names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts]
        names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        leaf = _signed(
            _builder(authority, hosts[0], key.public_key(), is_ca=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                # Redis servers use it as client and as server.
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            ),
            ca_key,
        )
        self._key = key
        self.chain_file, self.key_file = directory / "chain.pem", directory / "key.pem"
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(ca.public_bytes(Encoding.PEM))
        self.chain_file.write_bytes(leaf.public_bytes(Encoding.PEM) + ca.public_bytes(Encoding.PEM))
        self.key_file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )

    @property
    def spki_hash(self) -> str:
        """The hash of the public key, for Chromium's `--ignore-certificate-errors-spki-list`."""
        der = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(der).digest()).decode()

    def server_context(self) -> ssl.SSLContext:
        """The context of a server with this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_file, self.key_file)
        context.set_alpn_protocols(["http/1.1"])
        return context


def _builder(
    issuer: str, subject: str, key: ec.EllipticCurvePublicKey, *, is_ca: bool
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )


def _signed(
    builder: x509.CertificateBuilder, ca_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    return builder.sign(ca_key, hashes.SHA256())
