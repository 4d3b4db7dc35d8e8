"""One saga's timeline, for people: when, who, what; deeper in a chain of causes is further to the right.

Bodies and names come from the system under test, so whatever could move a cursor or colour a terminal is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from misstep.harness.history import entries
from misstep.harness.history.entries import Entry
from misstep.harness.history.history import History

INDENT: Final = "  "
FAULT: Final = "✗"
LONGEST: Final = 160


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a timeline.

    Attributes:
        at: Seconds since the run began.
        who: A service, a driver, an external, ``misstep``.
        what: What happened.
        depth: How deep in a chain of causes, from 0.
        fault: Whether misstep did it.
    """

    at: float
    who: str
    what: str
    depth: int = 0
    fault: bool = False

    def __str__(self) -> str:
        mark = FAULT if self.fault else " "
        text = safe(f"{INDENT * self.depth}{self.what}")
        return f"{self.at:8.3f} s {mark} {safe(self.who):<12} {text[:LONGEST]}".rstrip()


def timeline(history: History, saga: int) -> str:
    """Return what happened to one saga, a line each; what concerns every saga, such as faults, is among them."""
    return "\n".join(str(row) for row in rows(history, saga))


def rows(history: History, saga: int) -> Iterator[Row]:
    """Yield the rows of one saga, in order."""
    depths: dict[str, int] = {}
    began = False
    for entry in history:
        if isinstance(entry, entries.Published):
            depths.setdefault(entry.message, entry.depth - 1)
        began = began or isinstance(entry, entries.Published | entries.Drove | entries.FaultEvent)
        if not began or not concerns(entry, saga):
            continue
        row = row_of(entry, depths.get(getattr(entry, "message", ""), 0))
        if row is not None:
            yield row


def line_of(entry: Entry) -> str:
    """Return one entry as a line, without its place among causes; empty for one that people need not see."""
    row = row_of(entry, 0)
    return str(row) if row is not None else ""


def concerns(entry: Entry, saga: int) -> bool:
    """Say whether an entry belongs into a saga's timeline."""
    match entry:
        case entries.Published() | entries.Delivered() | entries.Drove() | entries.Seen():
            return entry.saga == saga
        case entries.Settled() | entries.Lost() | entries.Returned() | entries.Confirmed():
            return entry.message.startswith(f"{saga}:")
        case entries.Called() | entries.Process() | entries.FaultEvent() | entries.Note() | entries.Quiet():
            return True
        case entries.Connection():
            return entry.what != "opened"
        case _:
            return False


def row_of(entry: Entry, depth: int) -> Row | None:
    """Return an entry as a row; None for one that people need not see."""
    match entry:
        case entries.Published():
            inferred = " (cause inferred)" if entry.cause_kind == "inferred" else ""
            return Row(entry.at, entry.service or "driver", f"published {last(entry.message)}{inferred}", depth)
        case entries.Delivered():
            again = f", delivery {entry.attempt}" if entry.attempt > 1 else ""
            kind = " (artificial copy)" if entry.copy else " (redelivered)" if entry.redelivered else ""
            what = f"got {last(entry.message) or entry.event}{again}{kind}"
            return Row(entry.at, entry.service, what, depth, entry.copy)
        case entries.Settled():
            return Row(entry.at, entry.service, settled(entry), depth, entry.by != "service")
        case entries.Lost():
            what = f"{last(entry.message)} never reached the broker"
            return Row(entry.at, entry.service, what, depth, fault=True)
        case entries.Returned():
            return Row(entry.at, "broker", f"returned {last(entry.message)}: {entry.reason}", depth)
        case entries.Confirmed():
            return None if entry.ok else Row(entry.at, "broker", f"refused {last(entry.message)}", depth)
        case entries.Drove():
            detail = f": {entry.detail}" if entry.detail else ""
            return Row(entry.at, "driver", f"{entry.driver} {entry.result} ({entry.correlation or '?'}){detail}")
        case _:
            return around(entry)


def around(entry: Entry) -> Row | None:
    """Return an entry that is no message as a row; None for one that people need not see."""
    match entry:
        case entries.Called():
            repeat = ", a repeated idempotency key" if entry.repeat else ""
            answer = f"answered {entry.status}" if entry.status else "not answered"
            return Row(entry.at, entry.external, f"was called: {entry.request}, {answer}{repeat}")
        case entries.Process(what="ready" | "started") if not entry.at:
            return None
        case entries.Process():
            detail = f": {entry.detail}" if entry.detail else ""
            return Row(entry.at, entry.service, f"{entry.what}{detail}", fault=entry.what in ("killed", "stopped"))
        case entries.FaultEvent(what="fired"):
            return Row(entry.at, "misstep", f"fault {entry.number}: {entry.detail or entry.fault}", fault=True)
        case entries.FaultEvent(what="healed"):
            return Row(entry.at, "misstep", f"fault {entry.number} healed", fault=True)
        case entries.Seen():
            return Row(entry.at, "client", f"saw {entry.view} = {entry.value!r} {entry.error}".rstrip())
        case entries.Connection():
            return Row(entry.at, entry.service, f"connection {entry.what} by {entry.by} {entry.text}".rstrip())
        case entries.Quiet(quiet=False):
            return Row(entry.at, "misstep", f"not quiet: {'; '.join(entry.moving)}")
        case entries.Quiet():
            return Row(entry.at, "misstep", "all quiet")
        case entries.Note():
            return Row(entry.at, "misstep", f"{entry.what}: {entry.text}")
        case _:
            return None


def settled(entry: entries.Settled) -> str:
    """Say how a delivery was settled, and by whom where it was not the service."""
    requeue = ", requeued" if entry.requeue else ""
    event = last(entry.message)
    if entry.by == "dropped":
        return f"{entry.outcome} of {event} never reached the broker"
    by = " in the service's stead" if entry.by == "misstep" else ""
    return f"{entry.outcome} of {event}{requeue}{by}"


def last(message: str) -> str:
    """Return the event type at the end of a causal name."""
    return message.rpartition("/")[2].partition(":")[2] or message.rpartition("/")[2]


def safe(text: str) -> str:
    """Return text in which nothing can move a cursor or colour a terminal."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
