"""Whether two clean runs of the same plan were the same run, as far as a search relies on it. Pure."""

from __future__ import annotations

from misstep.harness.history.entries import Delivered, Drove, Published, Settled
from misstep.harness.history.history import History

MOST = 8
"""How many differences are told; more are counted."""


def differences(first: History, second: History) -> list[str]:
    """Return what happened in one run and not in the other, a line each; empty where they are the same.

    What is compared is which messages were published, which were delivered to whom and acknowledged, and how the
    drivers ended. Times, order, generated values and how often a delivery had to be repeated are not.
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
    found: dict[str, None] = {}
    for entry in history:
        match entry:
            case Published() if entry.saga:
                found[f"{entry.service or 'a driver'} published {entry.message}"] = None
            case Delivered() if entry.saga and not entry.copy:
                handled = "acknowledged" if entry.delivery in acked or not entry.unsettled else "was given"
                found[f"{entry.service} {handled} {entry.message} from {entry.queue}"] = None
            case Drove():
                found[f"driver {entry.driver} ended {entry.result}"] = None
    return found
