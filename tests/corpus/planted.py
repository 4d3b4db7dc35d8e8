"""What a planted bug is, and how the small choreographies that they hide in are declared.

Each program in ``services/`` is a whole choreography in one file, run as ``FILE ROLE buggy|correct``. Its roles are the
services; a role with a schema has a SQLite store of its own name, whose path it finds in ``DB``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from misstep.harness.choreography.words import (
    Choreography,
    Driver,
    Effect,
    External,
    Json,
    Probe,
    Progress,
    QuietRules,
    Saga,
    Service,
    Store,
)
from misstep.harness.plan import Drive, Fault, Plan

Variant: TypeAlias = Literal["buggy", "correct"]
Declare: TypeAlias = Callable[[Variant], Choreography]
Kind: TypeAlias = Literal["embedded", "local"]

SERVICES = Path(__file__).parent / "services"
DRIVER = "start"
BRIEF = QuietRules(silence=0.4)
BOUNDED = Progress()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One planted bug with its cure: a row of the table.

    Attributes:
        number: The class of the bug.
        slug: Its program is ``services/b{number}_{slug}``.
        bug: What is wrong, in one sentence.
        choreography: Declares the choreography with the buggy or the correct program.
        oracles: The checkers of which each must find the buggy variant invalid.
        faults: What brings it out.
        data: Driver data that brings it out, by top-level field; the clean run does without.
        shows_clean: Whether the bug shows without any fault.
        stages: Where it is tried.
    """

    number: int
    slug: str
    bug: str
    choreography: Declare
    oracles: tuple[str, ...]
    faults: tuple[Fault, ...] = ()
    data: Mapping[str, Json] | None = None
    shows_clean: bool = False
    stages: tuple[Kind, ...] = ("embedded",)

    def __str__(self) -> str:
        return f"{self.number:02}-{self.slug}"

    @property
    def clean(self) -> Plan:
        """The plan without what brings the bug out."""
        return Plan(drives=(Drive(driver=DRIVER),))

    @property
    def plan(self) -> Plan:
        """The plan that brings the bug out."""
        return Plan(drives=(Drive(driver=DRIVER, data=self.data or {}),), faults=self.faults)


def declare(
    program: str,
    *,
    saga: Saga,
    roles: Mapping[str, str],
    data: Mapping[str, Json] | None = None,
    exchange: str = "shop",
    key: str = "order",
    others: tuple[Service, ...] = (),
    env: Mapping[str, str] | None = None,
    externals: tuple[External, ...] = (),
    effects: tuple[Effect, ...] = (),
    probes: tuple[Probe, ...] = (),
    quiet: QuietRules = BRIEF,
    progress: Progress = BOUNDED,
) -> Declare:
    """Return a function that declares a program's choreography in one of its variants.

    Args:
        program: Its file in ``services/``.
        saga: Its saga; the driver publishes what starts it.
        roles: Its services on the broker, each with the schema of its store; one without a schema has no store.
        data: What the driver's message says beside the correlation.
        exchange: Where the driver publishes.
        key: The field of the driver's message that has the correlation.
        others: Services that are not on the broker.
        env: Environment of all services on the broker, beside ``BROKER_URL``, ``DB`` and each external's ``NAME_URL``.
        externals, effects, probes, quiet, progress: As in a choreography.
    """
    run = f"{{python}} {program}" if program.endswith(".py") else f"node {program}"
    urls = {f"{external.name.upper()}_URL": f"{{externals.{external.name}.url}}" for external in externals}

    def service(role: str, variant: Variant) -> Service:
        own = {"DB": f"{{stores.{role}.path}}"} if roles[role] else {"DB": ":memory:"}
        return Service(
            name=role,
            processes={"main": f"{run} {role} {variant}"},
            env={"BROKER_URL": "{broker.url}", **own, **urls, **(env or {})},
        )

    def choreography(variant: Variant) -> Choreography:
        services = (*others, *(service(role, variant) for role in roles))
        schemas = {role: schema for role, schema in roles.items() if schema}
        stores = [Store(name=r, kind="sqlite", target=f"{r}.db", schema=s) for r, s in schemas.items()]
        driver = Driver(
            name=DRIVER,
            publish=saga.starts,
            exchange=exchange,
            json={key: "{correlation}", **(data or {})},
            properties={"correlation_id": "{correlation}", "message_id": "{faker.uuid4}"},
        )
        return Choreography(
            name=f"{program.partition('.')[0]} ({variant})",
            folder=SERVICES,
            services={each.name: each for each in services},
            stores={each.name: each for each in stores},
            externals={each.name: each for each in externals},
            drivers={driver.name: driver},
            effects={each.name: each for each in effects},
            sagas={saga.name: saga},
            probes={each.name: each for each in probes},
            quiet=quiet,
            progress=progress,
        )

    return choreography


def rows(store: str, table: str, times: tuple[int, int] = (1, 1), *, key: str = "order_id") -> Effect:
    """Return the effect that a table has so many rows for each saga.

    Args:
        store: The store.
        table: The table.
        times: How often for a saga that completed, and for one that was compensated.
        key: The column with the correlation.
    """
    return Effect(
        name=table,
        store=store,
        sql=f"select {key}, count(*) from {table} where {key} = {{correlation}} group by 1",
        times={"completed": times[0], "compensated": times[1]},
    )


def calls(path: str, times: tuple[int, int], *, external: str = "bank") -> Effect:
    """Return the effect that an external was asked for something so often for each saga; see :func:`rows`."""
    return Effect(
        name=path,
        external=external,
        when=f"* /{path}*",
        once_by="header:Idempotency-Key",
        key="json:order",
        times={"completed": times[0], "compensated": times[1]},
    )


def look(store: str, table: str, columns: str, *, key: str = "order_id") -> Probe:
    """Return a probe of some columns of a saga's rows in a table."""
    return Probe(
        name=f"{table}_seen",
        store=store,
        sql=f"select {columns} from {table} where {key} = {{correlation}} order by {columns}",
    )
