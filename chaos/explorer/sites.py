"""What a clean run shows: every delivery and every publish, each a site where something may go wrong. Pure.

A site is named as loosely as it can be without doubt: by event type where the service is given that event once, by
causal name where there are several, so that a plan reads well and holds on another stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from misstep.harness.history.entries import Consumer, Delivered, Published, Settled
from misstep.harness.history.history import History
from misstep.harness.plan import Moment, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message that reached a service in the clean run.

    Attributes:
        service, queue, message, event, saga, attempt: Which; as in the history.
        rank: Its place among all deliveries and publishes of the run, from 0.
        nth: Which message of this event it is, of those that the service was given from the queue in this saga; from 1.
        acked: Whether the service acknowledged it.
        before: Events that the service had been given in this saga before, in order.
        whole: All events that the service was given in this saga, in order.
        children: Events that the service published because of it, in order.
        overtakers: Events of the same saga that the service was given later, and that do not follow from this one:
            those that can come first.
        named: How it is named: ``event``, ``message``, or ``message and queue``.
    """

    service: str
    queue: str
    message: str
    event: str
    saga: int
    attempt: int
    rank: int
    acked: bool
    nth: int = 1
    before: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    children: tuple[str, ...] = ()
    overtakers: tuple[str, ...] = ()
    named: str = "event"

    @property
    def key(self) -> tuple[str, ...]:
        """What it is called, the same in every run, also where causes were inferred in another way."""
        return ("delivery", self.service, self.queue, str(self.saga), self.event, str(self.nth), str(self.attempt))

    def at(self, moment: Moment) -> Site:
        """Return the site of a moment of it."""
        return Site(
            moment=moment,
            service=self.service,
            event=self.event if self.named == "event" else "",
            message=self.message if self.named != "event" else "",
            queue=self.queue if self.named == "message and queue" else "",
            attempt=self.attempt,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A message that a service published in the clean run.

    Attributes:
        service, message, event, saga: Which; as in the history.
        rank: Its place among all deliveries and publishes of the run, from 0.
        nth: Which message of this event it is, of those that the service published in this saga; from 1.
        before: Events that the service had been given in this saga before, in order.
        named: How it is named: ``event`` or ``message``.
    """

    service: str
    message: str
    event: str
    saga: int
    rank: int
    nth: int = 1
    before: tuple[str, ...] = ()
    named: str = "event"

    @property
    def key(self) -> tuple[str, ...]:
        """What it is called, the same in every run, also where causes were inferred in another way."""
        return ("publication", self.service, str(self.saga), self.event, str(self.nth))

    def at(self, moment: Moment) -> Site:
        """Return the site of a moment of it."""
        by_event = self.named == "event"
        return Site(
            moment=moment,
            service=self.service,
            event=self.event if by_event else "",
            message="" if by_event else self.message,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """All that a clean run showed, in the order of the run."""

    deliveries: tuple[Delivery, ...] = ()
    publications: tuple[Publication, ...] = ()

    @property
    def consumers(self) -> tuple[str, ...]:
        """The services that were given anything, in order of their first delivery."""
        return tuple(dict.fromkeys(delivery.service for delivery in self.deliveries))

    @property
    def publishers(self) -> tuple[str, ...]:
        """The services that published anything, in order of their first publish."""
        return tuple(dict.fromkeys(publication.service for publication in self.publications))


def places(history: History) -> Places:
    """Return the sites of a clean run; what belongs to no saga, and artificial copies, are none."""
    deliveries, publications = list(_deliveries(history)), list(_publications(history))
    given: dict[tuple[str, int], list[Delivery]] = {}
    for delivery in deliveries:
        given.setdefault((delivery.service, delivery.saga), []).append(delivery)
    narrow = _narrow(history)
    return Places(
        deliveries=tuple(
            _named_delivery(_placed(delivery, given[delivery.service, delivery.saga], publications, narrow), deliveries)
            for delivery in deliveries
        ),
        publications=tuple(
            replace(
                publication,
                before=_events(given.get((publication.service, publication.saga), ()), publication.rank),
                named="event" if _alone(publication, publications) else "message",
            )
            for publication in publications
        ),
    )


def common(first: Places, second: Places) -> Places:
    """Return the sites that two clean runs share: those where a fault can be relied on to fire.

    One that can only be told apart by its causes must have the same in both.
    """
    given = {delivery.key: delivery for delivery in second.deliveries}
    sent = {publication.key: publication for publication in second.publications}
    return Places(
        deliveries=tuple(_both(one, given[one.key]) for one in first.deliveries if _alike(one, given.get(one.key))),
        publications=tuple(one for one in first.publications if _alike(one, sent.get(one.key))),
    )


def _alike(one: Delivery | Publication, other: Delivery | Publication | None) -> bool:
    """Say whether what one run showed can be found in the other by the same name."""
    return other is not None and one.named == other.named and (one.named == "event" or one.message == other.message)


def _both(one: Delivery, other: Delivery) -> Delivery:
    """Return what holds of a delivery in both runs."""
    overtakers = tuple(event for event in one.overtakers if event in other.overtakers)
    return replace(one, overtakers=overtakers, acked=one.acked and other.acked)


def _deliveries(history: History) -> Iterable[Delivery]:
    acked = {entry.delivery for entry in history.of(Settled) if entry.outcome == "ack"}
    seen: dict[tuple[str, str, int, str], list[str]] = {}
    for rank, entry in enumerate(history):
        if isinstance(entry, Delivered) and entry.saga and not entry.copy and entry.service:
            same = seen.setdefault((entry.service, entry.queue, entry.saga, entry.event), [])
            if entry.message not in same:
                same.append(entry.message)
            yield Delivery(
                service=entry.service,
                queue=entry.queue,
                message=entry.message,
                event=entry.event,
                saga=entry.saga,
                attempt=entry.attempt,
                rank=rank,
                nth=same.index(entry.message) + 1,
                acked=entry.unsettled and entry.delivery in acked,
            )


def _publications(history: History) -> Iterable[Publication]:
    seen: dict[tuple[str, int, str], list[str]] = {}
    for rank, entry in enumerate(history):
        if not isinstance(entry, Published) or not entry.saga or not entry.service:
            continue
        same = seen.setdefault((entry.service, entry.saga, entry.event), [])
        if entry.message not in same:
            same.append(entry.message)
            yield Publication(
                service=entry.service,
                message=entry.message,
                event=entry.event,
                saga=entry.saga,
                rank=rank,
                nth=len(same),
            )


def _narrow(history: History) -> set[tuple[str, str]]:
    """Return service and queue of consumers that are given one message at a time."""
    consumers = [entry for entry in history.of(Consumer) if entry.consuming]
    windows = Counter((entry.service, entry.queue) for entry in consumers)
    return {
        (entry.service, entry.queue)
        for entry in consumers
        if entry.prefetch == 1 and not entry.auto_ack and windows[entry.service, entry.queue] == 1
    }


def _placed(
    delivery: Delivery, given: Sequence[Delivery], publications: Sequence[Publication], narrow: set[tuple[str, str]]
) -> Delivery:
    """Return a delivery with what surrounds it."""
    inner = f"{delivery.message}/"
    blocked = (delivery.service, delivery.queue) in narrow
    later = [
        other.event
        for other in given
        if other.rank > delivery.rank
        and other.message != delivery.message
        and not other.message.startswith(inner)
        and not (blocked and other.queue == delivery.queue)
    ]
    children = [
        publication.event
        for publication in publications
        if publication.service == delivery.service
        and publication.message.startswith(inner)
        and "/" not in publication.message[len(inner) :]
    ]
    return replace(
        delivery,
        before=_events(given, delivery.rank),
        whole=tuple(other.event for other in given),
        children=tuple(children),
        overtakers=tuple(dict.fromkeys(later)),
    )


def _named_delivery(delivery: Delivery, deliveries: Sequence[Delivery]) -> Delivery:
    same = [
        other
        for other in deliveries
        if (other.service, other.event, other.attempt) == (delivery.service, delivery.event, delivery.attempt)
    ]
    if len(same) == 1:
        return delivery
    twice = sum(other.message == delivery.message for other in same) > 1
    return replace(delivery, named="message and queue" if twice else "message")


def _events(given: Iterable[Delivery], rank: int) -> tuple[str, ...]:
    return tuple(delivery.event for delivery in given if delivery.rank < rank)


def _alone(publication: Publication, publications: Sequence[Publication]) -> bool:
    return sum((p.service, p.event) == (publication.service, publication.event) for p in publications) == 1
