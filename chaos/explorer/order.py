"""What to try first: the most suspicious and the cheapest, each once. Pure.

A candidate's tier says how likely its kind is to show something for what it costs. Within a tier, services that have
effects come before those that have none, and earlier sites before later ones. Two candidates that find a service in
the same state are
one: a second driver that leads a service through the same events up to a site adds nothing there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from misstep.chaos.explorer.faults_at import Candidate
from misstep.chaos.explorer.names import event_of
from misstep.harness.choreography.templates import placeholders
from misstep.harness.choreography.words import Choreography
from misstep.harness.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One plan to be tried.

    Attributes:
        plan: The plan.
        parts: The candidates that its faults come from.
    """

    plan: Plan
    parts: tuple[Candidate, ...]

    @property
    def kind(self) -> str:
        """The kind of its fault; of several, joined by ``+``."""
        return " + ".join(part.fault.kind for part in self.parts)

    @property
    def service(self) -> str:
        """The service that its first fault befalls."""
        return self.parts[0].service

    @property
    def driven(self) -> str:
        """The digest of its drives alone."""
        return self.plan.without_faults().digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What is to be tried, in this order, and what need not be.

    Attributes:
        items: The plans.
        equivalent: Plans that are left out since another one does the same, with the digest of that one.
    """

    items: tuple[Item, ...]
    equivalent: tuple[tuple[Item, str], ...] = ()


def singles(found: Sequence[tuple[Plan, Sequence[Candidate]]], choreography: Choreography) -> Agenda:
    """Return all plans of one fault.

    Args:
        found: Plans of drives alone, each with its candidates.
        choreography: What runs.
    """
    ranked = sorted(
        ((number, plan, candidate) for number, (plan, all_) in enumerate(found) for candidate in all_),
        key=lambda row: (
            row[2].tier,
            row[2].service not in services_with_effects(choreography),
            row[0],
            row[2].rank,
        ),
    )
    items: list[Item] = []
    equivalent: list[tuple[Item, str]] = []
    known: dict[tuple[object, ...], str] = {}
    for _, plan, candidate in ranked:
        item = Item(plan=replace(plan, faults=(candidate.fault,)), parts=(candidate,))
        signature = sameness(candidate)
        if signature in known:
            equivalent.append((item, known[signature]))
        else:
            known[signature] = item.plan.digest
            items.append(item)
    return Agenda(items=tuple(items), equivalent=tuple(equivalent))


def sameness(candidate: Candidate) -> tuple[object, ...]:
    """Return what two candidates share that do the same to a service in the same state."""
    fault, at = candidate.fault, candidate.fault.at
    parameters = tuple(sorted(fault.with_.items()))
    what = (fault.kind, parameters, at.moment, at.service, event_of(fault), at.queue, at.attempt)
    return (*what, candidate.state)


def pairs(items: Sequence[Item], seed: int) -> Iterator[Item]:
    """Yield all plans of two faults with the same drives, the most suspicious first.

    Two faults at one site are left out, since only one of them could answer there; so are two of which one begins
    before the first driver and befalls the service of the other.

    Args:
        items: The plans of one fault, those that failed left out: two faults of which one is enough are nothing new.
        seed: Draws an order where nothing else says one.
    """

    digests = {id(item): item.plan.digest for item in items}

    def rank(pair: tuple[Item, Item]) -> tuple[int, bool, str]:
        first, second = (item.parts[0] for item in pair)
        drawn = hashlib.sha256(f"{seed}/{digests[id(pair[0])]}/{digests[id(pair[1])]}".encode()).hexdigest()
        return first.tier + second.tier, first.service != second.service, drawn

    by_drives: dict[str, list[Item]] = {}
    for item in items:
        by_drives.setdefault(item.driven, []).append(item)
    possible = [pair for together in by_drives.values() for pair in combinations(together, 2) if compatible(*pair)]
    for one, other in sorted(possible, key=rank):
        first, second = sorted((one.parts[0], other.parts[0]), key=lambda part: part.rank)
        yield Item(
            plan=Plan(drives=one.plan.drives, faults=(first.fault, second.fault), seed=one.plan.seed),
            parts=(first, second),
        )


def compatible(one: Item, other: Item) -> bool:
    """Say whether two faults can both fire in one run.

    A late copy needs the consumer of its original, so nothing may end that one's connection in between. A reordering
    waits for a certain delivery, so it is only paired with what neither holds a delivery back nor ends a connection.
    """
    first, second = sorted((one.parts[0], other.parts[0]), key=lambda part: part.rank)
    if first.place and first.place == second.place:
        return False
    if not (first.place and second.place) and first.service == second.service:
        return False
    for part, beside in ((first, second), (second, first)):
        if part.fault.kind == "delivery.reorder" and beside.fault.kind not in HARMLESS:
            return False
    late_copy = first.fault.kind == "delivery.duplicate" and first.fault.with_.get("when") == "later"
    return not (late_copy and second.fault.kind in ENDING and first.service == second.service)


HARMLESS = ("delivery.redeliver", "delivery.duplicate")
ENDING = ("process.crash", "process.stop", "link.cut", "link.refuse", "broker.crash")


def services_with_effects(choreography: Choreography) -> frozenset[str]:
    """Return the services that declared effects are made by, as far as their environments and commands tell."""
    wanted = {f"stores.{effect.store}" for effect in choreography.effects.values() if effect.store}
    wanted |= {f"externals.{effect.external}" for effect in choreography.effects.values() if effect.external}
    return frozenset(
        service.name
        for service in choreography.services.values()
        if wanted
        & parents(name for text in (*service.env.values(), *service.processes.values()) for name in placeholders(text))
    )


def parents(names: Iterable[str]) -> set[str]:
    """Return the first two parts of dotted names."""
    return {".".join(name.split(".")[:2]) for name in names}
