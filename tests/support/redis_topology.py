"""How does a test get a Redis with replicas and Sentinels, or a cluster? They are real servers.

    with Sentinels() as redis: …          one master, two replicas, three sentinels
    with RedisCluster() as redis: …       three masters, one replica each

Both have `url` for `REDIS_URL` and `fail_over()`, which kills a master and waits for the next. With
a certificate they use TLS only, for clients and among themselves, and require passwords.
"""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from bff.store.redis_clients import make_client, make_cluster
from demo.program_group import ProgramGroup
from tests.support.certificate import Certificate
from tests.support.processes import Process, free_port
from tests.support.redis_server import real_source, tls_source
from tests.support.waiting import wait_for

HOST = "127.0.0.1"
MASTER = "bff-master"
SLOTS = 16_384
BUS_OFFSET = 10_000
EPHEMERAL_PORTS_BEGIN = 32_768
DOWN_AFTER_MILLISECONDS = 800
SOCKET_TIMEOUT_SECONDS = 10
WAIT_MILLISECONDS = 8000
SERVER_PASSWORD = "p@ss/of:servers"  # noqa: S105
SENTINEL_PASSWORD = "p@ss&of=sentinels"  # noqa: S105


class Topology(ProgramGroup):
    """Several Redis processes, started in order and stopped at the end of the `with` block.

    Args:
        certificate: The certificate of all of them; None for neither TLS nor passwords.
    """

    def __init__(self, certificate: Certificate | None = None) -> None:
        super().__init__()
        self.servers: dict[int, Process] = {}
        self._ports: list[int] = []
        self._certificate = certificate
        self._scheme = "rediss" if certificate else "redis"
        self._login = f":{quote(SERVER_PASSWORD, safe='')}@" if certificate else ""

    def _start_all(self) -> None:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._begin()

    def _begin(self) -> None:
        """Start them; data servers on `_ports`."""
        raise NotImplementedError

    def _serve(self, port: int, **settings: str) -> None:
        """Start a data server."""
        folder = self._folder / str(port)
        folder.mkdir()
        usual = {
            "bind": HOST, "dir": str(folder), "save": "",
            "appendonly": "yes", "maxmemory-policy": "noeviction",
        } | self._listening(port, SERVER_PASSWORD)  # fmt: skip
        if self._certificate:
            usual["masterauth"] = SERVER_PASSWORD
        words = [f"--{name}" if part == 0 else value
                 for name, value in (usual | settings).items() for part in (0, 1)]  # fmt: skip
        self._run(port, words)

    def _listening(self, port: int, password: str) -> dict[str, str]:
        certificate = self._certificate
        if certificate is None:
            return {"port": str(port)}
        return {
            "port": "0", "tls-port": str(port), "tls-replication": "yes", "tls-auth-clients": "no",
            "tls-cert-file": str(certificate.chain_file), "tls-key-file": str(certificate.key_file),
            "tls-ca-cert-file": str(certificate.ca_file), "requirepass": password,
        }  # fmt: skip

    def _run(self, port: int, words: list[str]) -> None:
        source = tls_source() if self._certificate else real_source()
        command = [*source.command, *words]
        self.servers[port] = self._stack.enter_context(Process(command, name=f"redis:{port}"))
        self.servers[port].wait_for_port(port)

    @property
    def url(self) -> str:
        """For `REDIS_URL`."""
        raise NotImplementedError

    def command(self, port: int, *words: str | int | bytes) -> Any:
        """The reply of one of the servers."""
        return self.client(port).execute_command(*words)  # type: ignore[no-untyped-call]

    def let_replicas_follow(self) -> None:
        """Wait for the replicas: a failover may lose what none of them has confirmed."""
        for port in self._ports:
            if _role(self.client(port)) == "master":
                assert self.command(port, "WAIT", 1, WAIT_MILLISECONDS) >= 1

    def fail_over(self) -> None:
        """Kill a master; returns when another server has replaced it."""
        raise NotImplementedError

    def client_of_all(self) -> Any:
        """A client that finds every key, also with SCAN."""
        client: Any = self._client_of_all()
        self._stack.callback(client.close)
        return client

    def _client_of_all(self) -> Any:
        return make_client(self.url, 2.0, self._ca_file)

    @property
    def _ca_file(self) -> str | None:
        return str(self._certificate.ca_file) if self._certificate else None

    def _options(self, password: str) -> dict[str, str]:
        return {"ssl_ca_certs": self._ca_file, "password": password} if self._ca_file else {}

    def client(self, port: int, password: str = SERVER_PASSWORD) -> redis.Redis:
        """A client of one of the servers, or, with *password*, of a Sentinel."""
        options = self._options(password)
        client = redis.Redis.from_url(
            f"{self._scheme}://{HOST}:{port}",
            socket_timeout=SOCKET_TIMEOUT_SECONDS,
            protocol=3,
            **options,
        )
        self._stack.callback(client.close)
        return client


class Sentinels(Topology):
    """A master with two replicas, and three Sentinels that elect the next master."""

    def _begin(self) -> None:
        self._ports = [free_port() for _ in range(3)]
        self.sentinel_ports = [free_port() for _ in range(3)]
        for port in self._ports:
            more = {} if port == self._ports[0] else {"replicaof": f"{HOST} {self._ports[0]}"}
            self._serve(port, **more)
        master = self.client(self._ports[0])
        wait_for(lambda: _replicas(master) == 2, "both replicas")
        for port in self.sentinel_ports:
            file = self._folder / f"sentinel-{port}.conf"
            listening = self._listening(port, SENTINEL_PASSWORD)
            file.write_text(
                f"bind {HOST}\n"
                + "".join(f'{name} "{value}"\n' for name, value in listening.items())
                + f"sentinel monitor {MASTER} {HOST} {self._ports[0]} 2\n"
                f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MILLISECONDS}\n"
                f"sentinel failover-timeout {MASTER} 5000\n" + self._passwords()
            )
            self._run(port, [str(file), "--sentinel"])
        wait_for(self._sentinels_know, "sentinels that know the replicas and each other")

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{port}" for port in self.sentinel_ports)
        query = f"?sentinel_password={quote(SENTINEL_PASSWORD, safe='')}" if self._login else ""
        return f"{self._scheme}+sentinel://{self._login}{hosts}/{MASTER}/0{query}"

    def ask_sentinel(self, port: int, *words: str) -> Any:
        """The reply of one of the Sentinels."""
        client = self.client(port, SENTINEL_PASSWORD)
        return client.execute_command(*words)  # type: ignore[no-untyped-call]

    def master_port(self) -> int:
        """According to the first Sentinel."""
        asked = "SENTINEL GET-MASTER-ADDR-BY-NAME"
        return int(self.ask_sentinel(self.sentinel_ports[0], asked, MASTER)[1])

    def fail_over(self) -> None:
        """Kill the master; returns when the Sentinels have elected another one."""
        old = self.master_port()
        self.servers[old].kill()
        wait_for(lambda: self.master_port() != old, "another master", 30)

    def _passwords(self) -> str:
        if not self._certificate:
            return ""
        return (
            f'sentinel auth-pass {MASTER} "{SERVER_PASSWORD}"\n'
            f'sentinel sentinel-pass "{SENTINEL_PASSWORD}"\n'
        )

    def _sentinels_know(self) -> bool:
        for port in self.sentinel_ports:
            raw = self.ask_sentinel(port, "SENTINEL MASTER", MASTER)
            if int(raw["num-slaves"]) != 2 or int(raw["num-other-sentinels"]) != 2:
                return False
        return True


class RedisCluster(Topology):
    """Three masters with a replica each."""

    def _begin(self) -> None:
        self._ports = [self._cluster_port() for _ in range(6)]
        for port in self._ports:
            self._serve(
                port,
                **{"cluster-enabled": "yes", "cluster-node-timeout": "1000",
                   "cluster-require-full-coverage": "no"}
                | ({"tls-cluster": "yes"} if self._certificate else {}),
            )  # fmt: skip
        self._share_slots()
        for port in self._ports[1:]:
            self.command(self._ports[0], "CLUSTER MEET", HOST, port)
        wait_for(self._all_know_six, "six nodes that know each other")
        self._add_replicas()
        self.wait_until_healthy()

    @property
    def url(self) -> str:
        nodes = ",".join(f"{HOST}:{port}" for port in self._ports[:3])
        return f"{self._scheme}+cluster://{self._login}{nodes}"

    def _client_of_all(self) -> Any:
        timeouts = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}
        return make_cluster(self.url, timeouts | self._options(SERVER_PASSWORD))

    def fail_over(self) -> None:
        """Kill a master; returns when its replica has been promoted."""
        self.servers[self._ports[0]].kill()
        promoted = self.client(self._ports[3])
        wait_for(lambda: _role(promoted) == "master", "the replica's promotion", 30)

    def wait_until_healthy(self) -> None:
        """Return when all slots are served and each master has a replica."""
        wait_for(self._all_healthy, "a cluster that serves all slots", 30)

    def masters(self) -> list[int]:
        """The ports of the current masters."""
        return [port for port in self._ports if _role(self.client(port)) == "master"]

    def replicas(self) -> list[int]:
        """The ports of the current replicas."""
        return [port for port in self._ports if port not in self.masters()]

    def owner_of(self, key: str) -> int:
        """The port of the master of *key*."""
        slot = self.command(self._ports[1], "CLUSTER KEYSLOT", key)
        ranges = self.command(self._ports[1], "CLUSTER SLOTS")
        return next(int(entry[2][1]) for entry in ranges if entry[0] <= slot <= entry[1])

    def _cluster_port(self) -> int:
        """A free port whose bus port is free, too, and below the ephemeral ports."""
        while True:
            port = free_port()
            if port + BUS_OFFSET < EPHEMERAL_PORTS_BEGIN and _is_free(port + BUS_OFFSET):
                return port

    def _share_slots(self) -> None:
        share = SLOTS // 3 + 1
        for index, port in enumerate(self._ports[:3]):
            slots = range(index * share, min((index + 1) * share, SLOTS))
            self.command(port, "CLUSTER ADDSLOTS", *slots)

    def _add_replicas(self) -> None:
        for master, replica in zip(self._ports[:3], self._ports[3:], strict=True):
            name = self.command(master, "CLUSTER MYID")
            self.command(replica, "CLUSTER REPLICATE", name)

    def _all_know_six(self) -> bool:
        return all(self._info(p, "cluster_known_nodes") == "6" for p in self._ports)

    def _info(self, port: int, field: str) -> str:
        return str(self.command(port, "CLUSTER INFO")[field])

    def _all_healthy(self) -> bool:
        return all(
            self._info(port, "cluster_state") == "ok"
            and self._info(port, "cluster_slots_ok") == str(SLOTS)
            for port in self._ports
        ) and [_replicas(self.client(port)) for port in self.masters()] == [1, 1, 1]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0


def _replicas(client: redis.Redis) -> int:
    info: Any = client.info("replication")
    states = [info.get(f"slave{n}", {}).get("state") for n in range(info["connected_slaves"])]
    return states.count("online")


def _role(client: redis.Redis) -> str:
    info: Any = client.info("replication")
    return str(info["role"])
