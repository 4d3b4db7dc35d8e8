"""The wire: decoded AMQP messages a second and core, and links beside a bare asyncio relay and a real Toxiproxy.

Run ``python -m benchmarks.wire`` from the repository. Each proxy is a process of its own; its users and what it leads
to are in this one. All rows of a table are taken in turns in the same run, so that ratios hold on a busy machine too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from misstep.harness.brokers.port import Endpoint, Space
from misstep.harness.brokers.rabbitmq.local import LocalRabbit
from misstep.harness.errors import PartMissing
from misstep.harness.services.guardian import Guard
from misstep.harness.wire.amqp.session import amqp
from misstep.harness.wire.facts import Fact, Origin, Settled
from misstep.harness.wire.interceptor import FORWARD, Action, Control, Drop, Heard
from misstep.harness.wire.link import Link
from misstep.harness.wire.relay import Relay
from misstep.harness.wire.session import Numbers
from pamqp import body, commands, header
from pamqp import frame as codec

CHUNK: Final = 1 << 16
PAYLOAD: Final = b'{"order_id": "0b7e3a8e", "amount": 1299, "currency": "EUR", "items": [{"sku": "A1", "quantity": 1}]}'
BATCH: Final = 200


# The session alone


def message(method: codec.FrameTypes, number: int) -> bytes:
    properties = commands.Basic.Properties(
        content_type="application/json", delivery_mode=2, message_id=f"m{number}", headers={"correlation": f"c{number}"}
    )
    parts = (method, header.ContentHeader(0, len(PAYLOAD), properties), body.ContentBody(PAYLOAD))
    return b"".join(codec.marshal(part, 1) for part in parts)


def decode(count: int, hear: Callable[[Fact], Action]) -> float:
    """Return the messages a second of processor time that pass a session, each settled or confirmed."""
    session = amqp()(Origin("bench", 1), Numbers(), hear, print)
    session.from_service(b"AMQP\x00\x00\x09\x01" + codec.marshal(commands.Channel.Open(), 1))
    session.from_service(codec.marshal(commands.Confirm.Select(), 1))
    session.from_service(codec.marshal(commands.Basic.Consume(0, "q", "c", nowait=True), 1))
    numbers = range(1, count + 1)
    published = b"".join(message(commands.Basic.Publish(0, "events", "order.placed"), each) for each in numbers)
    delivered = b"".join(
        message(commands.Basic.Deliver("c", each, False, "events", "order.placed"), each) for each in numbers
    )
    settled = b"".join(codec.marshal(commands.Basic.Ack(each), 1) for each in numbers)
    streams = [
        (published, session.from_service, session.take_for_broker),
        (settled, session.from_broker, session.take_for_service),
        (delivered, session.from_broker, session.take_for_service),
        (settled, session.from_service, session.take_for_broker),
    ]
    start = time.process_time()
    for data, feed, take in streams:
        for at in range(0, len(data), CHUNK):
            feed(data[at : at + CHUNK])
            take()
    return 2 * count / (time.process_time() - start)


def forward(_: Fact) -> Action:
    return FORWARD


def looking(fact: Fact) -> Action:
    """Answer as a fault does that has not found its site: look at what each message is."""
    if isinstance(fact, Settled) and fact.delivery == -1:
        return Drop()
    return FORWARD


# Proxies, each a process of its own


class Bare(asyncio.Protocol):
    """The least that an asyncio relay can be: no flow control, no counting."""

    def __init__(self, upstream: Endpoint | None, peer: Bare | None = None) -> None:
        self.upstream, self.peer, self.early = upstream, peer, bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Dial the upstream, or send it what came early."""
        self.transport = transport  # type: ignore[assignment]
        if self.upstream is not None:
            self.task = asyncio.get_running_loop().create_task(self.dial(self.upstream))
        elif self.peer is not None and self.peer.early:
            transport.write(bytes(self.peer.early))  # type: ignore[attr-defined]

    async def dial(self, upstream: Endpoint) -> None:
        """Connect the other end."""
        self.peer = other = Bare(None, self)
        await asyncio.get_running_loop().create_connection(lambda: other, upstream.host, upstream.port)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)
        else:
            self.early += data

    def connection_lost(self, _: Exception | None) -> None:
        """Close the other end."""
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.close()


def serve(kind: str, port: int, pipe: Pipe) -> None:
    """Run a proxy of ``kind`` until the pipe closes."""
    upstream = Endpoint("127.0.0.1", port)

    def hear(fact: Fact, control: Control) -> Heard:
        return Heard(fact, control)

    def look(heard: Heard) -> Action:
        return looking(heard.fact)

    async def run() -> None:
        if kind == "bare relay":
            server = await asyncio.get_running_loop().create_server(lambda: Bare(upstream), "127.0.0.1", 0)
            pipe.send(server.sockets[0].getsockname()[1])
        else:
            link: Link | Relay = Relay("bench", upstream)
            if kind.startswith("link"):
                link = Link(
                    "bench", upstream, amqp(), hear, print, interceptors=[look] if "interceptor" in kind else []
                )
            await link.open()
            pipe.send(link.port)
        await asyncio.to_thread(pipe.poll, None)

    if "uvloop" in kind:
        import uvloop

        uvloop.run(run())
    else:
        asyncio.run(run())


@contextlib.contextmanager
def proxy(kind: str, port: int) -> Iterator[int]:
    """Run a proxy in front of ``port``; yield its own port."""
    if kind == "direct":
        yield port
    elif kind == "toxiproxy":
        with toxiproxy(port) as own:
            yield own
    else:
        here, there = multiprocessing.get_context("spawn").Pipe()
        process = multiprocessing.get_context("spawn").Process(target=serve, args=(kind, port, there))
        process.start()
        try:
            yield here.recv()
        finally:
            here.close()
            process.terminate()
            process.join()


def toxiproxy_binary() -> str | None:
    return os.environ.get("TOXIPROXY_SERVER") or shutil.which("toxiproxy-server")


@contextlib.contextmanager
def toxiproxy(port: int) -> Iterator[int]:
    """Run a real Toxiproxy server with one proxy and no toxics."""
    api, own = free_port(), free_port()
    process = subprocess.Popen(
        [str(toxiproxy_binary()), "-host", "127.0.0.1", "-port", str(api)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wanted = {"name": "bench", "listen": f"127.0.0.1:{own}", "upstream": f"127.0.0.1:{port}"}
    request = urllib.request.Request(f"http://127.0.0.1:{api}/proxies", json.dumps(wanted).encode())
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                urllib.request.urlopen(request).close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
        yield own
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


# Loads


@contextlib.contextmanager
def listening(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve connections, each in a thread; yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=handle, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]


def sink(connection: socket.socket) -> None:
    """Read until the size that comes first has come, and say so."""
    size = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
    room = memoryview(bytearray(1 << 20))
    while size > 0:
        size -= connection.recv_into(room)
    connection.sendall(b"!")


def echo(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(CHUNK):
        connection.sendall(data)


def bulk(port: int, megabytes: int) -> float:
    """Return MB/s through ``port`` to a sink."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        data = b"x" * (1 << 20)
        start = time.perf_counter()
        connection.sendall((megabytes << 20).to_bytes(8, "big"))
        for _ in range(megabytes):
            connection.sendall(data)
        assert connection.recv(1) == b"!"
        return megabytes * 1.048576 / (time.perf_counter() - start)


def trips(port: int, count: int) -> float:
    """Return round trips a second, one after the other, through ``port`` to an echo."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start = time.perf_counter()
        for _ in range(count):
            connection.sendall(b"ping" * 16)
            connection.recv(64, socket.MSG_WAITALL)
        return count / (time.perf_counter() - start)


class Publisher:
    """A client that publishes in batches and waits for each batch's confirms: raw frames, so that it costs little."""

    def __init__(self, port: int, space: Space, queue: str) -> None:
        url = urlsplit(space.url("127.0.0.1", port))
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data, self.confirmed, self.sent = b"", 0, 0
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.expect(commands.Connection.Start)
        self.ask(
            commands.Connection.StartOk({"product": "bench"}, "PLAIN", f"\0{url.username}\0{url.password}", "en_US"),
            commands.Connection.Tune,
            0,
        )
        self.socket.sendall(codec.marshal(commands.Connection.TuneOk(2047, 131072, 0), 0))
        self.ask(commands.Connection.Open(unquote(url.path[1:])), commands.Connection.OpenOk, 0)
        self.ask(commands.Channel.Open(), commands.Channel.OpenOk)
        self.ask(commands.Queue.Declare(0, queue), commands.Queue.DeclareOk)
        self.ask(commands.Queue.Purge(0, queue), commands.Queue.PurgeOk)
        self.ask(commands.Confirm.Select(), commands.Confirm.SelectOk)
        self.batch = message(commands.Basic.Publish(0, "", queue), 1) * BATCH

    def ask(self, request: codec.FrameTypes, reply: type[Any], channel: int = 1) -> None:
        """Send a request and wait for its reply."""
        self.socket.sendall(codec.marshal(request, channel))
        self.expect(reply)

    def expect(self, kind: type[Any]) -> Any:
        """Read the next frame, which must be of this kind."""
        while True:
            if len(self.data) >= 8 and len(self.data) >= 8 + int.from_bytes(self.data[3:7], "big"):
                size, _, frame = codec.unmarshal(self.data)
                self.data = self.data[size:]
                assert isinstance(frame, kind), f"{frame!r} where {kind.__name__} was due"
                return frame
            more = self.socket.recv(CHUNK)
            assert more, f"closed where {kind.__name__} was due"
            self.data += more

    def rate(self, count: int) -> float:
        """Return confirmed messages a second."""
        start = time.perf_counter()
        for _ in range(count // BATCH):
            self.socket.sendall(self.batch)
            self.sent += BATCH
            while self.confirmed < self.sent:
                confirm = self.expect(commands.Basic.Ack)
                self.confirmed = confirm.delivery_tag if confirm.multiple else self.confirmed + 1
        return (count // BATCH) * BATCH / (time.perf_counter() - start)

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


# Tables


def compare(title: str, unit: str, rows: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Take each row once a round, and print the best of each: what other programs took away is no property of ours."""
    best = dict.fromkeys(rows, 0.0)
    for _ in range(rounds):
        for name, measure in rows.items():
            best[name] = max(best[name], measure())
    base = best.get("bare relay") or max(best.values())
    print(f"\n{title}")
    for name, value in best.items():
        print(f"  {name:<28}{value:>12,.0f} {unit:<12}{value / base:>6.2f}", flush=True)
    return best


def sockets(arguments: argparse.Namespace, results: dict[str, dict[str, float]]) -> None:
    kinds = ["direct", "bare relay", "relay", "relay on uvloop"] + (["toxiproxy"] if toxiproxy_binary() else [])
    for title, unit, handle, load, amount in (
        ("Bulk through a relay", "MB/s", sink, bulk, arguments.megabytes),
        ("Round trips through a relay", "trips/s", echo, trips, arguments.trips),
    ):
        with listening(handle) as port, contextlib.ExitStack() as stack:
            ports = {kind: stack.enter_context(proxy(kind, port)) for kind in kinds}
            rows = {kind: partial(load, own, amount) for kind, own in ports.items()}
            results[title] = compare(title, unit, rows, arguments.rounds)


async def confirming(arguments: argparse.Namespace, results: dict[str, dict[str, float]]) -> None:
    kinds = ["direct", "bare relay", "link", "link with an interceptor", "link on uvloop"]
    kinds += ["toxiproxy"] if toxiproxy_binary() else []
    async with Guard() as guard, LocalRabbit(guard) as rabbit:
        space = await rabbit.space("bench")

        def measure() -> dict[str, float]:
            with contextlib.ExitStack() as stack:
                ports = {kind: stack.enter_context(proxy(kind, space.endpoint.port)) for kind in kinds}
                clients = {kind: Publisher(own, space, f"q{own}") for kind, own in ports.items()}
                rows = {kind: partial(client.rate, arguments.messages) for kind, client in clients.items()}
                title = f"A confirming client on {rabbit.version}, {BATCH} at a time"
                found = compare(title, "messages/s", rows, arguments.rounds)
                for client in clients.values():
                    client.close()
                return found

        results["confirming"] = await asyncio.to_thread(measure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="how often each row is taken; the best is shown")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--megabytes", type=int, default=128)
    parser.add_argument("--trips", type=int, default=2_000)
    parser.add_argument("--json", action="store_true", help="print all results as JSON at the end")
    arguments = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    rows = {
        "nobody answers": lambda: decode(arguments.messages, forward),
        "with an interceptor": lambda: decode(arguments.messages, looking),
    }
    results["session"] = compare(
        "AMQP messages decoded, with their settlements, a second of one core", "messages/s", rows, arguments.rounds
    )
    sockets(arguments, results)
    try:
        asyncio.run(confirming(arguments, results))
    except PartMissing as missing:
        print(f"\nno confirming client: {missing}")
    if not toxiproxy_binary():
        print("\nno Toxiproxy: put toxiproxy-server on the PATH, or name it in TOXIPROXY_SERVER")
    if arguments.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
