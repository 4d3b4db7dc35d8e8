"""Plans a minute: how fast one stage is through message faults, warm and fresh, embedded and on a real RabbitMQ.

The peer is the usual way to test a consumer against a broker: a container with a broker of its own for every test.
    Where no
Docker engine runs it is left out, and said so. Ratios are of the same run; absolute times mean little on a shared
machine.

    python -m benchmarks.plans [--plans 20] [--stage embedded --stage local]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from misstep.chaos import delivery
from misstep.chaos.faults.arm import arm
from misstep.harness.choreography.file import load
from misstep.harness.errors import PartMissing
from misstep.harness.history.history import History
from misstep.harness.plan import Drive, Fault, Plan
from misstep.harness.runner import run
from misstep.harness.stage.house import House, Kind
from misstep.harness.stage.stage import Stage

EXAMPLE = Path(__file__).parents[1] / "examples" / "order_saga"
FAULTS = (
    delivery.redeliver("order.placed", to="payment"),
    delivery.redeliver("payment.taken", to="inventory"),
    delivery.duplicate("stock.reserved", to="shipping"),
    delivery.duplicate("order.shipped", to="order", when="later"),
)


def plan(fault: Fault | None = None) -> Plan:
    """Return one driver with at most one fault."""
    return Plan(drives=(Drive(driver="place_order"),), faults=(fault,) if fault else ())


async def rate(number: int, one: Callable[[Fault], Awaitable[None]]) -> float:
    """Return how many plans a minute are run."""
    began = time.perf_counter()
    for count in range(number):
        await one(FAULTS[count % len(FAULTS)])
    return 60 * number / (time.perf_counter() - began)


async def measured(kind: Kind, number: int) -> dict[str, float]:
    """Return plans a minute on one kind of stage, warm and fresh."""
    async with House.open(kind, load(EXAMPLE)) as house, house.stage() as kept:
        clean: list[History] = []
        for _ in range(2):
            clean.append((await run(kept, plan(), arm=arm, clean=clean)).history)

        async def on(stage: Stage, fault: Fault) -> None:
            done = await run(stage, plan(fault), arm=arm, clean=clean)
            assert done.answer == "valid", f"a benchmark of broken runs says nothing: {done.verdicts}"

        async def fresh(fault: Fault) -> None:
            async with house.stage() as stage:
                await on(stage, fault)

        warm = await rate(number, lambda fault: on(kept, fault))
        return {f"{kind}, warm": warm, f"{kind}, fresh": await rate(max(3, number // 5), fresh)}


async def container_per_test(number: int) -> float:
    """Return plans a minute when each starts, and throws away, a broker in a container."""

    async def one(fault: Fault) -> None:
        async with House.open("docker", load(EXAMPLE)) as house, house.stage() as stage:
            await run(stage, plan(fault), arm=arm)

    return await rate(number, one)


async def main(kinds: list[Kind], number: int) -> None:
    """Measure and print."""
    rates: dict[str, float] = {}
    for kind in kinds:
        rates |= await measured(kind, number)
    try:
        rates["a container for each test"] = await container_per_test(3)
    except PartMissing as error:
        print(f"a container for each test: left out, {error}")
    peer = rates.get("a container for each test")
    for name, found in rates.items():
        print(f"{name:<28} {found:8.1f} plans/min" + (f"  {found / peer:6.1f} x" if peer else ""))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=int, default=20)
    parser.add_argument("--stage", action="append", choices=("embedded", "local"))
    given = parser.parse_args()
    asyncio.run(main(given.stage or ["embedded", "local"], given.plans))
