"""What the parts of a recorder share: where they write, what time it is, and what they know of the stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from misstep.harness.history.causes import Causes
from misstep.harness.history.history import History
from misstep.harness.history.topology import Topology
from misstep.harness.history.wire_state import WireState


@dataclass(slots=True)
class Recording:
    """One run's recording, on a stage that outlasts it.

    Attributes:
        history: Where the run is written; the next run has another.
        clock: Seconds since the run began.
        causes: Names this run's messages by their causes; the next run has others.
        wire: What the links have shown to stand now.
        topology: Which queue is bound to what.
    """

    history: History
    clock: Callable[[], float]
    causes: Causes
    wire: WireState = field(default_factory=WireState)
    topology: Topology = field(default_factory=Topology)
