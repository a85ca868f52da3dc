"""Can this version read what earlier versions stored in Redis, in cookies and at APIs?

The files beside this one were written by those versions. Only here is a change noticed in a purpose
string of a seal or a hash, in a key or in the name of a stored field: other tests write and read
with the same version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bff.app.services import Services, build_services
from bff.config import Config
from bff.core.model import Group
from bff.web.logout import STATE_CONTEXT
from tests.support.bench import config_for
from tests.support.redis_server import RedisServer
from tests.upgrade import stored

VERSIONS = sorted(Path(__file__).parent.glob("stored_by_*.json"))


@pytest.fixture(params=VERSIONS, ids=lambda path: str(path.stem))
def earlier(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What that version stored."""
    found: dict[str, Any] = json.loads(request.param.read_text())
    return found


@pytest.fixture
def config(redis_server: RedisServer, redis_prefix: str) -> Config:
    return config_for(redis_server, redis_prefix, **stored.SETTINGS)


@pytest.fixture
def services(config: Config, earlier: dict[str, Any]) -> Iterator[Services]:
    """This version's services on what the earlier one stored in Redis."""
    made = build_services(config)
    stored.restore(earlier["keys"], made, config.redis_prefix)
    yield made
    made.stores.database.client.close()


def test_there_is_a_file_of_the_first_version() -> None:
    assert "stored_by_0_1_0.json" in {path.name for path in VERSIONS}


def test_a_session_stays_valid_with_all_its_contents(services: Services) -> None:
    wanted = stored.session("live")
    found = services.sessions.load(wanted.key, slide=False)
    assert found
    session, sealed_data = found
    assert msgspec.structs.replace(session, read_at=0) == wanted
    assert sealed_data
    assert services.sessions.open_data(wanted.key, sealed_data) == b'{"theme":"dark"}'


@pytest.mark.parametrize(
    "group",
    [
        Group.of_user(*stored.USER),
        Group.of_sid(stored.USER[0], stored.SID),
        Group.of_email(stored.USER[0], "dana@example.com"),
        Group.everyone(),
    ],
    ids=lambda group: str(group.kind),
)
def test_a_session_is_found_by_its_group(services: Services, group: Group) -> None:
    assert [session.key for session in services.sessions.of_group(group)] == [
        stored.session("live").key
    ]


def test_an_ended_session_stays_ended_and_its_tokens_can_be_revoked(
    services: Services,
) -> None:
    key = stored.session("ended").key
    records = services.stores.records
    assert services.sessions.load(key, slide=False) is None
    assert not records.create(stored.session("ended"))
    ended = records.end_record(key, "logout")
    assert ended.kind == "tomb"
    assert records.open_tokens(key, ended.sealed_tokens) == stored.TOKENS
    assert records.open_identity(key, ended.sealed_identity) == stored.IDENTITY


def test_the_outbox_has_what_must_be_revoked(services: Services) -> None:
    entries = {entry.id: entry for entry in services.stores.outbox.waiting()}
    assert set(entries) == {"end-one", "tokens-one"}
    ending = entries["end-one"]
    assert (ending.kind, ending.reason) == ("session", "logout")
    assert ending.session_key == stored.session("ended").key
    opened = services.stores.outbox.open_tokens(entries["tokens-one"])
    assert opened.all_refresh_tokens() == ("forgotten",)
    assert opened.client_id == "other-client"


def test_a_denied_token_a_watermark_and_the_history_start_are_found(
    services: Services, earlier: dict[str, Any]
) -> None:
    assert services.stores.deny_list.contains(stored.DENIED)
    watermark_at = services.stores.watermarks.newest(stored.IDENTITY)
    assert watermark_at
    assert watermark_at in _numbers(earlier, "watermark:")
    assert services.stores.history_start.begin() in _numbers(earlier, "{born_at}:")


def test_a_message_and_a_revocation_are_recognised(
    services: Services, earlier: dict[str, Any]
) -> None:
    assert services.stores.seen_messages.contains("logout token", stored.USER[0], "jti-1")
    noted = next(key for name, key in earlier["keys"].items() if name.startswith("revoked:"))
    assert services.stores.sent_revocations
    assert services.stores.sent_revocations.is_echo(stored.SID, *noted["content"].values())


def test_the_client_token_is_found(services: Services) -> None:
    shared = stored.shared_client_tokens(services).read(stored.RULE)
    assert shared
    assert (shared.token, shared.attempt) == (stored.CLIENT_TOKEN, "attempt-1")


def test_a_sign_in_in_progress_can_be_completed(
    config: Config, services: Services, earlier: dict[str, Any]
) -> None:
    texts = earlier["texts"]
    cookies = {texts["login cookie name"]: texts["login cookie"]}
    logins = stored.login_transactions(config, services)
    assert logins.find("state", cookies) == (texts["login cookie name"], stored.LOGIN)


def test_names_that_others_have_stored_are_the_same(
    config: Config, services: Services, earlier: dict[str, Any]
) -> None:
    """The id of a device, a user's name in the audit log, the deny-list key of APIs."""
    before, now = earlier["texts"], stored.texts(config, services)
    sealed_anew = {"login cookie", "logout state"}
    assert {n: t for n, t in now.items() if n not in sealed_anew} == {
        n: t for n, t in before.items() if n not in sealed_anew
    }
    state = services.sealer.open_text(before["logout state"], STATE_CONTEXT)
    assert msgspec.json.decode(state) == "/bye"


def test_this_version_writes_the_same_keys_and_fields(
    redis_server: RedisServer, redis_prefix: str, earlier: dict[str, Any]
) -> None:
    config = config_for(redis_server, redis_prefix, **stored.SETTINGS)
    made = build_services(config)
    stored.write(config, made)
    assert _shape(stored.dump(made, redis_prefix)) == _shape(earlier["keys"])
    made.stores.database.client.close()


def _numbers(earlier: dict[str, Any], start: str) -> set[int]:
    """The numbers in keys that begin with *start*."""
    values = (key["content"] for name, key in earlier["keys"].items() if name.startswith(start))
    return {int(stored.from_base64(value)) for value in values}


def _shape(keys: dict[str, dict[str, Any]]) -> dict[str, tuple[str, list[str]]]:
    """Names, types and the fields of hashes, on which versions must agree."""
    return {
        name: (key["type"], sorted(key["content"]) if key["type"] == "hash" else [])
        for name, key in keys.items()
    }
