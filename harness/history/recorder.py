"""Turns what is heard on the links into a history, and gives every message its name.

One recorder listens to all links of a stage, on the stage's event loop. :meth:`Recorder.heard` names a fact before
anybody has decided about it; :meth:`Recorder.acted` is told the decision, and only then is it written what became of
the fact: a delivery that a fault dropped was none, and an acknowledgement that a fault turned into a refusal neither.
:meth:`Recorder.answering` puts both together, so that a link needs only ``listener=recorder.heard`` and
``interceptors=[recorder.answering(interceptors)]``.

Each kind of fact has a part of the recorder that writes it: publications, deliveries, connections, declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from misstep.harness.brokers.port import Route
from misstep.harness.choreography.words import EventRules
from misstep.harness.history import entries
from misstep.harness.history.causes import Causes
from misstep.harness.history.connections import Connections
from misstep.harness.history.declarations import Declarations
from misstep.harness.history.deliveries import Deliveries
from misstep.harness.history.handling import Taught
from misstep.harness.history.held import Held, RecordedControl
from misstep.harness.history.history import History
from misstep.harness.history.publications import Publications
from misstep.harness.history.recording import Recording
from misstep.harness.history.standing import standing
from misstep.harness.wire import facts
from misstep.harness.wire.interceptor import FORWARD, Action, Control, Heard, Interceptor

__all__ = ["RecordedControl", "Recorder"]


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
        self._rules = rules
        self._foreign = frozenset(foreign)
        self._recording = Recording(history, clock, Causes(rules, foreign=foreign, taught=taught))
        self.wire = self._recording.wire
        self.topology = self._recording.topology
        self._held = Held(self._released)
        self._publications = Publications(self._recording, self._held)
        self._deliveries = Deliveries(self._recording, self._held)
        self._connections = Connections(self._recording, self._held, self._publications, self._deliveries)
        self._declarations = Declarations(self._recording)
        self._hear: Mapping[type, Callable[[Any, Control], Heard]] = {
            facts.Opened: self._connections.opened,
            facts.Closed: self._connections.closed,
            facts.Published: self._publications.published,
            facts.Confirmed: self._publications.confirmed,
            facts.Returned: self._publications.returned,
            facts.Delivered: self._deliveries.delivered,
            facts.Settled: self._deliveries.settled,
            facts.DeclaredExchange: self._declarations.exchange,
            facts.DeclaredQueue: self._declarations.queue,
            facts.Bound: self._declarations.bound,
            facts.Deleted: self._declarations.deleted,
            facts.Consuming: self._connections.consuming,
            facts.Cancelled: self._connections.cancelled,
            facts.PassedThrough: self._connections.passed_through,
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
        recording = self._recording
        recording.history = history
        recording.clock = clock or recording.clock
        self._foreign |= recording.causes.correlations
        recording.causes = Causes(self._rules, foreign=self._foreign, taught=taught)
        self._deliveries.begin()
        self._publications.begin()
        self._connections.begin()
        for entry in standing(self.topology, self.wire, recording.clock()):
            history.append(entry)

    def asked(self, routes: Iterable[Route], queues: Iterable[str]) -> None:
        """Learn the bindings and queues that the broker answered; what was not heard on a link is recorded now."""
        self._declarations.asked(routes, queues)

    def driving(self, saga: int, correlation: str = "") -> None:
        """Say that the driver of a saga is about to run; ``correlation`` where it is known beforehand."""
        self._recording.causes.driving(saga, correlation)

    def drove(self, saga: int, driver: str, result: entries.Result, *, correlation: str = "", detail: str = "") -> None:
        """Say that the driver of a saga has ended, and how it knows its saga."""
        recording = self._recording
        recording.causes.drove(saga, correlation)
        recording.history.append(
            entries.Drove(
                at=recording.clock(), saga=saga, driver=driver, result=result, correlation=correlation, detail=detail
            )
        )

    def published_by_driver(self, saga: int, message: facts.Message) -> str:
        """Record what a driver publishes to the broker itself, before it does; return the message's name."""
        return self._publications.published_by_driver(saga, message)

    def confirmed_to_driver(self, message: str, ok: bool = True) -> None:
        """Record that the broker took what a driver published, or refused it."""
        self._publications.confirmed_to_driver(message, ok)

    # -- the listener of every link

    def heard(self, fact: facts.Fact, control: Control) -> Heard:
        """Name a fact; the ``listener`` of every link.

        Returns:
            The fact with its names. Whoever releases what is held must do so by the ``control`` in it.
        """
        return self._hear[type(fact)](fact, self._held.control(control))

    def acted(self, heard: Heard, action: Action) -> None:
        """Record what became of a fact, once it is decided; called once for each fact, right after it was heard."""
        match heard.fact:
            case facts.Published() as published:
                self._publications.acted(heard, published, action)
            case facts.Delivered() as delivered:
                self._deliveries.delivery_acted(heard, delivered, action)
            case facts.Settled() as settled:
                self._deliveries.settlement_acted(heard, settled, action)

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
        return self._held.control(control)

    def _released(self, heard: Heard) -> None:
        match heard.fact:
            case facts.Published() as published:
                self._publications.released(published)
            case facts.Delivered() | facts.Settled() as fact:
                self._deliveries.released(heard, fact)
