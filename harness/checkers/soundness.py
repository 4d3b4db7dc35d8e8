"""Whether a run was sound enough to judge liveness by: seen to its end, its faults healed, its services back."""

from __future__ import annotations

from misstep.harness.history.entries import Drove, FaultEvent, Note, Process, Quiet
from misstep.harness.history.history import History


def last_quiet(history: History) -> Quiet | None:
    """Return how the run ended: quiet, or still moving; None where it was cut short."""
    quiet = history.of(Quiet)
    return quiet[-1] if quiet else None


def unsound(history: History) -> str:
    """Return why liveness cannot be judged; empty when it can.

    A run that was cut short, a fault that was never healed, or a service that misstep ended and that never came back
    say nothing about the system.
    """
    if last_quiet(history) is None:
        return "the run was cut short before it fell quiet"
    faults = {}
    for fault in history.of(FaultEvent):
        faults[fault.number] = fault
    for fault in faults.values():
        if fault.what == "fired":
            return f"fault {fault.number} ({fault.fault}) was never healed"
    for service, process in last_processes(history).items():
        if process.what in ("killed", "stopped", "started"):
            return f"{service} was {process.what} by misstep and never became ready again"
    broken = next((note for note in history.of(Note) if note.unknown), None)
    return f"{broken.what}: {broken.text}" if broken else ""


def last_processes(history: History) -> dict[str, Process]:
    """Return what happened last to each service's process."""
    return {entry.service: entry for entry in history.of(Process)}


def last_disturbance(history: History) -> float:
    """Return when the last fault fired or healed, or a service became ready again; 0 where nothing of that happened."""
    times = [0.0]
    driven = min((entry.at for entry in history.of(Drove)), default=0.0)
    for entry in history:
        changed = isinstance(entry, FaultEvent) and entry.what != "armed"
        if changed or (isinstance(entry, Process) and entry.what == "ready" and entry.at > driven):
            times.append(entry.at)
    return max(times)
