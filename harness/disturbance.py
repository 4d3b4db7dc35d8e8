"""The port of a fault at work: what the runner asks of it, and what it may do to a stage.

A :class:`~misstep.harness.plan.Fault` is plain data; a :class:`Disturbance` is that fault at work in one run. A run
goes:

1. every fault is armed;
2. the drivers are run, and all is left alone until it is quiet (what a fault itself holds back does not count);
3. every fault heals: what is held is released, who was stopped is started, what was refused is let in;
4. all is left alone until it is quiet again, and only then is progress judged: safety first, then liveness.

A fault may heal by itself, earlier; ``heal`` is called all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import PlanError
from misstep.harness.plan import Fault
from misstep.harness.wire.interceptor import Action, Control, Heard


class Ground(Protocol):
    """What a fault may do to the stage; all calls are made on the stage's event loop."""

    @property
    def choreography(self) -> Choreography:
        """What runs here."""

    def now(self) -> float:
        """Return seconds since the run began."""

    def later(self, delay: float, action: Callable[[], None]) -> None:
        """Call ``action`` after ``delay`` seconds, unless the run has ended; until then the run is not quiet."""

    def link(self, service: str) -> Control:
        """Return the service's link to the broker.

        Raises:
            PlanError: There is no such service, or it has no link.
        """

    def store_link(self, service: str, store: str) -> Control:
        """Return the service's link to a TCP store.

        Raises:
            PlanError: There is no such service, store, or link.
        """

    def kill(self, service: str) -> None:
        """Kill the service's whole process tree at once (SIGKILL); it stays down until :meth:`start`."""

    async def stop(self, service: str) -> None:
        """Ask the service to end (SIGTERM) and wait until it has."""

    async def start(self, service: str) -> None:
        """Start the service again and wait until it is ready; does nothing where it runs, or ended by itself."""

    def freeze(self, service: str, frozen: bool) -> None:
        """Suspend the service's processes (SIGSTOP), or let them go on."""

    async def crash_broker(self) -> None:
        """Kill the broker as a power cut would."""

    async def restart_broker(self) -> None:
        """Start the broker again, with the durable state it had."""


class Disturbance(Protocol):
    """One fault at work in one run."""

    async def arm(self) -> None:
        """Make ready; called before the first driver.

        Raises:
            PlanError: The fault does not fit this choreography.
        """

    def intercept(self, heard: Heard) -> Action:
        """Answer what is heard on any link; most answers are ``FORWARD``. Must return at once."""

    async def quiet(self) -> None:
        """All has fallen silent for the first time; called before :meth:`heal`, for faults whose moment this is."""

    async def heal(self) -> None:
        """Undo what is still done, leaving nothing held, stopped or refused; harmless to call twice."""


Tell: TypeAlias = Callable[[str], None]
"""Records that the fault fired, with a detail for the reader; may be called more than once."""

Arm: TypeAlias = Callable[[Fault, Ground, Tell], Disturbance]
"""Makes a disturbance of a fault.

Raises:
    PlanError: There is no such kind of fault, or its parameters are wrong.
"""


def arm_nothing(fault: Fault, ground: Ground, tell: Tell) -> Disturbance:
    """Refuse every fault: the ``Arm`` of runs that have none.

    Raises:
        PlanError: Always.
    """
    raise PlanError(f"{fault.kind} cannot be made here: no package that makes faults is at work")
