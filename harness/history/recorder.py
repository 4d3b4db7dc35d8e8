"""Turns what is heard on the links into a history, and gives every message its name.

One recorder listens to all links of a stage, on the stage's event loop. :meth:`Recorder.heard` names a fact before
anybody has decided about it; :meth:`Recorder.acted` is told the decision, and only then is it written what became of
the fact: a delivery that a fault dropped was none, and an acknowledgement that a fault turned into a refusal neither.
:meth:`Recorder.answering` puts both together, so that a link needs only ``listener=recorder.heard`` and
``interceptors=[recorder.answering(interceptors)]``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from misstep.harness.brokers.port import Route
from misstep.harness.choreography.words import EventRules
from misstep.harness.history import entries
from misstep.harness.history.causes import Causes
from misstep.harness.history.handling import Known, Taught
from misstep.harness.history.history import History
from misstep.harness.history.identity import died_in
from misstep.harness.history.payload import shown_body, shown_table
from misstep.harness.history.standing import consumer_entry, queue_entry, standing
from misstep.harness.history.topology import Declared, Topology
from misstep.harness.history.wire_state import Consuming, Outstanding, WireState
from misstep.harness.wire import facts
from misstep.harness.wire.interceptor import (
    FORWARD,
    Action,
    Control,
    Cut,
    Drop,
    Heard,
    Hold,
    Interceptor,
    Kill,
    Replace,
)

MOST_PUBLISHES: Final = 4096
"""How many publications without a confirm are remembered, for a return that may name them."""


class Recorder:
    """Writes the history of one run after the other on one stage.

    Args:
        rules: Where events keep their type, correlation and id.
        history: Where to write.
        clock: Seconds since the run began.
        foreign: Correlations of earlier runs, whose stragglers belong to no saga of this one.
        taught: What led to what in clean runs (:func:`~misstep.harness.history.handling.learn_causes`).

    Attributes:
        wire: What the links have shown to stand now.
        topology: Which queue is bound to what.
    """

    def __init__(
        self,
        rules: EventRules,
        history: History,
        clock: Callable[[], float],
        *,
        foreign: Collection[str] = (),
        taught: Taught | None = None,
    ) -> None:
        self.wire = WireState()
        self.topology = Topology()
        self._rules = rules
        self._history = history
        self._clock = clock
        self._foreign = frozenset(foreign)
        self._causes = Causes(rules, foreign=foreign, taught=taught)
        self._numbers = 0
        self._deliveries: dict[tuple[str, int], tuple[Outstanding, Known]] = {}
        self._publishes: dict[tuple[str, int], tuple[Known, int]] = {}
        self._held: dict[tuple[int, str], Heard] = {}
        self._controls: dict[int, RecordedControl] = {}
        self._passed: set[tuple[str, str]] = set()
        self._hear: Mapping[type, Callable[[Any, Control], Heard]] = {
            facts.Opened: self._opened,
            facts.Closed: self._closed,
            facts.Published: self._published,
            facts.Confirmed: self._confirmed,
            facts.Returned: self._returned,
            facts.Delivered: self._delivered,
            facts.Settled: self._settled,
            facts.DeclaredExchange: self._exchange,
            facts.DeclaredQueue: self._queue,
            facts.Bound: self._bound,
            facts.Deleted: self._deleted,
            facts.Consuming: self._consuming,
            facts.Cancelled: self._cancelled,
            facts.PassedThrough: self._passed_through,
        }

    # -- the run

    def begin(
        self, history: History, *, clock: Callable[[], float] | None = None, taught: Taught | None = None
    ) -> None:
        """Begin the next run on the same stage; what stands there is written into its history first.

        Args:
            history: The next run's history.
            clock: Seconds since that run began; None keeps the clock.
            taught: What led to what in clean runs.
        """
        self._history = history
        self._clock = clock or self._clock
        self._foreign |= self._causes.correlations
        self._causes = Causes(self._rules, foreign=self._foreign, taught=taught)
        self._numbers = 0
        self._deliveries.clear()
        self._publishes.clear()
        self._passed.clear()
        for entry in standing(self.topology, self.wire, self._clock()):
            history.append(entry)

    def asked(self, routes: Iterable[Route], queues: Iterable[str]) -> None:
        """Learn the bindings and queues that the broker answered; what was not heard on a link is recorded now."""
        known = set(self.topology.queues), {route for all_ in self.topology.routes.values() for route in all_}
        self.topology.asked(routes, queues)
        at = self._clock()
        for name, declared in self.topology.queues.items():
            if name not in known[0]:
                self._history.append(queue_entry(at, name, declared))
        for route in [route for all_ in self.topology.routes.values() for route in all_ if route not in known[1]]:
            self._history.append(_binding(at, "", route))

    def driving(self, saga: int, correlation: str = "") -> None:
        """Say that the driver of a saga is about to run; ``correlation`` where it is known beforehand."""
        self._causes.driving(saga, correlation)

    def drove(self, saga: int, driver: str, result: entries.Result, *, correlation: str = "", detail: str = "") -> None:
        """Say that the driver of a saga has ended, and how it knows its saga."""
        self._causes.drove(saga, correlation)
        self._history.append(
            entries.Drove(
                at=self._clock(), saga=saga, driver=driver, result=result, correlation=correlation, detail=detail
            )
        )

    def published_by_driver(self, saga: int, message: facts.Message) -> str:
        """Record what a driver publishes to the broker itself, before it does; return the message's name."""
        owed = self.topology.routes_to(message.exchange, message.routing_key, message.headers)
        known = self._causes.published_by_driver(saga, message, owed[0] if owed else "")
        fact = facts.Published(facts.Origin("", 0), 0, message, confirming=True, persistent=True)
        self._history.append(self._published_entry(fact, known, owed))
        return known.name

    def confirmed_to_driver(self, message: str, ok: bool = True) -> None:
        """Record that the broker took what a driver published, or refused it."""
        self._history.append(entries.Confirmed(at=self._clock(), message=message, ok=ok))

    # -- the listener of every link

    def heard(self, fact: facts.Fact, control: Control) -> Heard:
        """Name a fact; the ``listener`` of every link.

        Returns:
            The fact with its names. Whoever releases what is held must do so by the ``control`` in it.
        """
        return self._hear[type(fact)](fact, self.control(control))

    def acted(self, heard: Heard, action: Action) -> None:
        """Record what became of a fact, once it is decided; called once for each fact, right after it was heard."""
        match heard.fact:
            case facts.Published():
                self._publish_acted(heard, action)
            case facts.Delivered():
                self._delivery_acted(heard, action)
            case facts.Settled():
                self._settlement_acted(heard, action)

    def answering(self, interceptors: Sequence[Interceptor]) -> Interceptor:
        """Return one interceptor that asks all of them, answers with the first that decides, and records that.

        Args:
            interceptors: Asked in order, each time anew, so the list may change while links run.
        """

        def answer(heard: Heard) -> Action:
            action: Action = FORWARD
            for interceptor in tuple(interceptors):
                given = interceptor(heard)
                if action is FORWARD:
                    action = given
            self.acted(heard, action)
            return action

        return answer

    def control(self, control: Control) -> RecordedControl:
        """Return the control of a link that tells us what it releases."""
        if isinstance(control, RecordedControl):
            return control
        if id(control) not in self._controls:
            self._controls[id(control)] = RecordedControl(control, self._released)
        return self._controls[id(control)]

    def _released(self, control: Control, ticket: str, sent: bool) -> None:
        heard = self._held.pop((id(control), ticket), None)
        if heard is not None and sent:
            self._go_on(heard)

    def _go_on(self, heard: Heard) -> None:
        self._withhold(heard.fact, False)
        if isinstance(heard.fact, facts.Delivered):
            self._deliver(heard, heard.fact)
        elif isinstance(heard.fact, facts.Settled):
            self._settle(heard, heard.fact, "service")

    def _hold(self, heard: Heard, ticket: str) -> None:
        self._held[id(_inner(heard.control)), ticket] = heard
        self._withhold(heard.fact, True)

    def _withhold(self, fact: facts.Fact, withheld: bool) -> None:
        if isinstance(fact, facts.Published):
            self.wire.withhold_publish(fact.origin.service, fact.publish, withheld=withheld)
        elif isinstance(fact, facts.Delivered | facts.Settled):
            self.wire.withhold(fact.origin.service, fact.delivery, withheld=withheld)

    # -- publications

    def _published(self, fact: facts.Published, control: Control) -> Heard:
        origin, message = fact.origin, fact.message
        owed = self.topology.routes_to(message.exchange, message.routing_key, message.headers)
        known = self._causes.published(origin.service, message, owed[0] if owed else "")
        key = origin.service, fact.publish
        self._publishes[key] = known, known.sent
        if len(self._publishes) > MOST_PUBLISHES:
            del self._publishes[next(iter(self._publishes))]
        if fact.confirming:
            self.wire.unconfirmed[key] = Outstanding(
                origin.service, origin.connection, origin.channel, fact.publish, known.name, attempt=known.sent
            )
        if fact.transactional:
            self.wire.transactions.add((origin.service, origin.connection, origin.channel))
        for queue in owed or ():
            if self.topology.queues[queue].exclusive:
                self.wire.backlog[queue] += 1
        self._history.append(self._published_entry(fact, known, owed))
        self.wire.stirred(origin.service, self._clock(), stimulus=True)
        return Heard(fact, control, known.name, known.event, known.saga, attempt=known.sent)

    def _published_entry(self, fact: facts.Published, known: Known, owed: tuple[str, ...] | None) -> entries.Published:
        message = fact.message
        return entries.Published(
            at=self._clock(),
            message=known.name,
            event=known.event,
            saga=known.saga,
            correlation=known.correlation,
            service=fact.origin.service,
            cause=known.parent.name if known.parent else "",
            cause_kind=known.cause_kind,
            depth=known.depth,
            owed=owed,
            exchange=message.exchange,
            routing_key=message.routing_key,
            id=known.id,
            confirming=fact.confirming,
            mandatory=fact.mandatory,
            persistent=fact.persistent,
            transactional=fact.transactional,
            headers=shown_table(message.headers),
            properties=shown_table(message.properties),
            body=shown_body(message.body),
            size=len(message.body),
            connection=fact.origin.connection,
            channel=fact.origin.channel,
        )

    def _publish_acted(self, heard: Heard, action: Action) -> None:
        fact = heard.fact
        assert isinstance(fact, facts.Published)
        if isinstance(action, Hold):
            self._hold(heard, action.ticket)
        elif isinstance(action, Replace) and isinstance(action.fact, facts.Published):
            self._causes.replaced(self._publishes[fact.origin.service, fact.publish][0], action.fact.message)
        elif _stops(action):
            self._lose(heard)

    def _lose(self, heard: Heard) -> None:
        fact = heard.fact
        assert isinstance(fact, facts.Published)
        key = fact.origin.service, fact.publish
        self.wire.unconfirmed.pop(key, None)
        known, _ = self._publishes.pop(key, (None, 0))
        if known is not None:
            self._causes.lost(known)
        for queue in self.topology.routes_to(fact.message.exchange, fact.message.routing_key) or ():
            self.wire.backlog[queue] -= self.wire.backlog[queue] > 0
        self._history.append(entries.Lost(at=self._clock(), message=heard.message, service=fact.origin.service))

    def _confirmed(self, fact: facts.Confirmed, control: Control) -> Heard:
        service = fact.origin.service
        self.wire.unconfirmed.pop((service, fact.publish), None)
        known, attempt = self._publishes.pop((service, fact.publish), (None, 0))
        self.wire.stirred(service, self._clock(), stimulus=True)
        if known is None:
            return Heard(fact, control)
        if not fact.ok:
            self._causes.lost(known)
        self._history.append(entries.Confirmed(at=self._clock(), message=known.name, service=service, ok=fact.ok))
        return Heard(fact, control, known.name, known.event, known.saga, attempt=attempt)

    def _returned(self, fact: facts.Returned, control: Control) -> Heard:
        service = fact.origin.service
        known = self._publishes.get((service, fact.publish), (None, 0))[0] if fact.publish is not None else None
        known = known or self._causes.sent(fact.message)
        if known is None:
            return Heard(fact, control)
        self._causes.lost(known)
        self._history.append(
            entries.Returned(at=self._clock(), message=known.name, service=service, reason=fact.reason)
        )
        return Heard(fact, control, known.name, known.event, known.saga)

    # -- deliveries

    def _delivered(self, fact: facts.Delivered, control: Control) -> Heard:
        service = fact.origin.service
        seen = self._causes.delivered(service, fact.message, fact.queue, redelivered=fact.redelivered, copy=fact.copy)
        known, attempt = seen.known, seen.attempt
        self._numbers += 1
        item = Outstanding(
            service,
            fact.origin.connection,
            fact.origin.channel,
            self._numbers,
            known.name,
            fact.queue,
            attempt,
            fact.copy,
        )
        self._deliveries[service, fact.delivery] = item, known
        if fact.unsettled:
            self.wire.unsettled[service, fact.delivery] = item
        if not (fact.redelivered or fact.copy) and self.wire.backlog[fact.queue] > 0:
            self.wire.backlog[fact.queue] -= 1
        return Heard(fact, control, known.name, known.event, known.saga, fact.queue, attempt)

    def _delivery_acted(self, heard: Heard, action: Action) -> None:
        fact = heard.fact
        assert isinstance(fact, facts.Delivered)
        if isinstance(action, Hold):
            self._hold(heard, action.ticket)
        elif _stops(action):
            self.wire.withhold(fact.origin.service, fact.delivery)
        else:
            self._deliver(heard, fact)

    def _deliver(self, heard: Heard, fact: facts.Delivered) -> None:
        service = fact.origin.service
        item, known = self._deliveries[service, fact.delivery]
        self._causes.took(service, item.number, known, fact.message, settles=fact.unsettled)
        at = self._clock()
        self.wire.stirred(service, at, stimulus=True)
        self._history.append(
            entries.Delivered(
                at=at,
                message=known.name,
                event=known.event,
                saga=known.saga,
                queue=fact.queue,
                service=service,
                attempt=heard.attempt,
                delivery=item.number,
                redelivered=fact.redelivered,
                unsettled=fact.unsettled,
                copy=fact.copy,
                death=died_in(fact.message),
                incarnation=fact.origin.incarnation,
            )
        )

    def _settled(self, fact: facts.Settled, control: Control) -> Heard:
        found = self._deliveries.get((fact.origin.service, fact.delivery))
        if found is None:
            return Heard(fact, control)
        item, known = found
        return Heard(fact, control, known.name, known.event, known.saga, item.queue, item.attempt)

    def _settlement_acted(self, heard: Heard, action: Action) -> None:
        fact = heard.fact
        assert isinstance(fact, facts.Settled)
        if isinstance(action, Hold):
            self._hold(heard, action.ticket)
        elif isinstance(action, Replace) and isinstance(action.fact, facts.Settled):
            self._settle(heard, action.fact, "misstep")
        else:
            self._settle(heard, fact, "dropped" if _stops(action) else "service")

    def _settle(self, heard: Heard, fact: facts.Settled, by: Literal["service", "misstep", "dropped"]) -> None:
        service = fact.origin.service
        found = self._deliveries.get((service, fact.delivery))
        if by == "dropped":
            self.wire.withhold(service, fact.delivery)
        else:
            self.wire.unsettled.pop((service, fact.delivery), None)
            self._deliveries.pop((service, fact.delivery), None)
        if found is not None:
            self._causes.settled(service, found[0].number)
        at = self._clock()
        self.wire.stirred(service, at, stimulus=True)
        self._history.append(
            entries.Settled(
                at=at,
                message=heard.message,
                queue=heard.queue,
                service=service,
                delivery=found[0].number if found else 0,
                outcome=fact.outcome,
                requeue=fact.requeue,
                by=by,
            )
        )

    # -- connections

    def _opened(self, fact: facts.Opened, control: Control) -> Heard:
        origin = fact.origin
        self._history.append(
            entries.Connection(
                at=self._clock(),
                service=origin.service,
                connection=origin.connection,
                what="opened",
                text=fact.client,
            )
        )
        return Heard(fact, control)

    def _closed(self, fact: facts.Closed, control: Control) -> Heard:
        origin, at = fact.origin, self._clock()
        self._give_up_held(origin, control)
        for key in [key for key, (item, _) in self._deliveries.items() if _under(origin, item)]:
            self._causes.settled(origin.service, self._deliveries.pop(key)[0].number)
        ended = self.wire.closed(origin)
        self._history.append(
            entries.Connection(
                at=at,
                service=origin.service,
                connection=origin.connection,
                what="channel closed" if origin.channel else "closed",
                by=fact.by,
                code=fact.code,
                text=fact.text,
                clean=fact.clean,
            )
        )
        for consumer in ended:
            self._consumer_ended(at, consumer, "service" if fact.by == "service" else "broker")
        if not origin.channel:
            self.topology.closed(origin.service, origin.connection)
        return Heard(fact, control)

    def _give_up_held(self, origin: facts.Origin, control: Control) -> None:
        inner = id(_inner(control))
        for key, heard in list(self._held.items()):
            if key[0] != inner or not _within(origin, heard.fact.origin):
                continue
            del self._held[key]
            if isinstance(heard.fact, facts.Published):
                self._lose(heard)
            elif isinstance(heard.fact, facts.Settled):
                self._settle(heard, heard.fact, "dropped")

    def _consuming(self, fact: facts.Consuming, control: Control) -> Heard:
        origin = fact.origin
        consumer = Consuming(
            origin.service,
            origin.connection,
            origin.channel,
            fact.queue,
            fact.consumer,
            fact.auto_ack,
            fact.prefetch,
        )
        self.wire.began(consumer)
        self._history.append(consumer_entry(self._clock(), consumer))
        return Heard(fact, control, queue=fact.queue)

    def _cancelled(self, fact: facts.Cancelled, control: Control) -> Heard:
        consumer = self.wire.ended(fact.origin, fact.consumer)
        if consumer is None:
            return Heard(fact, control)
        self._consumer_ended(self._clock(), consumer, fact.by)
        return Heard(fact, control, queue=consumer.queue)

    def _consumer_ended(self, at: float, consumer: Consuming, by: Literal["service", "broker"]) -> None:
        self._history.append(replace(consumer_entry(at, consumer, consuming=False), by=by))
        if not self.wire.consumed(consumer.queue):
            self.topology.unconsumed(consumer.queue)

    # -- declarations

    def _exchange(self, fact: facts.DeclaredExchange, control: Control) -> Heard:
        self.topology.exchange(fact.exchange, fact.kind, fact.arguments)
        self._history.append(
            entries.Exchange(
                at=self._clock(),
                exchange=fact.exchange,
                kind=fact.kind,
                service=fact.origin.service,
                durable=fact.durable,
            )
        )
        return Heard(fact, control)

    def _queue(self, fact: facts.DeclaredQueue, control: Control) -> Heard:
        declared = Declared(
            fact.origin.service,
            fact.origin.connection,
            fact.durable,
            fact.exclusive,
            fact.auto_delete,
            fact.arguments,
        )
        self.topology.queue(fact.queue, declared)
        self._history.append(queue_entry(self._clock(), fact.queue, declared))
        return Heard(fact, control, queue=fact.queue)

    def _bound(self, fact: facts.Bound, control: Control) -> Heard:
        route = Route(fact.source, fact.target, fact.routing_key, "", fact.to_exchange)
        if fact.bound:
            self.topology.bound(route)
        else:
            self.topology.unbound(route)
        entry = _binding(self._clock(), fact.origin.service, route)
        self._history.append(entry if fact.bound else replace(entry, bound=False))
        return Heard(fact, control)

    def _deleted(self, fact: facts.Deleted, control: Control) -> Heard:
        if fact.what == "queue":
            self.topology.deleted_queue(fact.name)
        elif fact.what == "exchange":
            self.topology.deleted_exchange(fact.name)
        self.wire.backlog.pop(fact.name, None)
        what = "purged queue" if fact.what == "purge" else f"deleted {fact.what}"
        text = f"{fact.origin.service} {what} {fact.name}"
        self._history.append(entries.Note(at=self._clock(), what="deleted", text=text))
        return Heard(fact, control)

    def _passed_through(self, fact: facts.PassedThrough, control: Control) -> Heard:
        origin = fact.origin
        if fact.what in ("tx.commit", "tx.rollback"):
            self.wire.transactions.discard((origin.service, origin.connection, origin.channel))
        if (origin.service, fact.what) not in self._passed:
            self._passed.add((origin.service, fact.what))
            text = f"{fact.what} of {origin.service} passed through, not understood"
            self._history.append(entries.Note(at=self._clock(), what="passed through", text=text))
        return Heard(fact, control)


class RecordedControl:
    """A link's control that tells the recorder what it releases.

    Args:
        inner: The link's own.
        released: Told the link, the ticket, and whether anything was sent.
    """

    def __init__(self, inner: Control, released: Callable[[Control, str, bool], None]) -> None:
        self.inner = inner
        self._told = released

    def release(self, ticket: str) -> bool:
        """Send on what is held under ``ticket``; False when its connection is gone, so there is nothing to send."""
        sent = self.inner.release(ticket)
        self._told(self.inner, ticket, sent)
        return sent

    def inject(self, delivery: int) -> bool:
        """Deliver an artificial copy of an earlier delivery to the same consumer; False when that consumer is gone."""
        return self.inner.inject(delivery)

    def cut(self, connection: int | None = None) -> int:
        """Reset one connection, or all of the link; return how many were open."""
        return self.inner.cut(connection)

    def refuse(self, refused: bool) -> None:
        """While refused, new connections are accepted and reset at once, as from a host that is down."""
        self.inner.refuse(refused)

    def held(self) -> tuple[str, ...]:
        """Return the tickets that are held now."""
        return self.inner.held()


def _inner(control: Control) -> Control:
    return control.inner if isinstance(control, RecordedControl) else control


def _stops(action: Action) -> bool:
    """Say whether the bytes never go on."""
    return isinstance(action, Drop) or (isinstance(action, Cut | Kill) and not action.after)


def _within(origin: facts.Origin, other: facts.Origin) -> bool:
    same = (origin.service, origin.connection) == (other.service, other.connection)
    return same and origin.channel in (0, other.channel)


def _under(origin: facts.Origin, item: Outstanding) -> bool:
    same = (origin.service, origin.connection) == (item.service, item.connection)
    return same and origin.channel in (0, item.channel)


def _binding(at: float, service: str, route: Route) -> entries.Binding:
    return entries.Binding(
        at=at,
        source=route.source,
        target=route.queue,
        routing_key=route.key,
        service=service,
        to_exchange=route.to_exchange,
    )
