"""What the markers of the pytest plugin stand on, free of pytest."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from misstep.chaos.explorer.outcome import Exploration
from misstep.chaos.explorer.outcome import Trial as Tried
from misstep.harness.errors import MisstepError
from misstep.harness.plan import Fault

if TYPE_CHECKING:
    from misstep.chaos.explorer.search import Wish
    from misstep.harness.testing import Trial

WIDTH: Final = 120
"""Columns of a report inside of pytest's."""

OPTIONS: Final = ("faults", "seconds", "only")
MOST_FAULTS: Final = 2


def explore(trial: Trial, *, faults: int = 1, seconds: float | None = None, only: str | Sequence[str] = ()) -> str:
    """Try every plan of so many faults with the drives that a test made, and return why it fails.

    Args:
        trial: The test's run, judged valid.
        faults: The most faults in one plan.
        seconds: After so many seconds no further plan is begun; None is no bound.
        only: Words for what to keep to, as for ``misstep explore --only``.

    Returns:
        A report; empty where all that was tried is valid.
    """
    from misstep.chaos.explorer.only import words_for
    from misstep.chaos.explorer.search import Wish
    from misstep.harness.report.kept import folder_of

    if trial.deeds:
        return (
            f"explore repeats the drives of a test, and this one {' and '.join(trial.deeds)} by its own hands, "
            "which no plan holds:\n"
            '    await stage.kill("payment")                                                     # wrong\n'
            '    @pytest.mark.chaos(process.crash("payment", at="ack", of="order.placed"))       # right'
        )
    choreography = trial.choreography
    try:
        wish = Wish(
            drives=(trial.plan.drives,),
            only=words_for((only,) if isinstance(only, str) else tuple(only), choreography),
            faults=faults,
            seconds=seconds,
            seed=trial.plan.seed,
            strict=trial.strict,
            saved=folder_of(choreography),
        )
        found = trial.loop.call(_search(trial, wish))
    except MisstepError as error:
        return f"unknown: the search could not be made: {error}"
    return "" if found.exit_status == 0 else _report(trial, found)


def check_options(args: Sequence[object], options: Mapping[str, object]) -> str:
    """Return what is wrong with the arguments of an ``explore`` marker; empty where nothing is."""
    if args:
        return f"explore({args[0]!r}): its options are named: explore(faults=1, seconds=60, only=('delivery',))"
    for name, value in options.items():
        if name not in OPTIONS:
            return f"explore has no option {name!r}: its options are {', '.join(OPTIONS)}"
        if name == "faults" and (isinstance(value, bool) or value not in range(1, MOST_FAULTS + 1)):
            return f"explore(faults={value!r}): expected 1 or {MOST_FAULTS}, the most faults in one plan"
        if name == "seconds" and not (value is None or _is_positive(value)):
            return f"explore(seconds={value!r}): expected seconds, more than 0, or None"
        if name == "only" and not _are_words(value):
            return f"explore(only={value!r}): expected words, such as ('delivery', 'payment')"
    return ""


def check_faults(args: Sequence[object], options: Mapping[str, object]) -> str:
    """Return what is wrong with the arguments of a ``chaos`` marker; empty where nothing is."""
    example = 'chaos(delivery.redeliver("payment.taken", to="shipping")), from misstep.chaos'
    if options:
        return f"chaos({next(iter(options))}=…): expected faults and nothing else, as in {example}"
    if not args:
        return f"chaos() names no fault: expected one or more, as in {example}"
    wrong = [each for each in args if not isinstance(each, Fault)]
    return f"chaos({wrong[0]!r}): expected a fault, as in {example}" if wrong else ""


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _are_words(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, Sequence) and all(isinstance(word, str) for word in value))


async def _search(trial: Trial, wish: Wish) -> Exploration:
    from misstep.chaos.explorer.bench import HouseBench
    from misstep.chaos.explorer.search import Search

    house = trial.company.house
    bench = HouseBench(house, strict=wish.strict)
    try:
        search = Search(
            trial.choreography, [bench], stage=house.kind, wish=wish, clock=time.monotonic, watching=_Unwatched()
        )
        return await search.run()
    finally:
        await bench.close()


def _report(trial: Trial, found: Exploration) -> str:
    """Return what a search found: what it comes to, and then all that ``misstep explore`` prints."""
    from misstep.chaos.report import show, verdict
    from rich.console import Console

    text = io.StringIO()
    show(Console(file=text, width=WIDTH, color_system=None), found, trial.choreography)
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    return "\n".join((verdict(found), "", *lines))


class _Unwatched:
    """Nobody is told how a search goes while pytest captures what is printed."""

    def begin(self, what: str, total: int) -> None:
        """Say nothing."""

    def trying(self, what: str) -> None:
        """Say nothing."""

    def tried(self, trial: Tried | None) -> None:
        """Say nothing."""
