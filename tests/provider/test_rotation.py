"""Secrets and keys are replaced during operation: no user is signed out."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, RSAKey
from pydantic import SecretStr

from bff.config.route import TokenRule
from bff.core.errors import (
    ConfigError,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
)
from tests.support.fake_provider import FakeProvider, Reply, Request, transaction
from tests.support.standalone_provider import StandaloneProvider

OLD, NEW, NEWER = "old-secret", "new,secret with a comma", "newer-secret"
OLD_KEY = RSAKey.generate_key(2048)
NEW_KEY = ECKey.generate_key("P-256", {"kid": "the-new-one"})


class Registered:
    """The client as the provider has it registered: with which secrets or keys."""

    def __init__(self, fake: FakeProvider) -> None:
        self.taken: set[str] = set()
        self.keys: list[Key] = []
        self.refusal = Reply({"error": "invalid_client"}, 401)
        self.tried: list[str] = []
        for path, answer in {
            "/oauth/token": lambda: Reply(fake.grant(id_token=None)),
            "/oauth/revoke": lambda: Reply(b""),
            "/oauth/par": lambda: Reply({"request_uri": "urn:one", "expires_in": 30}, 201),
        }.items():
            fake.responders[path] = lambda _, asked, answer=answer: self._answer(asked, answer)  # type: ignore[misc]

    def _answer(self, asked: Request, answer: Callable[[], Reply]) -> Reply:
        shown = asked.form.get("client_secret") or self._key_of(asked.form["client_assertion"])
        self.tried.append(shown)
        known = self.taken | {str(key.get("kid")) for key in self.keys}
        return answer() if shown in known else self.refusal

    def _key_of(self, assertion: str) -> str:
        for key in self.keys:
            try:
                jwt.decode(assertion, key, algorithms=["RS256", "ES256"])
            except JoseError:
                continue
            return str(key.get("kid"))
        return "a key that is not registered"

    def tries(self) -> list[str]:
        """What was tried since the last call."""
        tried, self.tried = self.tried, []
        return tried


@pytest.fixture
def registered(fake: FakeProvider) -> Registered:
    fake.metadata["pushed_authorization_request_endpoint"] = f"{fake.issuer}oauth/par"
    return Registered(fake)


CALLS: dict[str, Callable[[StandaloneProvider], object]] = {
    "refresh": lambda provider: provider.refresh("the-token"),
    "revoke": lambda provider: provider.revoke("the-token"),
    "push": lambda provider: provider.authorization_url(transaction(), {}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_where_the_newest_is_refused_the_next_is_used_from_then_on(
    client_for: Callable[..., StandaloneProvider], registered: Registered,
    call: Callable[[StandaloneProvider], object], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    provider = client_for(AUTH0_CLIENT_SECRET=f"{NEW}\n{OLD}")
    registered.taken = {OLD}
    call(provider)
    assert registered.tries() == [NEW, OLD]
    assert "number 2 of 2" in caplog.text
    call(provider)
    assert registered.tries() == [OLD]
    # Then the provider replaces the old one by the new one: one refusal, and the new one is used.
    registered.taken = {NEW}
    call(provider)
    call(provider)
    assert registered.tries() == [OLD, NEW, NEW]
    assert not {OLD, NEW} & set(caplog.text.split())


def test_while_both_are_accepted_the_newest_is_used(
    client_for: Callable[..., StandaloneProvider], registered: Registered
) -> None:
    registered.taken = {NEW, OLD}
    client_for(AUTH0_CLIENT_SECRET=f"{NEW}\n{OLD}").refresh("the-token")
    assert registered.tries() == [NEW]


@pytest.mark.parametrize("error", ["access_denied", "unauthorized_client"])
def test_what_auth0_and_keycloak_say_of_a_wrong_secret_counts(
    client_for: Callable[..., StandaloneProvider], registered: Registered, error: str
) -> None:
    registered.taken = {OLD}
    registered.refusal = Reply({"error": error}, 401)
    client_for(AUTH0_CLIENT_SECRET=f"{NEW}\n{OLD}").refresh("the-token")
    assert registered.tries() == [NEW, OLD]


def test_where_none_is_accepted_each_is_tried_once_and_no_user_is_signed_out(
    client_for: Callable[..., StandaloneProvider], registered: Registered
) -> None:
    provider = client_for(AUTH0_CLIENT_SECRET=f"{NEWER}\n{NEW}\n{OLD}")
    for call in (CALLS["refresh"], CALLS["push"]):
        with pytest.raises(ProviderMisconfigured, match="invalid_client"):
            call(provider)
        assert registered.tries() == [NEWER, NEW, OLD]
    with pytest.raises(ProviderRejected) as refused:
        provider.revoke("the-token")
    assert refused.value.error == "invalid_client"
    assert registered.tries() == [NEWER, NEW, OLD]


REFUSALS: dict[str, tuple[Reply, type[Exception]]] = {
    "invalid_grant": (Reply({"error": "invalid_grant"}, 400), ProviderRejected),
    "403": (Reply({"error": "access_denied"}, 403), ProviderRejected),
    "unauthorized_client": (Reply({"error": "unauthorized_client"}, 400), ProviderMisconfigured),
    "503": (Reply({"error": "invalid_client"}, 503), ProviderUnavailable),
    "429": (Reply({"error": "invalid_client"}, 429), ProviderUnavailable),
    "rubbish": (Reply(b"<p>no", 401), ProviderUnavailable),
}


@pytest.mark.parametrize(("says", "error"), REFUSALS.values(), ids=REFUSALS)
def test_no_other_refusal_is_repeated(
    client_for: Callable[..., StandaloneProvider],
    registered: Registered,
    says: Reply,
    error: type[Exception],
) -> None:
    """The provider may have acted, or would act twice: a refresh token is spent once."""
    registered.refusal = says
    with pytest.raises(error):
        client_for(AUTH0_CLIENT_SECRET=f"{NEW}\n{OLD}").refresh("the-token")
    assert registered.tries() == [NEW]


def test_the_own_client_of_a_route_may_have_several_secrets(
    client_for: Callable[..., StandaloneProvider], registered: Registered, fake: FakeProvider
) -> None:
    registered.taken = {OLD}
    rule = TokenRule(mode="client", client_id="other", client_secret=SecretStr(f"{NEW}\n{OLD}"))
    client_for(rules=(rule,)).client_token(rule)
    # The third revokes the unrequested refresh token, with the accepted secret.
    assert registered.tries() == [NEW, OLD, OLD]
    assert fake.asked[-1].form["client_id"] == "other"


# ---------------------------------------------------------------- files
@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "credentials"


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="bff.provider")


def test_a_file_of_secrets_is_read_again_when_it_changes(
    client_for: Callable[..., StandaloneProvider], registered: Registered, file: Path
) -> None:
    file.write_text(f"\ufeff{OLD}\r\n")
    provider = client_for(AUTH0_CLIENT_SECRET="", AUTH0_CLIENT_SECRET_FILE=str(file))
    registered.taken = {OLD}
    provider.refresh("the-token")
    file.write_text(f"\n{NEW}\n{OLD}\n")
    provider.refresh("the-token")
    registered.taken = {NEW}
    provider.refresh("the-token")
    assert registered.tries() == [OLD, NEW, OLD, OLD, NEW]


def test_a_link_to_another_file_is_a_change(
    client_for: Callable[..., StandaloneProvider],
    registered: Registered,
    tmp_path: Path,
    file: Path,
) -> None:
    """As Kubernetes replaces a mounted secret."""
    for name, secret in (("one", OLD), ("two", NEW)):
        (tmp_path / name).write_text(secret)
    file.symlink_to(tmp_path / "one")
    provider = client_for(AUTH0_CLIENT_SECRET="", AUTH0_CLIENT_SECRET_FILE=str(file))
    registered.taken = {OLD, NEW}
    provider.refresh("the-token")
    (tmp_path / "next").symlink_to(tmp_path / "two")
    (tmp_path / "next").replace(file)
    provider.refresh("the-token")
    assert registered.tries() == [OLD, NEW]


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def keys_file(path: Path, *keys: RSAKey | ECKey, form: str = "jwks") -> None:
    if form == "pem":
        path.write_bytes(b"Comment\n".join(key.as_pem(private=True) for key in keys))
    else:
        path.write_text(json.dumps({"keys": [key.as_dict(private=True) for key in keys]}))


@pytest.fixture
def by_key(
    client_for: Callable[..., StandaloneProvider], file: Path
) -> Callable[[], StandaloneProvider]:
    return lambda: client_for(
        AUTH0_CLIENT_AUTH="private_key_jwt", AUTH0_CLIENT_PRIVATE_KEY_FILE=str(file)
    )


@pytest.mark.parametrize("form", ["jwks", "pem"])
def test_a_file_of_keys_is_read_again_and_its_keys_are_tried_in_order(
    by_key: Callable[[], StandaloneProvider], registered: Registered, file: Path, form: str
) -> None:
    registered.keys = [RSAKey.import_key(OLD_KEY.as_dict(private=False) | {"kid": "old"})]
    keys_file(file, OLD_KEY, form=form)
    provider = by_key()
    provider.refresh("the-token")
    assert registered.tries() == ["old"]
    keys_file(file, NEW_KEY, OLD_KEY, form=form)
    provider.refresh("the-token")
    assert registered.tries() == ["a key that is not registered", "old"]
    registered.keys = [ECKey.import_key(NEW_KEY.as_dict(private=False) | {"kid": "new"})]
    provider.refresh("the-token")
    provider.revoke("the-token")
    assert registered.tries() == ["a key that is not registered", "new", "new"]


BAD: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "rubbish": lambda path: path.write_bytes(b"\xff\x00 no key"),
    "cut off": lambda path: path.write_bytes(OLD_KEY.as_pem(private=True)[:400]),
    "a good one and a broken one": lambda path: path.write_bytes(
        OLD_KEY.as_pem(private=True) + OLD_KEY.as_pem(private=True).replace(b"M", b"!")
    ),
    "a public one among them": lambda path: path.write_text(
        json.dumps({"keys": [OLD_KEY.as_dict(private=True), NEW_KEY.as_dict(private=False)]})
    ),
    "no list": lambda path: path.write_text('{"keys": 7}'),
    "too many": lambda path: keys_file(path, *[NEW_KEY] * 6),
    "gone": lambda path: path.unlink(),
    "a folder": make_folder,
}


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
def test_a_bad_replacement_keeps_the_old_key_and_is_an_error_once(
    by_key: Callable[[], StandaloneProvider], registered: Registered, file: Path,
    spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    registered.keys = [RSAKey.import_key(OLD_KEY.as_dict(private=False) | {"kid": "old"})]
    keys_file(file, OLD_KEY)
    provider = by_key()
    spoil(file)
    for _ in range(3):
        provider.refresh("the-token")
    assert registered.tries() == ["old"] * 3
    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "AUTH0_CLIENT_PRIVATE_KEY_FILE" in told.getMessage()
    # A good one after that is used.
    if file.is_dir():
        file.rmdir()
    keys_file(file, NEW_KEY)
    registered.keys = [ECKey.import_key(NEW_KEY.as_dict(private=False) | {"kid": "new"})]
    provider.refresh("the-token")
    assert registered.tries() == ["new"]


@pytest.mark.parametrize("content", ["", "\n \n", "\n".join("abcdef")])
def test_an_unusable_file_of_secrets_at_the_start_is_a_wrong_setting(
    client_for: Callable[..., StandaloneProvider], file: Path, content: str
) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError, match="AUTH0_CLIENT_SECRET_FILE"):
        client_for(AUTH0_CLIENT_SECRET="", AUTH0_CLIENT_SECRET_FILE=str(file))


WRONG: dict[str, dict[str, str]] = {
    "both": {"AUTH0_CLIENT_SECRET_FILE": __file__},
    "no such file": {"AUTH0_CLIENT_SECRET": "", "AUTH0_CLIENT_SECRET_FILE": "/no/such/file"},
    "neither": {"AUTH0_CLIENT_SECRET": ""},
    "too many": {"AUTH0_CLIENT_SECRET": "\n".join("abcdef")},
    "none": {"AUTH0_CLIENT_SECRET": "\n"},
}


@pytest.mark.parametrize("settings", WRONG.values(), ids=WRONG)
def test_wrong_settings_are_reported(fake: FakeProvider, settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as told:
        fake.config(**settings)
    assert len(told.value.problems) == 1
    assert "AUTH0_CLIENT_SECRET" in told.value.problems[0]


def test_a_change_is_noticed_although_time_and_length_stay(
    client_for: Callable[..., StandaloneProvider], registered: Registered, file: Path
) -> None:
    file.write_text("secret-a")
    provider = client_for(AUTH0_CLIENT_SECRET="", AUTH0_CLIENT_SECRET_FILE=str(file))
    found = file.stat()
    file.write_text("secret-b")
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    registered.taken = {"secret-b"}
    provider.refresh("the-token")
    assert registered.tries() == ["secret-b"]
