"""What the pytest plugin stands on, free of pytest: a search with the drives that a test made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from io import StringIO

from misstep.chaos.explorer.bench import HouseBench
from misstep.chaos.explorer.only import words_for
from misstep.chaos.explorer.outcome import Exploration, Trial
from misstep.chaos.explorer.search import Search, Wish
from misstep.chaos.report import show
from misstep.harness import testing
from misstep.harness.choreography.words import Choreography
from misstep.harness.exit_status import VALID
from rich.console import Console

WIDTH = 110


class Unwatched:
    """Watches a search without a word."""

    def begin(self, what: str, total: int) -> None:
        """Let a part of the search begin."""

    def trying(self, what: str) -> None:
        """Let something be run."""

    def tried(self, trial: Trial | None) -> None:
        """Let a step be done."""


def explore(
    trial: testing.Trial,
    *,
    faults: int = 1,
    seconds: float | None = None,
    only: Sequence[str] = (),
    strict: bool = False,
) -> str:
    """Search with the drives that a test made, and return what was found; empty where all that was tried is valid.

    Args:
        trial: The test, judged valid.
        faults: The most faults in one plan: 1 or 2.
        seconds: After so many seconds no further plan is begun; None is no bound.
        only: Words that keep to some faults, services or events.
        strict: Whether warnings count as failures.

    Raises:
        PlanError: A word of ``only`` means nothing here.
    """
    choreography = trial.company.house.choreography
    plan = trial.plan
    wish = Wish(
        drives=(plan.drives,),
        only=words_for((only,) if isinstance(only, str) else only, choreography),
        faults=faults,
        seconds=seconds,
        seed=plan.seed,
        strict=strict,
    )
    found = trial.loop.call(_search(trial, choreography, wish))
    return "" if found.exit_status == VALID else text_of(found, choreography)


def text_of(found: Exploration, choreography: Choreography) -> str:
    """Return the report of a search as plain text."""
    text = StringIO()
    show(Console(file=text, width=WIDTH, no_color=True), found, choreography)
    return text.getvalue()


async def _search(trial: testing.Trial, choreography: Choreography, wish: Wish) -> Exploration:
    house = trial.company.house
    bench = HouseBench(house, strict=wish.strict)
    try:
        going = Search(choreography, [bench], stage=house.kind, wish=wish, clock=time.monotonic, watching=Unwatched())
        return await going.run()
    finally:
        await bench.close()
