"""Who publishes what to whom, as seen in runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from misstep.harness.history import entries
from misstep.harness.history.history import History


def topology_lines(histories: Iterable[History]) -> Iterator[str]:
    """Yield a line for each event: its publishers, and who was given it, by which queue."""
    publishers: dict[str, set[str]] = {}
    takers: dict[str, set[str]] = {}
    for history in histories:
        for entry in history:
            if isinstance(entry, entries.Published):
                publishers.setdefault(entry.event, set()).add(entry.service or "a driver")
            elif isinstance(entry, entries.Delivered):
                takers.setdefault(entry.event, set()).add(f"{entry.service} (queue {entry.queue})")
    for event in sorted(publishers | takers):
        by = ", ".join(sorted(publishers.get(event, ()))) or "nobody seen"
        to = ", ".join(sorted(takers.get(event, ()))) or "nobody"
        yield f"{by} --[{event}]--> {to}"
