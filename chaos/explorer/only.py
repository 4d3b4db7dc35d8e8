"""Which plans a person asked for, by words of several kinds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from misstep.chaos.explorer.faults_at import Candidate
from misstep.chaos.explorer.names import event_of
from misstep.chaos.faults.arm import KINDS
from misstep.chaos.faults.kind import meant
from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import PlanError


@dataclass(frozen=True, slots=True, kw_only=True)
class Only:
    """Words that a plan must fit; of each sort any one of them, and every sort that has any.

    Attributes:
        kinds: Kinds of fault, or families of them such as ``delivery``; shell wildcards are allowed.
        services: Services that are befallen.
        events: Event types that a fault fires at.
        drivers: Drivers that are run.
    """

    kinds: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()

    def allows_driver(self, driver: str) -> bool:
        """Say whether a driver is to be run at all."""
        return not self.drivers or any(fnmatchcase(driver, word) for word in self.drivers)

    def allows(self, candidate: Candidate) -> bool:
        """Say whether a fault was asked for; what is tried only when asked for must be named by its kind."""
        event = event_of(candidate.fault)
        by_kind = any(fits_kind(candidate.fault.kind, word) for word in self.kinds)
        return (
            (by_kind if self.kinds or candidate.asked_for else True)
            and (not self.services or any(fnmatchcase(candidate.service, word) for word in self.services))
            and (not self.events or any(fnmatchcase(event, word) for word in self.events))
        )


def fits_kind(kind: str, word: str) -> bool:
    """Say whether a word means a kind: by its name, its family, or wildcards."""
    return fnmatchcase(kind, word) or kind.startswith(f"{word}.")


def sort_words(words: Sequence[str], *, services: Iterable[str], events: Iterable[str], drivers: Iterable[str]) -> Only:
    """Tell words apart by what they mean in a choreography; kinds first, then services, events, drivers.

    Raises:
        PlanError: A word means nothing here; the message says what it may be.
    """
    events, services, drivers = list(events), list(services), list(drivers)
    sorts: Mapping[str, Callable[[str], bool]] = {
        "kinds": lambda word: any(fits_kind(kind, word) for kind in KINDS),
        "services": lambda word: any(fnmatchcase(name, word) for name in services),
        "events": lambda word: any(fnmatchcase(name, word) for name in events),
        "drivers": lambda word: any(fnmatchcase(name, word) for name in drivers),
    }
    found: dict[str, list[str]] = {sort: [] for sort in sorts}
    for word in words:
        sort = next((sort for sort, means in sorts.items() if means(word)), None)
        if sort is None:
            known = [*KINDS, *services, *events, *drivers]
            families = sorted({kind.partition(".")[0] for kind in KINDS})
            raise PlanError(
                f"--only {word!r} is no kind of fault, service, event or driver{meant(word, [*known, *families])}; "
                f"kinds: {', '.join([*families, *KINDS])}; services: {', '.join(services)}; "
                f"events: {', '.join(events)}; drivers: {', '.join(drivers)}"
            )
        found[sort].append(word)
    return Only(**{sort: tuple(chosen) for sort, chosen in found.items()})


def words_for(words: Sequence[str], choreography: Choreography) -> Only:
    """Tell words apart by what they mean in a choreography; its events are those that its sagas declare.

    Raises:
        PlanError: A word means nothing here; the message says what it may be.
    """
    events: dict[str, None] = {}
    for saga in choreography.sagas.values():
        steps = [name for step in saga.steps for name in (step.does, step.undoes) if name]
        events.update(dict.fromkeys((saga.starts, *steps, *saga.completes, *saga.fails)))
    return sort_words(words, services=choreography.services, events=events, drivers=choreography.drivers)
