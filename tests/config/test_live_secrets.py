"""A secret's file that is replaced counts at once; one that can't be used changes nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bff.app.services import build_services
from bff.config import Config, secret_files
from bff.config.live_secrets import LIVE
from bff.provider import client_auth
from tests.config.routes_files import loaded, problems
from tests.config.test_secret_files import VALUES
from tests.support.fake_provider import FakeProvider
from tests.support.fixtures import MakeReceiver
from tests.support.receiver import Receiver
from tests.support.redis_server import RedisServer

OLD, NEW = "0c61f7d3ab2e49588d17fa6390bce254", "9e61f7d3ab2e49588d17fa6390bce251"


class Mounted:
    """Files as Kubernetes mounts them: one link that leads elsewhere replaces all at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0

    def replace(self, **contents: bytes) -> None:
        """Put other contents into all files; those that aren't named are gone."""
        self._number += 1
        version = self.folder / f"..{self._number}"
        version.mkdir()
        for name, content in contents.items():
            (version / name).write_bytes(content)
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(Path("..data") / name)
        new = self.folder / "..data_tmp"
        new.symlink_to(version.name)
        new.replace(self.folder / "..data")


@pytest.fixture
def mounted(tmp_path: Path) -> Mounted:
    return Mounted(tmp_path)


@pytest.fixture
def bff(mounted: Mounted, receiver_for: MakeReceiver) -> Receiver:
    mounted.replace(**contents(OLD))
    files = {f"{name}_FILE": str(mounted.folder / name) for name in contents(OLD)}
    return receiver_for(BFF_TRUSTED_PROXIES="127.0.0.1", **files)


def contents(key: str) -> dict[str, bytes]:
    names = ("BFF_ADMIN_KEY", "BFF_FORWARD_AUTH_KEY", "BFF_LOG_STREAM_KEY")
    plain = {name: f"{key}\n".encode() for name in names}
    return plain | {"BFF_INTROSPECTION_CLIENTS": f"api:{key}\n".encode()}


def status(bff: Receiver, setting: str, key: str) -> int:
    """What the endpoint of *setting* says to *key*."""
    bearer = {"Authorization": f"Bearer {key}"}
    client = bff.app.test_client(use_cookies=False)
    if setting == "BFF_ADMIN_KEY":
        return client.get("/admin/sessions?sub=nobody", headers=bearer).status_code
    if setting == "BFF_LOG_STREAM_KEY":
        return client.post("/webhooks/auth0-logs", json=[], headers=bearer).status_code
    if setting == "BFF_INTROSPECTION_CLIENTS":
        return client.post("/auth/introspect", data={"token": "x"}, auth=("api", key)).status_code
    asked = {"X-Original-Method": "GET", "X-Original-URI": "/api/x", "X-Forward-Auth-Key": key}
    asked["Sec-Fetch-Site"] = "same-origin"
    return client.get("/auth/verify?route=/api", headers=asked).status_code


REFUSED = {"BFF_FORWARD_AUTH_KEY": 403}


def accepts(bff: Receiver, setting: str, key: str) -> bool:
    """Whether it does; without a session, forward-auth says 401 to the right key."""
    return status(bff, setting, key) != REFUSED.get(setting, 401)


@pytest.mark.parametrize("setting", contents(OLD))
def test_a_replaced_key_counts_without_a_restart(
    bff: Receiver, mounted: Mounted, setting: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bff.settings")
    assert accepts(bff, setting, OLD)
    assert not accepts(bff, setting, NEW)
    mounted.replace(**contents(NEW))
    bff.config.live_secrets.look()
    assert accepts(bff, setting, NEW)
    assert not accepts(bff, setting, OLD)
    assert f"{setting}_FILE has changed and was read again" in caplog.messages


BROKEN = {
    "gone": (None, "can't be read: No such file or directory"),
    "empty": (b"\n", "is empty"),
    "too short": (b"a-short-secret", "needs 32 characters or more"),
    "no UTF-8": (b"\xff" * 40, "is not UTF-8"),
    "too large": (b"k" * 70_000, "is larger than 65536 bytes"),
}


@pytest.mark.parametrize(("content", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_replacement_is_an_error_and_the_old_key_goes_on(
    bff: Receiver, mounted: Mounted, caplog: pytest.LogCaptureFixture,
    content: bytes | None, says: str,
) -> None:  # fmt: skip
    caplog.clear()
    good = contents(OLD)
    del good["BFF_ADMIN_KEY"]
    mounted.replace(**good, **({} if content is None else {"BFF_ADMIN_KEY": content}))
    for _ in range(3):
        bff.config.live_secrets.look()
    [error] = [r for r in caplog.records if r.levelno == logging.ERROR]
    expected = f"BFF_ADMIN_KEY_FILE: {says}; its earlier value stays in use"
    assert error.getMessage() == expected
    assert accepts(bff, "BFF_ADMIN_KEY", OLD)
    mounted.replace(**contents(NEW))
    bff.config.live_secrets.look()
    assert accepts(bff, "BFF_ADMIN_KEY", NEW), "the next good one counts"


def test_a_replacement_that_needs_a_restart_says_so(
    mounted: Mounted, receiver_for: MakeReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    values = {"AUTH0_SECRET": VALUES["AUTH0_SECRET"].encode()}
    mounted.replace(**values)
    file = str(mounted.folder / "AUTH0_SECRET")
    bff = receiver_for(AUTH0_SECRET="", AUTH0_SECRET_FILE=file)
    mounted.replace(AUTH0_SECRET=NEW.encode() + b"," + values["AUTH0_SECRET"])
    bff.config.live_secrets.look()
    assert "AUTH0_SECRET_FILE has changed; the new value counts after a restart" in caplog.messages


def test_every_secret_is_read_again_or_needs_a_restart() -> None:
    live = {str(Config.model_fields[name].alias) for name in LIVE}
    assert set(secret_files.SECRETS) - live == {"AUTH0_SECRET", "BFF_PROVIDER_PROXY"}


def test_a_new_password_of_redis_counts_when_a_connection_is_made(
    mounted: Mounted, fake: FakeProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "bff.settings")
    with RedisServer() as server:
        admin = server.client()
        admin.config_set("requirepass", OLD)
        place = server.url.partition("//")[2]
        mounted.replace(REDIS_URL=f"redis://:{OLD}@{place}".encode())
        files = {"REDIS_URL": "", "REDIS_URL_FILE": str(mounted.folder / "REDIS_URL")}
        services = build_services(fake.config(**files))
        database = services.stores.database
        assert database.command("PING")
        admin.config_set("requirepass", NEW)
        admin.client_kill_filter(skipme=True)
        mounted.replace(REDIS_URL=f"redis://:{NEW}@{place}".encode())
        services.config.live_secrets.look()
        assert database.command("PING")
        mounted.replace(REDIS_URL=f"redis://:{NEW}@127.0.0.1:7/0".encode())
        services.config.live_secrets.look()
        database.client.connection_pool.disconnect()
        assert database.command("PING"), "at the address of the start"
        services.provider.close()
        database.client.close()
        admin.close()
    assert "REDIS_URL_FILE has changed and was read again" in caplog.messages
    assert any("only user and password count" in message for message in caplog.messages)


# ------------------------------------------------------------------ the secrets of routes

ROUTES = """
[[route]]
prefix = "/orders"
upstream = "http://orders"
token = "client"
audience = "orders"
client_id = "the-orders-client"
client_secret_env = "BFF_ORDERS_SECRET"
"""


def test_the_secret_of_a_route_may_be_in_a_file_and_is_read_again(tmp_path: Path) -> None:
    secret, routes = tmp_path / "secret", tmp_path / "routes.toml"
    secret.write_text("the-old-one\n")
    config = loaded(routes, ROUTES, BFF_ORDERS_SECRET_FILE=str(secret))
    credentials = client_auth.of_routes(config)["the-orders-client"].credentials
    assert credentials.to_try() == ("the-old-one",)
    new = tmp_path / "new"
    new.write_text("the-new-one\nthe-old-one\n")
    new.replace(secret)
    assert credentials.to_try() == ("the-new-one", "the-old-one")


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"BFF_ORDERS_SECRET": "x", "BFF_ORDERS_SECRET_FILE": "secret"}, "is set, too"),
        ({"BFF_ORDERS_SECRET_FILE": "no/such"}, "can't be read"),
        ({"BFF_ORDERS_SECRETS_FILE": "secret"}, "no such setting; BFF_ORDERS_SECRET_FILE?"),
    ],
)
def test_a_wrong_file_of_a_route_is_named(
    tmp_path: Path, environ: dict[str, str], says: str
) -> None:
    (tmp_path / "secret").write_text("x")
    given = {n: str(tmp_path / v) if n.endswith("FILE") else v for n, v in environ.items()}
    found = problems(tmp_path / "routes.toml", ROUTES, **given)
    assert any(says in one for one in found), found
