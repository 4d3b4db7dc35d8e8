"""A virtual host: its exchanges, queues and bindings as tables, and what clients do to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from misstep.harness.brokers.rabbitmq.model import arguments as declared
from misstep.harness.brokers.rabbitmq.model.dead_letters import dead_message, outside_cycles
from misstep.harness.brokers.rabbitmq.model.errors import (
    AmqpError,
    exchange_title,
    not_found,
    precondition_failed,
    queue_title,
    refused,
)
from misstep.harness.brokers.rabbitmq.model.exchanges import KINDS, PREDECLARED, Binding, Exchange
from misstep.harness.brokers.rabbitmq.model.message import Message
from misstep.harness.brokers.rabbitmq.model.queues import Entry, Queue
from misstep.harness.brokers.rabbitmq.model.tables import Table, plain

_ALTERNATE = "alternate-exchange"


@dataclass(slots=True)
class Clock:
    """The broker's time, moved on by whoever drives it.

    Attributes:
        now: Seconds on the driver's own scale.
        epoch: What to add for seconds since 1970.
    """

    now: float = 0.0
    epoch: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one published message.

    Attributes:
        routed: Whether at least one queue was bound to it.
        accepted: Whether no queue rejected it.
    """

    routed: bool
    accepted: bool


@dataclass(slots=True)
class VirtualHost:
    """One virtual host.

    Attributes:
        name: Its name.
        clock: The broker's time.
        names: Makes a name that was never used, from a prefix.
        exchanges: Its exchanges by name.
        queues: Its queues by name.
    """

    name: str
    clock: Clock
    names: Callable[[str], str]
    exchanges: dict[str, Exchange] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, kind in PREDECLARED.items():
            self.exchanges[name] = Exchange(name, kind)

    # Exchanges

    def exchange(self, name: str) -> Exchange:
        """Return an exchange.

        Raises:
            AmqpError: 404 when there is none of this name, 540 for those of a kind that is not modelled.
        """
        if name in ("amq.headers", "amq.match", "amq.rabbitmq.trace"):
            raise refused(f"exchange '{name}'", "headers exchange")
        found = self.exchanges.get(name)
        if found is None:
            raise not_found(exchange_title(name, self.name))
        return found

    def declare_exchange(self, wanted: Exchange) -> None:
        """Make an exchange, or check that it is what the client thinks.

        Raises:
            AmqpError: It cannot be made, or differs.
        """
        title = exchange_title(wanted.name, self.name)
        raise_if_default(wanted.name)
        _raise_unless_modelled(wanted.kind, title)
        if wanted.name.startswith("amq.") and wanted.name not in self.exchanges:
            self.exchange(wanted.name) if wanted.name in ("amq.headers", "amq.match") else None
            raise reserved("exchange", wanted.name)
        current = self.exchanges.get(wanted.name)
        if current is None:
            self.exchanges[wanted.name] = wanted
            return
        for key, was, now in (
            ("type", current.kind, wanted.kind),
            ("durable", current.durable, wanted.durable),
            ("auto_delete", current.auto_delete, wanted.auto_delete),
            ("internal", current.internal, wanted.internal),
            (_ALTERNATE, current.arguments.get(_ALTERNATE), wanted.arguments.get(_ALTERNATE)),
        ):
            declared.check_equivalence(title, key, was, now)

    def delete_exchange(self, name: str, *, if_unused: bool) -> None:
        """Delete an exchange and the bindings at both its ends; one that is not there is fine.

        Raises:
            AmqpError: It is the broker's own, or in use.
        """
        raise_if_default(name)
        if name.startswith("amq.") and name in self.exchanges:
            raise AmqpError(403, f"deletion of system {exchange_title(name, self.name)} not allowed")
        exchange = self.exchanges.get(name)
        if exchange is None:
            return
        if if_unused and exchange.bindings:
            raise precondition_failed(f"{exchange_title(name, self.name)} in use")
        self._drop_exchange(exchange)

    def _drop_exchange(self, exchange: Exchange) -> None:
        del self.exchanges[exchange.name]
        self._drop_bindings_to("exchange", exchange.name)

    # Bindings

    def bind(
        self, to: Literal["queue", "exchange"], destination: str, source: str, routing_key: str, arguments: Table
    ) -> None:
        """Bind a queue or exchange to an exchange; a binding that is there already is fine.

        Raises:
            AmqpError: One end does not exist, or is the default exchange.
        """
        raise_if_default(source)
        durable = self._destination(to, destination)
        exchange = self.exchange(source)
        binding = Binding(source, destination, to, routing_key, plain(arguments), durable=durable and exchange.durable)
        if binding not in exchange.bindings:
            exchange.bindings.append(binding)

    def _destination(self, to: str, name: str) -> bool:
        if to == "exchange":
            raise_if_default(name)
            return self.exchange(name).durable
        if name not in self.queues:
            raise not_found(queue_title(name, self.name))
        return self.queues[name].durable

    def unbind(
        self, to: Literal["queue", "exchange"], destination: str, source: str, routing_key: str, arguments: Table
    ) -> None:
        """Remove a binding; one that is not there is fine, and so are ends that are not.

        Raises:
            AmqpError: One end is the default exchange.
        """
        raise_if_default(source)
        exchange = self.exchanges.get(source)
        if exchange is None:
            return
        gone = Binding(source, destination, to, routing_key, plain(arguments))
        self._keep_bindings(exchange, lambda one: _ends(one) != _ends(gone) or one.arguments != gone.arguments)

    def _keep_bindings(self, exchange: Exchange, keep: Callable[[Binding], bool]) -> None:
        kept = [binding for binding in exchange.bindings if keep(binding)]
        removed = len(kept) < len(exchange.bindings)
        exchange.bindings = kept
        if removed and not kept and exchange.auto_delete and exchange.name in self.exchanges:
            self._drop_exchange(exchange)

    def _drop_bindings_to(self, to: str, name: str) -> None:
        for exchange in list(self.exchanges.values()):
            self._keep_bindings(exchange, lambda one: (one.to, one.destination) != (to, name))

    def bindings(self) -> Iterator[Binding]:
        """Yield every binding, those of the default exchange left out."""
        for exchange in self.exchanges.values():
            yield from exchange.bindings

    # Queues

    def queue(self, name: str, owner: object) -> Queue:
        """Return a queue that a connection may use.

        Raises:
            AmqpError: 404 when there is none of this name, 405 when it is another connection's own.
        """
        found = self.queues.get(name)
        if found is None:
            raise not_found(queue_title(name, self.name))
        if found.owner is not None and found.owner is not owner:
            raise self._locked(name)
        return found

    def _locked(self, name: str) -> AmqpError:
        return AmqpError(
            405,
            f"cannot obtain exclusive access to locked {queue_title(name, self.name)}. It could be originally "
            "declared on another connection or the exclusive property value does not match that of the original "
            "declaration.",
        )

    def declare_queue(
        self, name: str, owner: object | None, *, durable: bool, auto_delete: bool, arguments: Table
    ) -> Queue:
        """Make a queue, or check that it is what the client thinks.

        Args:
            name: Its name; empty for one that the broker makes up.
            owner: The connection it is to be exclusive to, or None.
            durable: Whether it outlives a crash; an exclusive one never does.
            auto_delete: Whether it goes with its last consumer.
            arguments: Its further arguments.

        Raises:
            AmqpError: It cannot be made, or differs.
        """
        durable = durable and owner is None
        if not name:
            name = self._made_up_name(arguments)
        elif name.startswith("amq."):
            raise reserved("queue", name)
        current = self.queues.get(name)
        title = queue_title(name, self.name)
        if current is not None:
            self._check_redeclaration(current, owner, durable, auto_delete, arguments)
            current.used = self.clock.now
            return current
        limits = declared.read(title, arguments)
        if limits.quorum:
            declared.raise_unless_quorum_fits(
                title, durable=durable, exclusive=owner is not None, auto_delete=auto_delete
            )
        queue = Queue(name, limits, arguments, self._discard, durable, auto_delete, owner, self.clock.now)
        self.queues[name] = queue
        return queue

    def _made_up_name(self, arguments: Table) -> str:
        if declared.queue_type("queue ''", arguments) == "quorum":
            raise precondition_failed("Cannot declare a server-named queue for type rabbit_quorum_queue")
        return self.names("amq.gen-")

    def _check_redeclaration(
        self, current: Queue, owner: object | None, durable: bool, auto_delete: bool, arguments: Table
    ) -> None:
        title = queue_title(current.name, self.name)
        if current.owner is not owner:
            raise self._locked(current.name)
        declared.check_equivalence(title, "durable", current.durable, durable)
        declared.check_equivalence(title, "auto_delete", current.auto_delete, auto_delete)
        kind = "quorum" if current.limits.quorum else "classic"
        declared.check_redeclaration(title, kind, current.arguments, arguments)

    def delete_queue(self, name: str, owner: object, *, if_unused: bool, if_empty: bool) -> int:
        """Delete a queue and say how many messages went with it; one that is not there is fine.

        Raises:
            AmqpError: It is in use, not empty, or another connection's own.
        """
        if name not in self.queues:
            return 0
        queue = self.queue(name, owner)
        title = queue_title(name, self.name)
        if if_unused and queue.consumers:
            raise precondition_failed(f"{title} in use")
        if if_empty and queue.ready:
            raise precondition_failed(f"{title} not empty")
        count = len(queue.ready)
        self.drop_queue(queue)
        return count

    def drop_queue(self, queue: Queue) -> None:
        """Delete a queue whatever its state: its consumers are told, and nothing is dead-lettered."""
        if self.queues.get(queue.name) is not queue:
            return
        del self.queues[queue.name]
        self._drop_bindings_to("queue", queue.name)
        consumers = list(queue.consumers)
        queue.clear()
        for consumer in consumers:
            consumer.channel.cancelled(consumer)

    def release(self, owner: object) -> None:
        """Delete the queues that were exclusive to a connection that is gone."""
        for queue in [queue for queue in self.queues.values() if queue.owner is owner]:
            self.drop_queue(queue)

    # Messages

    def route(self, exchange: Exchange, keys: Iterable[str]) -> list[Queue]:
        """Return the queues that a message with these routing keys reaches, each once."""
        keys = tuple(keys)
        names: dict[str, None] = {}
        pending, seen = [exchange.name], set()
        while pending:
            current = self.exchanges.get(pending.pop(0))
            if current is None or current.name in seen:
                continue
            seen.add(current.name)
            taken = self._step(current, keys)
            names.update(dict.fromkeys(name for to, name in taken if to == "queue"))
            pending += [name for to, name in taken if to == "exchange"]
            if not taken and current.alternate is not None:
                pending.append(current.alternate)
        return [self.queues[name] for name in names if name in self.queues]

    def _step(self, exchange: Exchange, keys: tuple[str, ...]) -> list[tuple[str, str]]:
        if exchange.name == "":
            return [("queue", key) for key in keys if key in self.queues]
        return [(binding.to, binding.destination) for key in keys for binding in exchange.matching(key)]

    def publish(self, message: Message) -> Outcome:
        """Route a message and put it into every queue it reaches.

        Raises:
            AmqpError: 404 when its exchange does not exist.
        """
        exchange = self.exchange(message.exchange)
        if exchange.internal:
            raise AmqpError(403, f"cannot publish to internal {exchange_title(exchange.name, self.name)}")
        queues = self.route(exchange, (message.routing_key, *message.copies))
        accepted = [queue.push(message, self.clock.now) for queue in queues]
        return Outcome(bool(queues), all(accepted))

    def _discard(self, queue: Queue, entry: Entry, reason: str) -> None:
        target = queue.limits.dead_letter_exchange
        exchange = self.exchanges.get(target) if target is not None else None
        if exchange is None:
            return
        seconds = int(self.clock.epoch + self.clock.now)
        message = dead_message(queue, entry.message, reason, seconds)
        queues = self.route(exchange, (message.routing_key, *message.copies))
        for reached in outside_cycles(queues, message, reason):
            reached.push(message, self.clock.now)

    # Time

    def tick(self) -> None:
        """Discard messages and queues that are past their time."""
        now = self.clock.now
        for queue in list(self.queues.values()):
            due = queue.unused_due()
            if due is not None and due <= now:
                self.drop_queue(queue)
            else:
                queue.expire(now)

    def next_due(self) -> float | None:
        """When a timer of one of its queues fires next; None when none runs."""
        due = [time for queue in self.queues.values() if (time := queue.next_due()) is not None]
        return min(due, default=None)

    def crash(self) -> None:
        """Keep what RabbitMQ keeps on disk: durable exchanges, queues, bindings, and persistent messages."""
        for queue in [queue for queue in self.queues.values() if not queue.durable]:
            queue.consumers.clear()
            self.drop_queue(queue)
        for exchange in [exchange for exchange in self.exchanges.values() if not exchange.durable]:
            self._drop_exchange(exchange)
        for queue in self.queues.values():
            queue.crash(self.clock.now)


def raise_if_default(name: str) -> None:
    """Refuse what may not be done to the default exchange.

    Raises:
        AmqpError: 403.
    """
    if not name:
        raise AmqpError(403, "operation not permitted on the default exchange")


def reserved(kind: str, name: str) -> AmqpError:
    """Return the error for a name that only the broker may give."""
    return AmqpError(403, f"{kind} name '{name}' contains reserved prefix 'amq.*'")


def _raise_unless_modelled(kind: str, title: str) -> None:
    if kind == "headers":
        raise refused(f"type 'headers' of {title}", "headers exchange")
    if kind not in KINDS:
        raise AmqpError(503, f"unknown exchange type '{kind}'")


def _ends(binding: Binding) -> tuple[str, str, str]:
    return binding.to, binding.destination, binding.routing_key
