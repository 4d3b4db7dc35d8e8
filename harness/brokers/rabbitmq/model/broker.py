"""The broker: virtual hosts, connections, users, time, and a crash.

Nothing here reads a clock, draws a random number or touches a socket. Whoever drives the broker passes the time in
with every call, hands over bytes, and fetches the bytes that are to be sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from misstep.harness.brokers.port import QueueState, Route
from misstep.harness.brokers.rabbitmq.model.connection import Connection
from misstep.harness.brokers.rabbitmq.model.errors import AmqpError
from misstep.harness.brokers.rabbitmq.model.queues import Queue
from misstep.harness.brokers.rabbitmq.model.tables import plain
from misstep.harness.brokers.rabbitmq.model.virtual_host import Clock, VirtualHost

VERSION = "3.10.8"
"""The RabbitMQ whose behaviour is modelled."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What the broker proposes to every connection.

    Attributes:
        channel_max: The most channels.
        frame_max: The largest frame, in bytes.
        heartbeat: The time between heartbeats, in seconds.
    """

    channel_max: int = 2047
    frame_max: int = 131072
    heartbeat: int = 60


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something a client asked for and the model does not do, so that a report can say so.

    Attributes:
        connection: The client's name, as the server knows it.
        method: What it called.
        feature: The row of the feature table.
        text: What it was told.
    """

    connection: str
    method: str
    feature: str
    text: str


def counted_names() -> Callable[[str], str]:
    """Return a maker of names that counts, so that a run is the same every time."""
    numbers = count(1)
    return lambda prefix: f"{prefix}{next(numbers):022d}"


@dataclass(eq=False, slots=True)
class Broker:
    """An executable specification of RabbitMQ 3.10's delivery semantics.

    Attributes:
        names: Makes queue names and consumer tags nobody chose, from a prefix.
        users: Passwords by user.
        tuning: What it proposes to every connection.
        version: Which RabbitMQ it says it is.
        clock: Its time.
        vhosts: Its virtual hosts by name; ``/`` is there from the start.
        connections: Everybody who is connected, in the order of arrival.
        refusals: What clients asked for and was not done, in order.
    """

    names: Callable[[str], str] = field(default_factory=counted_names)
    users: Mapping[str, str] = field(default_factory=lambda: {"guest": "guest"})
    tuning: Tuning = Tuning()
    version: str = VERSION
    clock: Clock = field(default_factory=Clock)
    vhosts: dict[str, VirtualHost] = field(default_factory=dict)
    connections: dict[Connection, None] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    _talkative: dict[Connection, None] = field(default_factory=dict)
    _due: float | None = None

    def __post_init__(self) -> None:
        self.add_vhost("/")

    # Virtual hosts

    def add_vhost(self, name: str) -> None:
        """Make a virtual host; one that is there already stays as it is."""
        if name not in self.vhosts:
            self.vhosts[name] = VirtualHost(name, self.clock, self.names)

    def remove_vhost(self, name: str, now: float) -> None:
        """Delete a virtual host with all that is in it, and close its connections with 320."""
        self.clock.now = now
        vhost = self.vhosts.pop(name, None)
        for connection in [one for one in self.connections if vhost is not None and one.vhost is vhost]:
            connection.fail(AmqpError(320, f"vhost '{name}' is deleted"))

    # Connections

    def connect(self, name: str, now: float) -> Connection:
        """Accept a connection; ``name`` says who it is in reports."""
        self.clock.now = now
        connection = Connection(self, name)
        self.connections[connection] = None
        return connection

    def talkative(self) -> list[Connection]:
        """Return the connections that have something to send or are to be closed, and forget which they were."""
        talkative = list(self._talkative)
        self._talkative.clear()
        return talkative

    def wake(self, connection: Connection) -> None:
        """Note that a connection has something to send, or is to be closed."""
        self._talkative[connection] = None

    def forget(self, connection: Connection) -> None:
        """Note that a connection is gone."""
        self.connections.pop(connection, None)

    def note_refusal(self, connection: str, method: str, error: AmqpError) -> None:
        """Keep a refusal for the report."""
        self.refusals.append(Refusal(connection, method, error.feature, error.text))

    # Time

    def tick(self, now: float) -> None:
        """Let everything happen that is due by now: expiries, heartbeats, connections that fell silent."""
        self.clock.now = max(now, self.clock.now)
        for vhost in list(self.vhosts.values()):
            vhost.tick()
        for connection in list(self.connections):
            connection.tick()

    def next_deadline(self) -> float | None:
        """When :meth:`tick` has something to do next; None for never."""
        due = [time for vhost in self.vhosts.values() if (time := vhost.next_due()) is not None]
        due += [time for connection in self.connections if (time := connection.next_due()) is not None]
        return min(due, default=None)

    def crash(self, now: float) -> None:
        """Lose what RabbitMQ loses when its machine does: all connections, transient queues and messages."""
        self.clock.now = now
        for connection in list(self.connections):
            connection.vanish()
        self.connections.clear()
        self._talkative.clear()
        for vhost in self.vhosts.values():
            vhost.crash()

    # What the harness may know

    def queues(self, vhost: str) -> tuple[QueueState, ...]:
        """Return the state of every queue of a virtual host, in the order of declaration.

        Raises:
            KeyError: There is no such virtual host.
        """
        return tuple(_state(queue, self.clock.now) for queue in self.vhosts[vhost].queues.values())

    def routes(self, vhost: str) -> tuple[Route, ...]:
        """Return every binding of a virtual host, those of the default exchange left out.

        Raises:
            KeyError: There is no such virtual host.
        """
        space = self.vhosts[vhost]
        return tuple(
            Route(one.source, one.destination, one.routing_key, space.exchanges[one.source].kind, one.to == "exchange")
            for one in space.bindings()
        )


def _state(queue: Queue, now: float) -> QueueState:
    due = queue.message_due()
    dead_letters = queue.limits.dead_letter_exchange is not None
    return QueueState(
        name=queue.name,
        ready=len(queue.ready),
        unacked=len(queue.unacked),
        consumers=len(queue.consumers),
        exclusive=queue.owner is not None,
        ttl_due=max(0.0, due - now) if due is not None and dead_letters else None,
        dead_letters=dead_letters,
        arguments=plain(queue.arguments),
    )
