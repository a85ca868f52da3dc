"""Does each proof of possession count once, at all processes of an API, and at what price?"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from bff.core.model import Tokens
from bff.core.sealing import Sealer
from bff.store import Database, DenyList, HistoryStart
from tests.support.dpop_api import client_of, code, guard_of, sent, unlisted
from tests.support.dpop_proofs import KEY, OTHER_KEY, bound_token, proof
from tests.support.forged_proofs import now
from tests.support.issuer import AUDIENCE, ISSUER, Issuer, token
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
SEALER = Sealer(["s" * 40])
NEWER = Sealer(["n" * 40, "s" * 40])
DENY_KEY = SEALER.revoked_token_names.as_text()


@pytest.fixture
def database(redis_server: RedisServer, redis_prefix: str) -> Iterator[Database]:
    database = Database(redis_server.client(), redis_prefix)
    for sealer in (SEALER, NEWER):
        database.command("SET", HistoryStart(database, sealer)._keys[0], 1)
    yield database
    database.client.close()


@pytest.fixture
def options(redis_server: RedisServer, database: Database) -> dict[str, Any]:
    return {
        "issuer": ISSUER, "audience": AUDIENCE, "redis_url": redis_server.url,
        "redis_prefix": database.prefix, "deny_key": DENY_KEY, "redis_timeout_seconds": 10,
    }  # fmt: skip


def test_a_proof_counts_once(options: dict[str, Any], database: Database) -> None:
    api, bound = client_of(guard_of(options)), bound_token()
    used = sent(bound, proof(bound))
    assert code(api.get("/items", headers=used)) == (200, "accepted")
    response = api.get("/items", headers=used)
    assert code(response) == (401, "invalid_dpop_proof")
    # A process that has just started knows it, too.
    assert client_of(guard_of(options)).get("/items", headers=used).status_code == 401
    assert api.get("/items", headers=sent(bound, proof(bound))).status_code == 200
    [*noted] = database.client.scan_iter(f"{database.prefix}:dpop:*")
    assert len(noted) == 2
    assert all(170 < database.client.ttl(one) <= 180 for one in noted)


def test_without_a_deny_list_a_proof_counts_once_in_each_process() -> None:
    guard, bound = unlisted(), bound_token()
    used = sent(bound, proof(bound))
    api = client_of(guard)
    assert api.get("/items", headers=used).status_code == 200
    assert api.get("/items", headers=used).status_code == 401


def test_the_same_id_of_another_client_is_another_proof(options: dict[str, Any]) -> None:
    api, mine, yours = client_of(guard_of(options)), bound_token(), bound_token(OTHER_KEY)
    assert api.get("/items", headers=sent(mine, proof(mine, jti="1"))).status_code == 200
    others = sent(yours, proof(yours, OTHER_KEY, jti="1"))
    assert api.get("/items", headers=others).status_code == 200
    # But not that of another token of the same one.
    second = bound_token(sub="bob")
    assert api.get("/items", headers=sent(second, proof(second, jti="1"))).status_code == 401


def test_a_forged_proof_uses_nobodys_id(options: dict[str, Any]) -> None:
    api, bound = client_of(guard_of(options)), bound_token()
    for forged in (proof(bound, signer=OTHER_KEY, jti="1"), proof(bound, OTHER_KEY, jti="1")):
        assert api.get("/items", headers=sent(bound, forged)).status_code == 401
    assert api.get("/items", headers=sent(bound, proof(bound, jti="1"))).status_code == 200


def test_it_counts_once_while_the_deny_list_key_is_rotated(options: dict[str, Any]) -> None:
    keys = [DENY_KEY, NEWER.revoked_token_names.as_text()]
    for first, second in (keys, reversed(keys)):
        bound = bound_token()
        used = sent(bound, proof(bound))
        assert (
            client_of(guard_of(options, deny_key=first)).get("/items", headers=used).status_code
            == 200
        )
        later = client_of(guard_of(options, deny_key=second)).get("/items", headers=used)
        assert code(later) == (401, "invalid_dpop_proof")


def test_a_revoked_token_is_told_from_a_used_proof(
    options: dict[str, Any], database: Database
) -> None:
    api, bound = client_of(guard_of(options)), bound_token()
    used = sent(bound, proof(bound))
    assert api.get("/items", headers=used).status_code == 200
    deny_list = DenyList(database, SEALER, 10)
    deny_list.add([deny_list.entry(Tokens(access_token=bound, issued_at=now(), expires_at=0))])
    for headers in (used, sent(bound, proof(bound))):
        assert code(api.get("/items", headers=headers)) == (401, "invalid_token")


def test_of_many_at_once_in_two_processes_one_is_accepted(options: dict[str, Any]) -> None:
    issuer = Issuer()
    addresses = (f"{ISSUER}.well-known/openid-configuration", f"{ISSUER}jwks")
    documents = {address: issuer.fetch(address) for address in addresses}
    for _ in range(3):
        bound = bound_token()
        asked = {
            "documents": documents,
            "guard": {k: v for k, v in options.items() if k != "redis_timeout_seconds"},
            "authorization": f"DPoP {bound}",
            "request": {"dpop": proof(bound), "method": "GET", "url": "https://api.test/items"},
        }
        command = [sys.executable, "-m", "tests.support.proof_twice"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes: list[Any] = [subprocess.Popen(command, cwd=ROOT, **pipes) for _ in range(2)]
        for process in processes:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
        outputs = [process.communicate("go\n")[0] for process in processes]
        counted = Counter(one for output in outputs for one in json.loads(output))
        assert counted == {"accepted": 1, "invalid_dpop_proof": 15}


# ---------------------------------------------------------------- Redis


def test_a_proof_costs_no_round_trip_more(
    options: dict[str, Any], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = redis_server.client()
    trips: list[int] = []
    pipelined = client.pipeline

    def counted(**arguments: Any) -> Any:
        trips.append(1)
        return pipelined(**arguments)

    monkeypatch.setattr(client, "pipeline", counted)
    api = client_of(guard_of(options, redis_client=client, redis_url=""))
    bound = bound_token()
    assert api.get("/items", headers=sent(bound, proof(bound))).status_code == 200
    assert len(trips) == 1
    assert api.get("/items", headers=sent(token(), scheme="Bearer")).status_code == 200
    assert len(trips) == 2
    client.close()


def test_commands_that_are_sent_twice_are_one_use(
    options: dict[str, Any], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client repeats commands whose replies were lost with a connection."""
    client = redis_server.client()
    pipelined = client.pipeline

    def twice(**arguments: Any) -> Any:
        pipeline = pipelined(**arguments)
        execute = pipeline.execute

        def repeated() -> Any:
            stack = list(pipeline.command_stack)
            execute()
            pipeline.command_stack.extend(stack)
            return execute()

        monkeypatch.setattr(pipeline, "execute", repeated)
        return pipeline

    monkeypatch.setattr(client, "pipeline", twice)
    api = client_of(guard_of(options, redis_client=client, redis_url=""))
    bound = bound_token()
    used = sent(bound, proof(bound))
    assert api.get("/items", headers=used).status_code == 200
    assert api.get("/items", headers=used).status_code == 401
    client.close()


def test_a_client_that_decodes_replies_serves_as_well(
    options: dict[str, Any], redis_server: RedisServer
) -> None:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        api = client_of(guard_of(options, redis_client=client, redis_url=""))
        bound = bound_token()
        used = sent(bound, proof(bound))
        assert [api.get("/items", headers=used).status_code for _ in "ab"] == [200, 401]


RIGHTS = ["%R~{}:deny:*", "%R~{}:watermark:*", "%R~{}:{{born_at}}:*", "%RW~{}:dpop:*"]


def test_the_rights_of_the_document_are_enough_and_needed(
    options: dict[str, Any], redis_server: RedisServer, database: Database
) -> None:
    user, password = f"guard-{database.prefix}", "p" * 20
    patterns = [one.format(database.prefix) for one in RIGHTS]
    document = (ROOT / "docs/apis.md").read_text()
    assert " ".join(one.format("bff") for one in RIGHTS) in document
    url = redis_server.url.replace("redis://", f"redis://{user}:{password}@")
    for commands, status in (("+get +exists +hello", 503), ("+get +exists +set +hello", 200)):
        database.command(
            "ACL", "SETUSER", user, "reset", "on", f">{password}", *patterns, *commands.split()
        )
        api, bound = client_of(guard_of(options, redis_url=url)), bound_token()
        assert api.get("/items", headers=sent(token(), scheme="Bearer")).status_code == 200
        assert api.get("/items", headers=sent(bound, proof(bound))).status_code == status
    client = redis.Redis.from_url(url)
    for kind in ("deny", "watermark", "{born_at}"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.set(f"{database.prefix}:{kind}:x", "1")
    client.close()
    database.command("ACL", "DELUSER", user)


def test_redis_away_is_503_and_a_forged_proof_is_refused_without_it(redis_prefix: str) -> None:
    with RedisServer() as server:
        options = {"issuer": ISSUER, "audience": AUDIENCE, "redis_url": server.url,
                   "redis_prefix": redis_prefix, "deny_key": DENY_KEY}  # fmt: skip
        api, bound = client_of(guard_of(options)), bound_token()
        server.stop()
        response = api.get("/items", headers=sent(bound, proof(bound)))
        assert code(response) == (503, "store_unavailable")
        assert "WWW-Authenticate" not in response.headers
        assert (
            api.get("/items", headers=sent(bound, proof(bound, KEY, htm="POST"))).status_code == 401
        )
