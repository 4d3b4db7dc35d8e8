"""Run a choreography, record what happens, and judge it.

What others use of this package, by its short names::

    from misstep.harness import Drive, House, Plan, load, run

    async with House.open("embedded", load("choreography.toml")) as house, house.stage() as stage:
        done = await run(stage, Plan(drives=(Drive(driver="place_order"),)), arm=arm)

Nothing is loaded until a name is used, so that an installed plugin costs no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from misstep.harness.checkers.verdict import Case as Case
    from misstep.harness.checkers.verdict import Finding as Finding
    from misstep.harness.checkers.verdict import Verdict as Verdict
    from misstep.harness.choreography.file import load as load
    from misstep.harness.choreography.words import Answer as Answer
    from misstep.harness.choreography.words import Choreography as Choreography
    from misstep.harness.choreography.words import Driver as Driver
    from misstep.harness.choreography.words import Effect as Effect
    from misstep.harness.choreography.words import EventRules as EventRules
    from misstep.harness.choreography.words import External as External
    from misstep.harness.choreography.words import Probe as Probe
    from misstep.harness.choreography.words import Progress as Progress
    from misstep.harness.choreography.words import QuietRules as QuietRules
    from misstep.harness.choreography.words import Ready as Ready
    from misstep.harness.choreography.words import Saga as Saga
    from misstep.harness.choreography.words import Selector as Selector
    from misstep.harness.choreography.words import Service as Service
    from misstep.harness.choreography.words import Step as Step
    from misstep.harness.choreography.words import Store as Store
    from misstep.harness.choreography.words import View as View
    from misstep.harness.disturbance import arm_nothing as arm_nothing
    from misstep.harness.history.history import History as History
    from misstep.harness.plan import Drive as Drive
    from misstep.harness.plan import Fault as Fault
    from misstep.harness.plan import Plan as Plan
    from misstep.harness.plan import Site as Site
    from misstep.harness.runner import Run as Run
    from misstep.harness.runner import run as run
    from misstep.harness.stage.handles import BlockingStage as BlockingStage
    from misstep.harness.stage.handles import StageHandle as StageHandle
    from misstep.harness.stage.house import House as House

_PLACES = {
    "checkers.verdict": ("Case", "Finding", "Verdict"),
    "choreography.file": ("load",),
    "choreography.words": (
        "Answer", "Choreography", "Driver", "Effect", "EventRules", "External", "Probe", "Progress", "QuietRules",
        "Ready", "Saga", "Selector", "Service", "Step", "Store", "View",
    ),
    "disturbance": ("arm_nothing",),
    "history.history": ("History",),
    "plan": ("Drive", "Fault", "Plan", "Site"),
    "runner": ("Run", "run"),
    "stage.handles": ("BlockingStage", "StageHandle"),
    "stage.house": ("House",),
}  # fmt: skip

_HOME = {name: place for place, names in _PLACES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"misstep.harness.{_HOME[name]}"), name)
    raise AttributeError(f"misstep.harness has no {name!r}; it has {', '.join(__all__)}")
