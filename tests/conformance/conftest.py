"""Both brokers, a fresh virtual host on each for every scenario."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from misstep.harness.brokers.rabbitmq.embedded import EmbeddedServer

from .world import World


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class RealRabbit:
    home: Path
    port: int = field(default_factory=_free_port)
    manager: int = field(default_factory=_free_port)
    epmd: int = field(default_factory=_free_port)

    def start(self) -> None:
        (self.home / ".erlang.cookie").write_text("CONFORMANCE")
        (self.home / ".erlang.cookie").chmod(0o400)
        (self.home / "plugins").write_text("[rabbitmq_management].")
        (self.home / "rabbitmq.conf").write_text(
            f"management.tcp.port = {self.manager}\nmanagement.tcp.ip = 127.0.0.1\n"
            "management_agent.disable_metrics_collector = true\nlog.console = false\n"
        )
        env = self._environment()
        self._epmd = subprocess.Popen([shutil.which("epmd") or "epmd"], env=env)
        server = sorted(glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"))[-1]
        with (self.home / "output").open("wb") as output:
            self._node = subprocess.Popen([server], env=env, stdout=output, stderr=output, start_new_session=True)
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.manager}/api", auth=("guest", "guest"))
        deadline = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline, (self.home / "output").read_text()
            assert self._node.poll() is None, (self.home / "output").read_text()
            time.sleep(0.05)

    def _environment(self) -> dict[str, str]:
        home = str(self.home)
        return os.environ | {
            "HOME": home,
            "RABBITMQ_NODENAME": f"conformance{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(_free_port()),
            "ERL_EPMD_PORT": str(self.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{home}/advanced.config",
            "RABBITMQ_CONF_ENV_FILE": f"{home}/env.conf",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{home}/generated",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/plugins",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _answers(self) -> bool:
        try:
            return self._client.get("/vhosts").status_code == 200
        except httpx.TransportError:
            return False

    def add_vhost(self, name: str) -> None:
        self._client.put(f"/vhosts/{name}").raise_for_status()
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self._client.put(f"/permissions/{name}/guest", json=everything).raise_for_status()

    def remove_vhost(self, name: str) -> None:
        self._client.delete(f"/vhosts/{name}").raise_for_status()

    def stop(self) -> None:
        self._client.close()
        os.killpg(self._node.pid, signal.SIGKILL)
        self._node.wait()
        self._epmd.kill()
        self._epmd.wait()


@pytest.fixture(scope="session")
def real_rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRabbit]:
    rabbit = RealRabbit(tmp_path_factory.mktemp("rabbit"))
    rabbit.start()
    yield rabbit
    rabbit.stop()


@pytest_asyncio.fixture(params=["embedded", "rabbitmq"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    server: EmbeddedServer | RealRabbit
    if request.param == "rabbitmq":
        server = request.getfixturevalue("real_rabbit")
    else:
        server = EmbeddedServer()
        await server.start()
    world = World(server, real=request.param == "rabbitmq")
    server.add_vhost(world.vhost)
    yield world
    await world.close()
    if isinstance(server, EmbeddedServer):
        await server.close()
