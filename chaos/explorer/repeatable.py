"""Whether two clean runs of the same plan were the same run, as far as a search relies on it. Pure."""

from __future__ import annotations

from misstep.harness.history.entries import Delivered, Drove, Published, Settled
from misstep.harness.history.history import History

MOST = 8
"""How many differences are told; more are counted."""


def differences(first: History, second: History) -> list[str]:
    """Return what happened in one run and not in the other, a line each; empty where they are the same.

    What is compared is which events each service published, and how often, which messages it was given and
    acknowledged, and how the drivers ended. Times, order, generated values and how often a delivery had to be repeated
    are not; nor are causes, since where they are inferred, two messages that are handled at once may change places.
    """
    one, other = _facts(first), _facts(second)
    lines = [f"only in the first clean run: {fact}" for fact in one if fact not in other]
    lines += [f"only in the second clean run: {fact}" for fact in other if fact not in one]
    if len(lines) > MOST:
        lines[MOST:] = [f"and {len(lines) - MOST} more"]
    return lines


def _facts(history: History) -> dict[str, None]:
    """Return what happened, each once, in order."""
    acked = {entry.delivery for entry in history.of(Settled) if entry.outcome == "ack"}
    messages: dict[tuple[int, str, str], set[str]] = {}
    found: dict[str, None] = {}
    for entry in history:
        match entry:
            case Published() if entry.saga:
                done = f"{entry.service or 'a driver'} published"
                messages.setdefault((entry.saga, done, entry.event), set()).add(entry.message)
            case Delivered() if entry.saga and not entry.copy:
                handled = entry.delivery in acked or not entry.unsettled
                done = f"{entry.service} {'acknowledged' if handled else 'was given'} from {entry.queue}:"
                messages.setdefault((entry.saga, done, entry.event), set()).add(entry.message)
            case Drove():
                found[f"driver {entry.driver} ended {entry.result}"] = None
    for (saga, done, event), names in messages.items():
        times = f"{len(names)} times " if len(names) > 1 else ""
        found[f"{done} {times}{event} in saga {saga}"] = None
    return found
