"""Which messages of a history truly came to be, and where they were delivered: what several checkers ask."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from misstep.harness.history.entries import Confirmed, Delivered, Lost, Published, Queue, Settled
from misstep.harness.history.history import History

ANONYMOUS = "amq.gen-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """The messages of one history.

    Attributes:
        happened: The first publication of each message that came to be, in order. Not among them is what a fault kept
            from the broker, what the broker refused, and what was neither confirmed nor delivered, queues being bound.
        owed: The queues that each message was owed to, over all its publications; None where it is not known.
        deliveries: Of each message, in order, those of misstep's own making left out.
        settled: How each delivery was settled, by its number.
    """

    happened: tuple[Published, ...]
    owed: dict[str, frozenset[str] | None]
    deliveries: dict[str, list[Delivered]] = field(default_factory=dict)
    settled: dict[int, Settled] = field(default_factory=dict)


def read_messages(history: History) -> Messages:
    """Return what became of each message."""
    standing: dict[str, list[Published]] = {}
    confirmed: set[str] = set()
    owed: dict[str, frozenset[str] | None] = {}
    deliveries: dict[str, list[Delivered]] = defaultdict(list)
    settled: dict[int, Settled] = {}
    for entry in history:
        match entry:
            case Published():
                standing.setdefault(entry.message, []).append(entry)
                before = owed.get(entry.message, frozenset())
                owed[entry.message] = None if before is None or entry.owed is None else before | frozenset(entry.owed)
            case Lost() | Confirmed(ok=False):
                if standing.get(entry.message):
                    standing[entry.message].pop()
            case Confirmed():
                confirmed.add(entry.message)
            case Delivered(copy=False):
                deliveries[entry.message].append(entry)
            case Settled():
                settled[entry.delivery] = entry
    happened = [
        published[0]
        for name, published in standing.items()
        if published
        and (name in confirmed or name in deliveries or not owed[name] or not all(p.confirming for p in published))
    ]
    order = {id(entry): place for place, entry in enumerate(history)}
    happened.sort(key=lambda entry: order[id(entry)])
    return Messages(happened=tuple(happened), owed=owed, deliveries=dict(deliveries), settled=settled)


def queue_labels(history: History) -> dict[str, str]:
    """Return what to call each queue so that it is the same in every run: names that a broker made up are replaced."""
    labels: dict[str, str] = {}
    counts: dict[str, int] = defaultdict(int)
    for entry in history.of(Queue):
        if entry.queue in labels:
            continue
        label = entry.queue
        if entry.queue.startswith(ANONYMOUS) or entry.exclusive:
            counts[entry.service] += 1
            label = f"exclusive queue {counts[entry.service]} of {entry.service}"
        labels[entry.queue] = label
    return labels
