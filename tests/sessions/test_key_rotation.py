"""While `AUTH0_SECRET` is rotated in two steps, nobody is signed out and every end ends all."""

from __future__ import annotations

import itertools
import logging

import pytest
from werkzeug.test import TestResponse

from bff.core.model import Group
from tests.support.bench import MakeBench
from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for

OLD, NEW = "o" * 40, "n" * 40
USER = ("https://provider.example/", "auth0|dana")
GROUPS = (
    Group.of_user(*USER),
    Group.of_sid(USER[0], "provider-sid"),
    Group.of_email(USER[0], "dana@example.com"),
    Group.everyone(),
)
STEPS = {
    "old,new goes everywhere": (OLD, f"{OLD},{NEW}", f"{OLD},{NEW}"),
    "new,old goes everywhere": (f"{OLD},{NEW}", f"{NEW},{OLD}", f"{NEW},{OLD}"),
}


@pytest.mark.parametrize("secrets", STEPS.values(), ids=STEPS.keys())
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: str(group.kind))
@pytest.mark.parametrize("ending", range(3))
def test_promise_6_an_end_at_one_replica_ends_the_sessions_of_all(
    make_bench: MakeBench, secrets: tuple[str, ...], group: Group, ending: int
) -> None:
    replicas = [make_bench(AUTH0_SECRET=one) for one in secrets]
    keys = [started.start() for started in replicas]
    identity = replicas[0].load(keys[0]).identity
    for replica, key in itertools.product(replicas, keys):
        assert replica.load(key).tokens.access_token == "access-0"
    assert replicas[ending].sessions.end_group(group, "test") == len(keys)
    for replica in replicas:
        assert [replica.sessions.load(key) for key in keys] == [None] * len(keys)
        assert replica.watermarks.newest(identity)
        assert replica.deny_list.contains("access-0")
    # Whichever replica comes first revokes what the end has left in the outbox.
    other = replicas[ending - 1]
    other.revocation.drain()
    assert other.provider.revoked == ["refresh-0"] * len(keys)
    assert not other.outbox.waiting()


@pytest.mark.parametrize("path", ["/auth/profile", "/api/items", "/auth/sessions"])
def test_promise_5_a_session_under_an_unknown_key_is_503_and_stays(
    receiver_for: MakeReceiver, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    ahead, behind = receiver_for(AUTH0_SECRET=NEW), receiver_for(AUTH0_SECRET=OLD)
    cookie_id = ahead.services.sessions.start(ahead.sign_in())
    response = ask(behind, path, cookie_id)
    assert (response.status_code, response.get_json()["code"]) == (503, "seal_key_unknown")
    assert int(response.headers["Retry-After"]) > 0
    assert "Set-Cookie" not in response.headers
    assert any(one.levelno == logging.ERROR for one in caplog.records)
    assert ask(ahead, "/auth/profile", cookie_id).status_code == 200


def test_what_one_replica_cannot_open_is_soon_taken_by_another(make_bench: MakeBench) -> None:
    """A replica without the key ends the session all the same; its tokens die within seconds."""
    ahead, behind = make_bench(AUTH0_SECRET=NEW), make_bench(AUTH0_SECRET=OLD)
    key = ahead.start()
    behind.sessions.end(key, "logout")
    assert ahead.sessions.load(key) is None
    wait_for(lambda: bool(ahead.revocation.drain()), "the revocation", 5)
    assert ahead.provider.revoked == ["refresh-0"]
    assert ahead.deny_list.contains("access-0")
    assert not ahead.outbox.waiting()


def test_what_no_replica_can_open_is_tried_ever_less_often(make_bench: MakeBench) -> None:
    """The key may be gone for good."""
    behind = make_bench(AUTH0_SECRET=OLD)
    behind.sessions.end(make_bench(AUTH0_SECRET=NEW).start(), "logout")
    waits = []
    for _ in range(16):
        [entry] = behind.outbox.waiting()
        [(_, due_at)] = behind.database.command(
            "ZRANGE", behind.database.keys.outbox_due(), 0, -1, "WITHSCORES"
        )
        waits.append(round(float(due_at) - behind.database.now()))
        behind.outbox.make_due([entry.id])
        behind.revocation.drain()
    assert waits[:4] == [1, 2, 4, 8] and waits[-1] == 3600


def ask(bff: Receiver, path: str, cookie_id: str) -> TestResponse:
    headers = {"Cookie": f"session={cookie_id}", "X-CSRF": "1", "Accept": "application/json"}
    return bff.app.test_client(use_cookies=False).get(path, headers=headers)
