"""``misstep up``: a stage that runs until it is interrupted, with a live timeline."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click
from misstep.harness.commands.choose import choreography_argument, chosen, stage_option

if TYPE_CHECKING:
    from misstep.harness.choreography.words import Choreography


@click.command()
@choreography_argument
@stage_option
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of generated data.")
@click.option("--drive", "drives", multiple=True, metavar="DRIVER", help="Run this driver at once; may be given again.")
def up(where: str, kind: str, seed: int, drives: tuple[str, ...]) -> None:
    """Run the choreography until Ctrl-C, and print what happens: drive it by hand."""
    asyncio.run(_up(chosen(where), kind, seed, drives))


async def _up(choreography: Choreography, kind: Any, seed: int, drives: tuple[str, ...]) -> None:
    from misstep.harness.disturbance import arm_nothing
    from misstep.harness.history.timeline import line_of
    from misstep.harness.plan import Drive, Plan
    from misstep.harness.stage.house import House
    from misstep.harness.stage.performance import Performance

    async with House.open(kind, choreography) as house, house.stage() as stage:
        click.echo(f"{choreography.name} runs on {house.broker.version}; Ctrl-C ends it")
        services = stage.scope["services"]
        assert isinstance(services, dict)
        for name, parts in services.items():
            click.echo(f"  {name}: http://{parts['address']}")
        if kind in ("embedded", "local"):  # a broker of our own; a remote one's password is nobody's to print
            endpoint = stage.means.space.endpoint
            click.echo(f"  broker: {stage.means.space.url(endpoint.host, endpoint.port)}")
        performance = Performance(stage, Plan(drives=(), seed=seed), arm_nothing)
        shown = 0
        try:
            await performance.begin()
            for drive in drives:
                await performance.drive(Drive(driver=drive))
            while True:
                for entry in list(performance.history)[shown:]:
                    shown += 1
                    line = line_of(entry)
                    if line:
                        click.echo(line)
                await asyncio.sleep(0.1)
        finally:
            await performance.end()
