"""A stage that is kept warm from one run to the next, and replaced as soon as it must not serve another."""

from __future__ import annotations

from misstep.harness.stage.house import House
from misstep.harness.stage.stage import Stage


class WarmStage:
    """At most one open stage of a house; close it before the house.

    Args:
        house: Where stages are opened.
    """

    def __init__(self, house: House) -> None:
        self.house = house
        self._kept: Stage | None = None

    async def get(self) -> Stage:
        """Return the stage that is kept, or a fresh one where it may not serve another run.

        Raises:
            StageError: A fresh stage could not be opened.
        """
        kept = self._kept
        if kept is not None and (kept.spoilt or (kept.runs and not self.house.reusable)):
            await self.close()
        if self._kept is None:
            self._kept = await self.house.fresh()
        return self._kept

    async def close(self) -> None:
        """Close the stage that is kept, if there is one."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.close()
