"""Services: readiness, incarnations, ends, and what a failure says."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from misstep.harness.choreography.words import Ready
from misstep.harness.errors import ServiceFailed
from misstep.harness.services.guardian import Guard
from misstep.harness.services.ports import lease_port
from misstep.harness.services.service import Launch, ProcessEnd, RunningService
from misstep.harness.services.sockets import Address, addresses_of, bypasses

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
SERVE = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
DIAL = """
import socket, sys, time
links = [socket.create_connection(("127.0.0.1", int(port))) for port in sys.argv[1:]]
print("dialled", flush=True)
time.sleep(600)
"""


@pytest_asyncio.fixture
async def guard() -> AsyncIterator[Guard]:
    async with Guard() as guard:
        yield guard


def python(code: str, *arguments: object) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *map(str, arguments))


def launch(folder: Path, *argv: str, ready: Ready | None = None, port: int | None = None) -> Launch:
    ready = ready or Ready(log="up", within=20)
    return Launch(name="payment", commands={"main": argv}, env=os.environ, cwd=folder, ready=ready, port=port)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def failure(service: RunningService) -> str:
    """Start a service that cannot become ready, and return what it says."""
    with pytest.raises(ServiceFailed) as caught:
        await service.start()
    assert not service.running
    return str(caught.value)


@pytest.mark.asyncio
async def test_each_start_is_an_incarnation_with_logs_of_its_own(guard: Guard, tmp_path: Path) -> None:
    ends: list[ProcessEnd] = []
    commands = {"web": python(SLEEP), "worker": python(SLEEP.replace("up", "up too"))}
    declared = Launch(name="order", commands=commands, env=os.environ, cwd=tmp_path, ready=Ready(log="^up$", within=20))
    service = RunningService(declared, guard, tmp_path, on_end=ends.append)

    await service.start()
    first = {process.pid for process in service.processes.values()}
    await service.restart()

    assert service.running
    assert service.incarnation == 2
    assert first.isdisjoint(process.pid for process in service.processes.values())
    assert {(end.process, end.incarnation, end.exit.signal, end.asked) for end in ends} == {
        ("web", 1, signal.SIGKILL, True),
        ("worker", 1, signal.SIGKILL, True),
    }
    assert sorted(os.listdir(tmp_path)) == [
        "order.web.1.log",
        "order.web.2.log",
        "order.worker.1.log",
        "order.worker.2.log",
    ]
    assert service.tail()["order.web.2.log"] == ["up"]


@pytest.mark.asyncio
async def test_stop_is_graceful_and_says_who_had_to_be_killed(guard: Guard, tmp_path: Path) -> None:
    polite = python(f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); {SLEEP}")
    stubborn = python(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}")
    commands = {"polite": polite, "stubborn": stubborn}
    ready = Ready(log="up", within=20)
    declared = Launch(name="order", commands=commands, env=os.environ, cwd=tmp_path, ready=ready, stop_within=0.5)
    service = RunningService(declared, guard, tmp_path)
    await service.start()
    async with asyncio.timeout(20):
        while not all(service.tail().values()):  # noqa: ASYNC110 (a file has no event to wait for)
            await asyncio.sleep(0.01)

    polite_end, stubborn_end = await service.stop()

    assert polite_end.exit.code == 5
    assert stubborn_end.exit.signal == signal.SIGKILL
    assert not service.running


@pytest.mark.asyncio
async def test_an_unasked_end_is_told(guard: Guard, tmp_path: Path) -> None:
    told: asyncio.Future[ProcessEnd] = asyncio.get_running_loop().create_future()
    service = RunningService(launch(tmp_path, *python(SLEEP)), guard, tmp_path, on_end=told.set_result)
    await service.start()

    os.kill(service.processes["main"].pid, signal.SIGKILL)
    end = await told

    assert (end.service, end.process, end.incarnation, end.asked) == ("payment", "main", 1, False)
    assert not service.running


@pytest.mark.asyncio
async def test_ready_by_http_tcp_log_and_consumers_together(guard: Guard, tmp_path: Path) -> None:
    counted = iter([0, 1, 2, *[3] * 10_000])
    with lease_port() as lease:
        ready = Ready(http="/health", tcp=True, consumers=3, within=20)
        declared = launch(tmp_path, *python(SERVE, lease.port), ready=ready, port=lease.port)
        service = RunningService(declared, guard, tmp_path, consumers=lambda: next(counted))
        await service.start()
        assert next(counted) == 3
        assert {address.port for address in (await service.sockets()).listening} == {lease.port}
        await service.kill()


@pytest.mark.asyncio
async def test_a_port_is_needed_for_readiness_by_port(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed, match=r"expected \{port\} in its command"):
        RunningService(launch(tmp_path, *python(SLEEP), ready=Ready(tcp=True)), guard, tmp_path)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("argv", "cure"),
    [
        (("no-such-program", "--port", "1"), "command not found: 'no-such-program' is nowhere in PATH"),
        (("./missing.sh",), "relative paths start at"),
        (("COLOUR=red", "python"), "no shell runs the command"),
        (("./text",), "chmod"),
        (("./noshebang",), "put its interpreter first"),
    ],
)
async def test_a_command_that_cannot_start(guard: Guard, tmp_path: Path, argv: tuple[str, ...], cure: str) -> None:
    (tmp_path / "text").write_text("text")
    (tmp_path / "noshebang").write_text("print('hello')")
    (tmp_path / "noshebang").chmod(0o755)
    message = await failure(RunningService(launch(tmp_path, *argv), guard, tmp_path))
    assert cure in message
    assert "'payment' could not be started: process main is" in message


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("code", "cure"),
    [
        ("import no_such_module_anywhere", "its dependencies are not installed"),
        ("print('bye')", "a service must stay in the foreground"),
        ("raise OSError(98, 'Address already in use')", "let its command hold {port}"),
        ("raise SystemExit('Connection refused: localhost:5672')", "localhost:5672, which is none of its links"),
        ("raise SystemExit('login was refused: ACCESS_REFUSED - use PLAIN')", "Use the URL that it is given"),
        ("raise SystemExit('broken')", "its last lines should tell why"),
    ],
)
async def test_an_end_before_it_is_ready(guard: Guard, tmp_path: Path, code: str, cure: str) -> None:
    declared = Launch(
        name="payment",
        commands={"main": python(code)},
        env=os.environ,
        cwd=tmp_path,
        ready=Ready(consumers=1, within=60),
        links={"broker": Address("127.0.0.1", 40001)},
    )
    message = await failure(RunningService(declared, guard, tmp_path))
    assert message.startswith("service 'payment' ended before it was ready (incarnation 1)\n  process main exited with")
    assert "awaited: 1 consumer on its broker link (0 there)" in message
    assert cure in message
    assert "last lines of payment.main.1.log" in message


@pytest.mark.asyncio
async def test_passwords_of_urls_are_not_shown(guard: Guard, tmp_path: Path) -> None:
    url = "amqp://ann:hunter2@127.0.0.1:1/shop"
    printing = launch(tmp_path, *python("import sys; sys.exit('cannot reach ' + sys.argv[1])", url))
    message = await failure(RunningService(printing, guard, tmp_path))
    assert "cannot reach amqp://ann:***@127.0.0.1:1/shop" in message
    missing = await failure(RunningService(launch(tmp_path, "no-such-program", url), guard, tmp_path))
    assert "amqp://ann:***@127.0.0.1:1/shop" in missing
    assert "hunter2" not in f"{message} {missing} {printing!r}"


@pytest.mark.asyncio
async def test_a_link_never_connected_to(guard: Guard, tmp_path: Path) -> None:
    declared = Launch(
        name="payment",
        commands={"main": python(SLEEP)},
        env=os.environ,
        cwd=tmp_path,
        ready=Ready(consumers=1, within=0.5),
        links={"broker": Address("127.0.0.1", 40001)},
    )
    message = await failure(RunningService(declared, guard, tmp_path))
    assert "was not ready after 0.5 s" in message
    assert "it never connected to its link 127.0.0.1:40001: does it read {broker.url} from its environment?" in message


@pytest.mark.asyncio
async def test_listening_on_another_port(guard: Guard, tmp_path: Path) -> None:
    with lease_port() as asked, lease_port() as used:
        ready = Ready(tcp=True, within=2)
        declared = launch(tmp_path, *python(SERVE, used.port), ready=ready, port=asked.port)
        message = await failure(RunningService(declared, guard, tmp_path))
    assert f"it listens on 127.0.0.1:{used.port}, but not on port {asked.port}" in message


@pytest.mark.asyncio
async def test_a_bypassed_link_is_named(guard: Guard, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as real, socket.create_server(("127.0.0.1", 0)) as link:
        ports = [server.getsockname()[1] for server in (real, link)]
        declared = Launch(
            name="payment",
            commands={"main": python(DIAL, *ports)},
            env=os.environ,
            cwd=tmp_path,
            ready=Ready(log="dialled", within=20),
            links={"broker": Address("127.0.0.1", ports[1])},
            real={"broker": await addresses_of("127.0.0.1", ports[0])},
        )
        service = RunningService(declared, guard, tmp_path)
        await service.start()
        remote = (await service.sockets()).remote
        assert remote == {Address("127.0.0.1", port) for port in ports}
        assert bypasses(remote, declared.real) == {"broker": Address("127.0.0.1", ports[0])}
        await service.kill()

        impatient = Launch(
            name="payment",
            commands=declared.commands,
            env=os.environ,
            cwd=tmp_path,
            ready=Ready(log="dialled", consumers=1, within=3),
            links=declared.links,
            real=declared.real,
        )
        message = await failure(RunningService(impatient, guard, tmp_path))
        assert f"'payment' connects to the broker at 127.0.0.1:{ports[0]} directly" in message


@pytest.mark.asyncio
async def test_sockets_of_ipv6_and_of_processes_that_are_gone(guard: Guard, tmp_path: Path) -> None:
    code = """if True:
        import socket, time
        server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        link = socket.create_connection(("127.0.0.1", server.getsockname()[1]))
        peer, _ = server.accept()
        print("up", server.getsockname()[1], flush=True)
        time.sleep(600)
    """
    service = RunningService(launch(tmp_path, *python(code)), guard, tmp_path)
    await service.start()
    port = int(service.tail()["payment.main.1.log"][0].split()[1])
    seen = await service.sockets()
    assert seen.listening == {Address("::", port)}
    assert Address("127.0.0.1", port) in seen.remote
    assert len(seen.remote) == 2, "an IPv4 peer of an IPv6 socket is spelt as IPv4"
    assert all(address.host == "127.0.0.1" for address in seen.remote)
    await service.kill()
    assert (await service.sockets()).remote == frozenset()


@pytest.mark.asyncio
async def test_a_kill_while_it_starts_ends_the_start(guard: Guard, tmp_path: Path) -> None:
    service = RunningService(launch(tmp_path, *python(SLEEP), ready=Ready(log="never")), guard, tmp_path)
    starting = asyncio.create_task(service.start())
    async with asyncio.timeout(20):
        while not service.running:  # noqa: ASYNC110 (nothing is told of a start)
            await asyncio.sleep(0)
    await asyncio.gather(service.kill(), service.kill())
    with pytest.raises(ServiceFailed, match="was ended while it started"):
        await starting


@pytest.mark.asyncio
async def test_frozen_and_killed_at_once(guard: Guard, tmp_path: Path) -> None:
    told: asyncio.Future[ProcessEnd] = asyncio.get_running_loop().create_future()
    service = RunningService(launch(tmp_path, *python(SLEEP)), guard, tmp_path, on_end=told.set_result)
    await service.start()
    pid = service.processes["main"].pid

    async def until_state(states: str) -> None:
        async with asyncio.timeout(20):
            while state(pid) not in states:  # noqa: ASYNC110 (nothing is told of it)
                await asyncio.sleep(0.01)

    service.freeze(True)
    await until_state("T")
    service.freeze(False)
    await until_state("SR")
    service.kill_now()
    end = await told
    assert (end.exit.signal, end.asked) == (signal.SIGKILL, True)
    assert not service.running


def test_leased_ports_differ_and_can_be_bound() -> None:
    leases = [lease_port() for _ in range(50)]
    ports = {lease.port for lease in leases}
    assert len(ports) == 50
    for port in ports:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port))
    for lease in leases:
        lease.release()
