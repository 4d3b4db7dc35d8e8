"""``misstep explore``: search for the smallest plan that breaks a choreography."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import click
from misstep.harness.commands.choose import choreography_argument, chosen, stage_option

if TYPE_CHECKING:
    from misstep.chaos.explorer.outcome import Exploration
    from misstep.chaos.explorer.search import Wish
    from misstep.chaos.progress import Bar
    from misstep.harness.choreography.words import Choreography
    from misstep.harness.stage.house import Kind

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Duration(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A duration such as ``40``, ``40s``, ``10m`` or ``1.5h``, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h|)", str(value).strip())
        if match is None or not float(match[1]):
            self.fail(f"{value!r} is no duration: expected seconds, or a number with s, m or h, such as 40s or 10m")
        return float(match[1]) * UNITS[match[2]]


@click.command()
@choreography_argument
@stage_option
@click.option(
    "--time",
    "seconds",
    type=Duration(),
    default="40s",
    show_default=True,
    help="Begin no further plan after this time: 40s, 10m, 1h. What was not tried is told.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="What all data is drawn from.")
@click.option("--only", multiple=True, metavar="WORD", help="A fault, service, event or driver to keep to; repeatable.")
@click.option("--faults", type=click.IntRange(1, 2), default=1, show_default=True, help="The most faults in one plan.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=lambda: min(4, os.cpu_count() or 1),
    show_default="one a core, at most 4",
    help="How many stages run at once.",
)
@click.option("--strict", is_flag=True, help="Count warnings as failures.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@click.option("--no-save", is_flag=True, help="Keep no failing plan in .misstep/failures, and try none that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def explore(
    where: str, kind: Kind, *, as_json: bool, jobs: int, only: tuple[str, ...], no_save: bool, **rest: Any
) -> int:
    """Search for the smallest plan that breaks a choreography.

    Every driver is run clean, twice; then every fault is made at every delivery and publish that this showed, the most
    suspicious first. What fails is confirmed, made as small as it gets, and printed with a test to paste.

    Exit status: 0 valid, 1 invalid, 2 unknown or flaky, 3 usage, 4 an error of our own, 130 interrupted.
    """
    from misstep.chaos.explorer.only import words_for
    from misstep.chaos.explorer.search import Wish
    from misstep.chaos.progress import Bar
    from misstep.harness.report.kept import folder_of
    from rich.console import Console

    choreography = chosen(where)
    wish = Wish(
        only=words_for(only, choreography),
        saved=None if no_save else folder_of(choreography),
        **rest,
    )
    with Bar(Console(stderr=True), wish.seconds) as bar:
        found = asyncio.run(search(choreography, kind, wish, jobs, bar))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        from misstep.chaos.report import show

        show(Console(), found, choreography)
    return found.exit_status


async def search(choreography: Choreography, kind: Kind, wish: Wish, jobs: int, bar: Bar) -> Exploration:
    """Open a house, and search in it."""
    from misstep.chaos.explorer.bench import HouseBench
    from misstep.chaos.explorer.search import Search
    from misstep.harness.stage.house import House

    async with AsyncExitStack() as closing:
        house = await closing.enter_async_context(House.open(kind, choreography))
        benches = [HouseBench(house, strict=wish.strict) for _ in range(jobs)]
        for bench in benches:
            closing.push_async_callback(bench.close)
        going = Search(choreography, benches, stage=kind, wish=wish, clock=time.monotonic, watching=bar)
        return await going.run()
