"""What can be done where: every single fault at every site of a clean run. Pure.

Only what can happen on this choreography is listed, so that a fault which did not fire is news.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from misstep.chaos.explorer.sites import Delivery, Places, Publication
from misstep.harness.choreography.templates import placeholders
from misstep.harness.choreography.words import Choreography, Driver
from misstep.harness.plan import Fault, Site

OUTAGE = 1.0
"""Seconds for which a link refuses connections: longer than a client's first retries, shorter than its patience."""

SHORT = 0.25
"""Seconds of a short delay: longer than a handler, shorter than a deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A fault that may be tried, with what is known of it beforehand.

    Attributes:
        fault: The fault.
        tier: How soon to try it; 0 is first.
        service: Whom it befalls.
        rank: Where in the clean run it fires.
        state: What the service has seen by then, and does next: where two candidates agree, one will do.
        place: The site's key; empty for faults that begin before the first driver.
        asked_for: Whether it is tried only when it is asked for by name.
    """

    fault: Fault
    tier: int
    service: str
    rank: int = 0
    state: tuple[tuple[str, ...], ...] = ()
    place: tuple[str, ...] = ()
    asked_for: bool = False


def candidates(places: Places, choreography: Choreography, drivers: Iterable[Driver]) -> list[Candidate]:
    """Return every fault that can be made in a run of some drivers, in the order of the run.

    Args:
        places: What the clean runs of the drivers have in common.
        choreography: What runs.
        drivers: Which drivers these are: whom they call must be there to be called.
    """
    found: list[Candidate] = []
    for given in places.deliveries:
        found += at_delivery(given)
    for sent in places.publications:
        found += at_publication(sent)
    called = called_by_services(choreography).union(*map(called_by_driver, drivers))
    for service in places.consumers:
        if service not in called:
            whole = tuple(given.event for given in places.deliveries if given.service == service)
            found.append(
                Candidate(
                    fault=fault("process.stop", Site(moment="drive", service=service)),
                    tier=12,
                    service=service,
                    state=(whole,),
                )
            )
    return found


def at_delivery(given: Delivery) -> Iterator[Candidate]:
    """Yield what can be done to one delivery."""
    now, late = (given.before, given.children), (given.before, given.whole)

    def make(tier: int, made: Fault, state: tuple[tuple[str, ...], ...] = now, asked_for: bool = False) -> Candidate:
        return Candidate(
            fault=made,
            tier=tier,
            service=given.service,
            rank=given.rank,
            state=state,
            place=given.key,
            asked_for=asked_for,
        )

    deliver, ack = given.at("deliver"), given.at("ack")
    if given.acked:
        yield make(0, fault("delivery.redeliver", ack))
        yield make(1, fault("delivery.duplicate", deliver, when="later"), late)
        yield make(2, fault("process.crash", ack))
        # Nothing else shows a service that acknowledges before its work is done.
        yield make(3, fault("process.crash", given.at("acked")))
    yield make(3, fault("delivery.duplicate", deliver, when="now"))
    yield make(6, fault("delivery.delay", deliver), late)
    for event in given.overtakers[:1]:
        yield make(7, fault("delivery.reorder", deliver, behind=event), late)
    if given.acked:
        yield make(9, fault("link.cut", ack))
    yield make(13, fault("delivery.delay", deliver, by=SHORT), late)
    yield make(14, fault("message.corrupt", deliver), asked_for=True)
    yield make(15, fault("process.pause", deliver, by=OUTAGE), asked_for=True)


def at_publication(sent: Publication) -> Iterator[Candidate]:
    """Yield what can be done where one message is published."""

    def make(tier: int, made: Fault, asked_for: bool = False) -> Candidate:
        return Candidate(
            fault=made,
            tier=tier,
            service=sent.service,
            rank=sent.rank,
            state=(sent.before,),
            place=sent.key,
            asked_for=asked_for,
        )

    publish, published = sent.at("publish"), sent.at("published")
    yield make(4, fault("process.crash", publish))
    yield make(5, fault("process.crash", published))
    yield make(10, fault("link.cut", published))
    yield make(11, fault("link.refuse", publish, by=OUTAGE))
    yield make(16, fault("link.cut", publish), asked_for=True)
    yield make(17, fault("broker.crash", published, down=0.5), asked_for=True)


def fault(kind: str, at: Site, **parameters: str | int | float | bool) -> Fault:
    """Return a fault at a site."""
    return Fault(kind=kind, at=at, with_=parameters)


def called_by_driver(driver: Driver) -> set[str]:
    """Return the services that a driver calls itself."""
    return services_in(driver.http, driver.command)


def called_by_services(choreography: Choreography) -> set[str]:
    """Return the services that other services call, as their environments and commands tell."""
    found: set[str] = set()
    for service in choreography.services.values():
        found |= services_in(*service.env.values(), *service.processes.values()) - {service.name}
    return found


def services_in(*texts: str) -> set[str]:
    """Return the services whose address or port templates name."""
    names = [name.split(".") for text in texts for name in placeholders(text)]
    return {parts[1] for parts in names if parts[0] == "services" and len(parts) > 1}
