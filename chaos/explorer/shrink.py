"""The smallest plan that fails in the same way.

Small passes, each yielding plans that are simpler by one thing, are tried in an explicit order, and begun again after
each success, until none of them succeeds. What counts as simpler, first to last: fewer faults; fewer drivers; less
driver data; a simpler kind of fault; fewer parameters; a looser name. The passes are pure, and none of their plans is
ever tried twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from misstep.chaos.explorer.names import event_in, renumbered, saga_of
from misstep.harness.plan import Fault, Plan

MOST = 60
"""How many plans are tried at most; each may be a fresh run of several seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """A plan as small as it got, and how many were tried on the way."""

    plan: Plan
    tried: int


async def shrink(
    plan: Plan,
    fails: Callable[[Plan], Awaitable[bool]],
    *,
    known: Mapping[str, bool] | None = None,
    most: int = MOST,
) -> Shrunk:
    """Return the smallest plan that still fails.

    Args:
        plan: A plan that fails.
        fails: Whether a plan fails in the same way.
        known: By digest, plans of which this is known already.
        most: How many plans to try at most.
    """
    memory = dict(known or {})
    tried = 0
    smaller = True
    while smaller and tried < most:
        smaller = False
        for simpler in simplifications(plan):
            if simpler.digest not in memory:
                if tried >= most:
                    break
                tried += 1
                memory[simpler.digest] = await fails(simpler)
            if memory[simpler.digest]:
                plan, smaller = simpler, True
                break
    return Shrunk(plan=plan, tried=tried)


def simplifications(plan: Plan) -> Iterator[Plan]:
    """Yield every plan that is simpler by one thing, in the order in which they are tried."""
    for one_pass in PASSES:
        yield from one_pass(plan)


def fewer_faults(plan: Plan) -> Iterator[Plan]:
    """Leave out half of the faults, then each one; the last one stays, since a clean run was valid."""
    count = len(plan.faults)
    if count > 3:
        yield replace(plan, faults=plan.faults[: count // 2])
        yield replace(plan, faults=plan.faults[count // 2 :])
    if count > 1:
        for number in range(count):
            yield replace(plan, faults=plan.faults[:number] + plan.faults[number + 1 :])


def fewer_drives(plan: Plan) -> Iterator[Plan]:
    """Leave out each driver, last first, unless a fault names a message of its saga."""
    if len(plan.drives) < 2:
        return
    for number in range(len(plan.drives), 0, -1):
        if any(saga_of(fault) == number for fault in plan.faults):
            continue
        yield replace(
            plan,
            drives=plan.drives[: number - 1] + plan.drives[number:],
            faults=tuple(renumbered(fault, number) for fault in plan.faults),
        )


def less_data(plan: Plan) -> Iterator[Plan]:
    """Leave out each piece of data that a driver is given."""
    for number, drive in enumerate(plan.drives):
        for name in drive.data:
            data = {key: value for key, value in drive.data.items() if key != name}
            yield replace(plan, drives=(*plan.drives[:number], replace(drive, data=data), *plan.drives[number + 1 :]))


def simpler_kinds(plan: Plan) -> Iterator[Plan]:
    """Replace a fault by one that does less to the same message of the same service."""
    for fault in plan.faults:
        for kind in SIMPLER.get((fault.kind, fault.at.moment), ()):
            yield with_fault(plan, fault, replace(fault, kind=kind, with_={}))


def fewer_parameters(plan: Plan) -> Iterator[Plan]:
    """Leave out each parameter, so that its default holds; and take the first delivery instead of a later one."""
    for fault in plan.faults:
        for name in fault.with_:
            if name not in NEEDED.get(fault.kind, ()):
                rest = {key: value for key, value in fault.with_.items() if key != name}
                yield with_fault(plan, fault, replace(fault, with_=rest))
        if fault.at.attempt > 1:
            yield with_fault(plan, fault, replace(fault, at=replace(fault.at, attempt=1)))


def looser_names(plan: Plan) -> Iterator[Plan]:
    """Name a message by its event type instead of its causes, and leave out its queue."""
    for fault in plan.faults:
        if fault.at.message:
            event = event_in(fault.at.message)
            yield with_fault(plan, fault, replace(fault, at=replace(fault.at, message="", event=event, queue="")))
        if fault.at.queue:
            yield with_fault(plan, fault, replace(fault, at=replace(fault.at, queue="")))


PASSES = (fewer_faults, fewer_drives, less_data, simpler_kinds, fewer_parameters, looser_names)

SIMPLER: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("process.crash", "ack"): ("delivery.redeliver", "link.cut"),
    ("link.cut", "ack"): ("delivery.redeliver",),
    ("link.refuse", "ack"): ("delivery.redeliver", "link.cut"),
    ("process.crash", "published"): ("link.cut",),
    ("process.crash", "publish"): ("link.cut",),
    ("link.refuse", "publish"): ("link.cut",),
    ("link.refuse", "published"): ("link.cut",),
}
"""By kind and moment: kinds that do a part of the same thing at the same site."""

NEEDED = {"delivery.duplicate": ("when",), "delivery.reorder": ("behind",), "process.pause": ("by",)}
"""Parameters whose absence is another fault rather than a simpler one."""


def with_fault(plan: Plan, old: Fault, new: Fault) -> Plan:
    """Return the plan with one fault replaced."""
    return replace(plan, faults=tuple(new if fault is old else fault for fault in plan.faults))
