"""Where a search runs its plans: a port, and the one that runs them on stages of a house."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from misstep.chaos.faults.arm import arm
from misstep.harness.history.history import History
from misstep.harness.plan import Plan
from misstep.harness.runner import Run, run
from misstep.harness.stage.house import House
from misstep.harness.stage.warm import WarmStage


class Bench(Protocol):
    """Runs one plan at a time; a search has as many as it may run plans at once."""

    async def run(self, plan: Plan, *, clean: Sequence[History] = (), fresh: bool = False) -> Run:
        """Run a plan and judge it.

        Args:
            plan: The plan.
            clean: Histories of fault-free runs of the same drives.
            fresh: Whether processes and stores must be new; else those of an earlier run may serve again.

        Raises:
            MisstepError: The stage could not be set up.
        """


class HouseBench:
    """Runs plans on stages of a house, and keeps one stage warm; close it before the house.

    Args:
        house: Where stages are opened.
        strict: Whether warnings count as invalid.
    """

    def __init__(self, house: House, *, strict: bool = False) -> None:
        self._warm = WarmStage(house)
        self._strict = strict

    async def run(self, plan: Plan, *, clean: Sequence[History] = (), fresh: bool = False) -> Run:
        """Run a plan on a stage of its own, or on the one that is kept; see :class:`Bench`."""
        if fresh:
            async with self._warm.house.stage() as stage:
                return await run(stage, plan, arm=arm, clean=clean, strict=self._strict)
        return await run(await self._warm.get(), plan, arm=arm, clean=clean, strict=self._strict)

    async def close(self) -> None:
        """Close the stage that is kept."""
        await self._warm.close()
