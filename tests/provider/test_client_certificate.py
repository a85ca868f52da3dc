"""The client authenticates by its TLS certificate (RFC 8705), to a server that asks for it."""

from __future__ import annotations

import logging
import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from bff.config import load
from bff.config.route import TokenRule
from bff.core.errors import ConfigError, ProviderMisconfigured, ProviderUnavailable
from tests.config.test_settings import GOOD, problems
from tests.support.certificate import Certificate
from tests.support.fake_provider import CLIENT_ID, FakeProvider, Reply, transaction
from tests.support.standalone_provider import StandaloneProvider
from tests.support.tls_front import Front

MakeClient = Callable[..., StandaloneProvider]
METHODS = ("tls_client_auth", "self_signed_tls_client_auth")


class Fixture:
    """The provider behind TLS that asks for a certificate, and the files of the client."""

    def __init__(self, fake: FakeProvider, folder: Path, running: ExitStack) -> None:
        self.fake = fake
        self._running = running
        self._folder = folder
        self.server = self.certificate("server")
        self.client = self.certificate("client")
        self.chain, self.key = folder / "tls.crt", folder / "tls.key"
        self.use(self.client)
        self.settings = {
            "AUTH0_CLIENT_AUTH": "tls_client_auth",
            "AUTH0_CLIENT_CERTIFICATE_FILE": str(self.chain),
            "AUTH0_CLIENT_PRIVATE_KEY_FILE": str(self.key),
            "BFF_CA_FILE": str(self.server.ca_file),
        }
        fake.token(fake.grant(id_token=None))

    def certificate(self, name: str) -> Certificate:
        (self._folder / name).mkdir()
        return Certificate(self._folder / name, authority=f"CA of {name}")

    def use(self, certificate: Certificate) -> None:
        shutil.copy(certificate.chain_file, self.chain)
        shutil.copy(certificate.key_file, self.key)

    def trust(self, *clients: Certificate) -> None:
        """From now on the provider's aliases lead to a server that takes these *clients*."""
        context = self.server.server_context()
        context.verify_mode = ssl.CERT_REQUIRED
        for one in clients:
            context.load_verify_locations(one.ca_file)
        port = int(self.fake.issuer.rstrip("/").rpartition(":")[2])
        front = self._running.enter_context(Front(port, context))
        url = f"https://localhost:{front.port}"
        self.fake.says("/par", lambda: Reply({"request_uri": "urn:x", "expires_in": 60}, 201))
        self.fake.metadata["mtls_endpoint_aliases"] = {
            "token_endpoint": f"{url}/oauth/token",
            "revocation_endpoint": f"{url}/oauth/revoke",
            "pushed_authorization_request_endpoint": f"{url}/par",
        }


@pytest.fixture
def tls(fake: FakeProvider, tmp_path: Path) -> Iterator[Fixture]:
    with ExitStack() as running:
        yield Fixture(fake, tmp_path, running)


def posts(fake: FakeProvider) -> list[str]:
    return [asked.path for asked in fake.asked if asked.method == "POST"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("one_file", [False, True])
def test_each_endpoint_for_the_client_gets_its_certificate_and_no_secret(
    tls: Fixture, client_for: MakeClient, method: str, one_file: bool
) -> None:
    tls.trust(tls.client)
    # What leads there without TLS must not be used.
    plain = f"{tls.fake.issuer}nowhere"
    tls.fake.metadata |= {"pushed_authorization_request_endpoint": plain}
    settings = tls.settings | {"AUTH0_CLIENT_AUTH": method}
    if one_file:
        tls.chain.write_bytes(tls.key.read_bytes() + tls.chain.read_bytes())
        del settings["AUTH0_CLIENT_PRIVATE_KEY_FILE"]
    provider = client_for(**settings)
    provider.refresh("the-token")
    provider.revoke("the-token")
    provider.authorization_url(transaction(), {})
    assert posts(tls.fake) == ["/oauth/token", "/oauth/revoke", "/par"]
    for asked in tls.fake.asked:
        assert asked.headers["Host"].startswith("localhost:") == (asked.method == "POST")
        assert not {"client_secret", "client_assertion"} & set(asked.form)
        assert "Authorization" not in asked.headers
        if asked.method == "POST":
            assert asked.form["client_id"] == CLIENT_ID
            assert asked.names.count("client_id") == 1


def test_without_aliases_the_usual_endpoints_are_called(
    tls: Fixture, client_for: MakeClient
) -> None:
    tls.trust(tls.client)
    aliases = tls.fake.metadata.pop("mtls_endpoint_aliases")
    tls.fake.metadata |= aliases
    provider = client_for(**tls.settings)
    provider.refresh("the-token")
    provider.revoke("the-token")
    assert posts(tls.fake) == ["/oauth/token", "/oauth/revoke"]


@pytest.mark.parametrize("aliases", [None, [], "x", {}, {"token_endpoint": None}])
def test_odd_aliases_are_none(tls: Fixture, client_for: MakeClient, aliases: object) -> None:
    tls.fake.metadata["mtls_endpoint_aliases"] = aliases
    client_for(**tls.settings).refresh("the-token")
    assert posts(tls.fake) == ["/oauth/token"]


@pytest.mark.parametrize("alias", ["http://elsewhere.test/token", "//x", "", 1, ["https://x"]])
def test_an_alias_without_https_is_not_used(
    tls: Fixture, client_for: MakeClient, alias: object
) -> None:
    tls.fake.metadata["mtls_endpoint_aliases"] = {"token_endpoint": alias}
    with pytest.raises(ProviderMisconfigured, match="alias of token_endpoint"):
        client_for(**tls.settings).refresh("the-token")
    assert posts(tls.fake) == []


def test_aliases_are_for_nobody_else(tls: Fixture, client_for: MakeClient) -> None:
    tls.trust(tls.client)
    client_for(BFF_CA_FILE=tls.settings["BFF_CA_FILE"]).refresh("the-token")
    assert posts(tls.fake) == ["/oauth/token"]
    assert {asked.headers["Host"].partition(":")[0] for asked in tls.fake.asked} == {"127.0.0.1"}


def test_a_routes_own_client_keeps_its_secret_and_the_usual_endpoint(
    tls: Fixture, client_for: MakeClient
) -> None:
    rule = TokenRule(mode="client", client_id="orders", client_secret=SecretStr("s" * 32))
    tls.trust(tls.client)
    provider = client_for((rule,), **tls.settings)
    provider.revoke("the-token", client_id="orders")
    [asked] = [one for one in tls.fake.asked if one.method == "POST"]
    assert asked.headers["Host"].startswith("127.0.0.1")
    assert asked.form["client_secret"] == "s" * 32


# ---------------------------------------------------------------- refusals
def test_a_certificate_that_the_server_does_not_know_is_an_outage_and_sends_nothing(
    tls: Fixture, client_for: MakeClient
) -> None:
    tls.trust(tls.certificate("another"))
    with pytest.raises(ProviderUnavailable):
        client_for(**tls.settings).refresh("the-token")
    assert posts(tls.fake) == []


def test_a_server_that_we_do_not_know_gets_nothing(tls: Fixture, client_for: MakeClient) -> None:
    tls.trust(tls.client)
    ca_file = tls.certificate("another").ca_file
    with pytest.raises(ProviderUnavailable):
        client_for(**tls.settings | {"BFF_CA_FILE": str(ca_file)}).refresh("the-token")
    assert posts(tls.fake) == []


def test_a_server_of_another_name_gets_nothing(tls: Fixture, client_for: MakeClient) -> None:
    tls.server = Certificate(tls.server.ca_file.parent, ("another.example",))
    tls.trust(tls.client)
    with pytest.raises(ProviderUnavailable):
        client_for(**tls.settings).refresh("the-token")
    assert posts(tls.fake) == []


# ---------------------------------------------------------------- files
def test_a_replaced_certificate_counts_without_a_restart(
    tls: Fixture, client_for: MakeClient
) -> None:
    new = tls.certificate("new")
    tls.trust(new)
    provider = client_for(**tls.settings)
    with pytest.raises(ProviderUnavailable):
        provider.refresh("the-token")
    tls.use(new)
    provider.refresh("the-token")
    assert posts(tls.fake) == ["/oauth/token"]


def test_an_open_connection_of_the_old_certificate_is_not_used_for_the_new_one(
    tls: Fixture, client_for: MakeClient
) -> None:
    new = tls.certificate("new")
    tls.trust(tls.client, new)
    provider = client_for(**tls.settings)
    provider.refresh("the-token")
    provider.refresh("the-token")
    tls.use(new)
    provider.refresh("the-token")
    first, second, third = [one.connection for one in tls.fake.asked if one.method == "POST"]
    assert first == second != third


def test_a_replacement_that_can_t_be_used_changes_nothing(
    tls: Fixture, client_for: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    tls.trust(tls.client)
    provider = client_for(**tls.settings)
    for content in (b"rubbish", tls.certificate("new").chain_file.read_bytes()):
        caplog.clear()
        tls.chain.write_bytes(content)
        provider.refresh("the-token")
        provider.refresh("the-token")
        errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
        assert len(errors) == 1
        assert errors[0].startswith("AUTH0_CLIENT_CERTIFICATE_FILE: can't be used")
        assert errors[0].endswith("its earlier content stays in use")


def _encrypted(tls: Fixture) -> None:
    key = load_pem_private_key(tls.key.read_bytes(), None)
    encryption = BestAvailableEncryption(b"password")
    tls.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


BROKEN: dict[str, Callable[[Fixture], object]] = {
    "a key of another certificate": lambda tls: shutil.copy(tls.server.key_file, tls.key),
    "no key": lambda tls: tls.key.write_bytes(b""),
    "no key file": lambda tls: tls.key.unlink(),
    "a key with a password": _encrypted,
    "no certificate": lambda tls: tls.chain.write_bytes(tls.key.read_bytes()),
    "an empty certificate": lambda tls: tls.chain.write_bytes(b""),
    "half a certificate": lambda tls: tls.chain.write_bytes(tls.chain.read_bytes()[:300]),
    "no PEM": lambda tls: tls.chain.write_bytes(b"\x00\xff" * 1000),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_files_that_do_not_fit_are_told_at_the_start(
    tls: Fixture, client_for: MakeClient, broken: str
) -> None:
    BROKEN[broken](tls)
    with pytest.raises(ConfigError) as raised:
        client_for(**tls.settings)
    [problem] = raised.value.problems
    assert problem.startswith("AUTH0_CLIENT_CERTIFICATE_FILE: can't be ")
    assert "PRIVATE KEY" not in problem


@pytest.mark.parametrize("method", METHODS)
def test_a_certificate_is_needed_and_no_secret(tmp_path: Path, method: str) -> None:
    name = "AUTH0_CLIENT_CERTIFICATE_FILE"
    for missing in ({}, {name: str(tmp_path / "nowhere")}, {name: str(tmp_path)}):
        [problem] = problems(AUTH0_CLIENT_AUTH=method, AUTH0_CLIENT_SECRET=None, **missing)
        assert problem.startswith(f"{name}: must name a readable file")
    (tmp_path / "crt").write_text("x")
    given = GOOD | {"AUTH0_CLIENT_AUTH": method, name: str(tmp_path / "crt")}
    del given["AUTH0_CLIENT_SECRET"]
    assert load(given).client_secret is None
