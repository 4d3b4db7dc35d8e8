"""Who consumes: how many consumers each service has, and which services have lost theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from misstep.harness.history.entries import Consumer, Drove, FaultEvent
from misstep.harness.history.history import History


def consumers_at_start(history: History) -> Counter[str]:
    """Return how many consumers each service had before anything was driven or done to it."""
    return _counted(history, until_first=(Drove, FaultEvent))


def consumers_at_end(history: History) -> Counter[str]:
    """Return how many consumers each service had at the end."""
    return _counted(history)


def bereft(
    before: Mapping[str, int], now: Mapping[str, int], clean: Collection[Mapping[str, int]] = ()
) -> Iterator[tuple[str, str]]:
    """Yield each service that has lost consumers, and a sentence that says so.

    Args:
        before: Consumers of each service when the run began.
        now: Consumers of each service now.
        clean: Consumers of each service when clean runs ended: who cancels a consumer there may do so here. Where there
            are none, only a service that has no consumer left at all has lost any.
    """
    for service, had in sorted(before.items()):
        least = min(had, *(each.get(service, 0) for each in clean)) if clean else min(had, 1)
        has = now.get(service, 0)
        if has >= least:
            continue
        left = f"has {has} of its {had} consumers left" if has else "consumes nothing any more"
        yield service, f"service {service} {left}"


def _counted(history: History, until_first: tuple[type, ...] = ()) -> Counter[str]:
    known: dict[tuple[str, str, str], int] = {}
    for entry in history:
        if isinstance(entry, until_first):
            break
        if isinstance(entry, Consumer):
            key = entry.service, entry.queue, entry.consumer
            known[key] = max(0, known.get(key, 0) + (1 if entry.consuming else -1))
    counts: Counter[str] = Counter()
    for (service, _, _), number in known.items():
        counts[service] += number
    return counts
