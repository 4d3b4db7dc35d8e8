"""Which faults were exercised at which sites, and which were not. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from misstep.chaos.explorer.outcome import Exploration
from misstep.chaos.faults.arm import KINDS
from misstep.harness.plan import Fault, Plan

NOT_TRIED = "not tried"
SEVERAL = "several faults"
JUDGED = ("valid", "invalid", "flaky")


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """A table of sites and kinds of fault.

    Attributes:
        sites: The rows, by service.
        kinds: The columns: the kinds of fault that were to be tried.
        cells: By row and column, how many plans answered what; ``not tried`` is one of the answers.
    """

    sites: tuple[str, ...]
    kinds: tuple[str, ...]
    cells: dict[tuple[str, str], Counter[str]]

    @property
    def exercised(self) -> int:
        """How many pairs of site and kind have had a fault that fired and was judged."""
        return sum(any(counts[answer] for answer in JUDGED) for counts in self.cells.values())


def coverage(exploration: Exploration) -> Coverage:
    """Return what a search has covered."""
    cells: dict[tuple[str, str], Counter[str]] = {}
    for plan, answer in answers(exploration):
        cells.setdefault((site_of(plan), column_of(plan)), Counter())[answer] += 1
    used = {kind for _, kind in cells}
    return Coverage(
        sites=tuple(sorted({site for site, _ in cells}, key=lambda site: (site.partition(" ")[0], site))),
        kinds=tuple(kind for kind in (*KINDS, SEVERAL) if kind in used),
        cells=cells,
    )


def answers(exploration: Exploration) -> Iterator[tuple[Plan, str]]:
    """Yield every plan of a search with its answer."""
    yield from ((trial.plan, trial.answer) for trial in exploration.trials)
    yield from ((item.plan, NOT_TRIED) for item in exploration.not_tried)


def column_of(plan: Plan) -> str:
    """Return the kind of a plan's fault."""
    return plan.faults[0].kind if len(plan.faults) == 1 else SEVERAL


def site_of(plan: Plan) -> str:
    """Return where a plan's fault fires, for people; of several faults, the services."""
    if len(plan.faults) == 1:
        return place(plan.faults[0])
    return " + ".join(distinct(fault.at.service or "broker" for fault in plan.faults))


def place(fault: Fault) -> str:
    """Return where a fault fires, for people: ``payment ← order.placed`` is given, ``payment → payment.taken`` sent."""
    at = fault.at
    what = at.event or at.message
    if not what:
        return at.service or "broker"
    arrow = "→" if at.moment in ("publish", "published") else "←"
    return f"{at.service or 'any'} {arrow} {what}"


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Return names once each, in order."""
    return tuple(dict.fromkeys(names))
