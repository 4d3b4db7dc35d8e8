"""A failing plan as a pytest test to paste: valid Python, in the words that a person would write. Pure."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence

from misstep.chaos.explorer.names import event_of
from misstep.harness.plan import Drive, Fault, Plan

WIDTH = 100
LONGEST_NAME = 120

NOUNS = {
    "delivery.redeliver": "redelivery",
    "delivery.duplicate": "duplicate",
    "delivery.delay": "delay",
    "delivery.reorder": "reordering",
    "message.corrupt": "corruption",
    "process.crash": "crash",
    "process.stop": "stop",
    "process.pause": "pause",
    "link.cut": "cut",
    "link.refuse": "outage",
    "broker.crash": "crash of the broker",
}


def source(plan: Plan, comment: Sequence[str] = ()) -> str:
    """Return a test that runs a plan, with the imports it needs.

    Args:
        plan: The plan.
        comment: What to say above it, a line each.
    """
    families = sorted({fault.kind.partition(".")[0] for fault in plan.faults})
    lines = ["import pytest"]
    if families:
        lines.append(f"from misstep.chaos import {', '.join(families)}")
    lines += [
        "",
        "",
        *(f"# {line}" for text in comment for line in text.splitlines()),
        *marker(plan),
        f"async def {name_of(plan)}(stage):",
    ]
    for number, drive in enumerate(plan.drives, 1):
        saga = "saga" if len(plan.drives) == 1 else f"saga_{number}"
        lines += [f"    {saga} = await stage.drive({arguments(drive)})", f"    await {saga}.settled()"]
    return "\n".join(lines) + "\n"


def marker(plan: Plan) -> list[str]:
    """Return the marker that has the faults made."""
    calls = [call(fault) for fault in plan.faults]
    if not calls:
        return []
    line = f"@pytest.mark.chaos({', '.join(calls)})"
    return [line] if len(line) <= WIDTH else ["@pytest.mark.chaos(", *(f"    {each}," for each in calls), ")"]


def call(fault: Fault) -> str:
    """Return the constructor call that makes a fault."""
    at, with_ = fault.at, dict(fault.with_)
    what = at.message or at.event
    given: list[str] = []
    if fault.kind.startswith(("delivery.", "message.")):
        given += [quoted(what), f"to={quoted(at.service)}"]
        given += [f"queue={quoted(at.queue)}"] if at.queue else []
    else:
        given += [quoted(at.service)] if fault.kind != "broker.crash" else []
        given.append(f"at={quoted(at.moment)}")
        given += [f"of={quoted(what)}"] if what else []
        given += [f"by={quoted(at.service)}"] if fault.kind == "broker.crash" and at.service else []
    given += [f"{name}={quoted(value)}" for name, value in with_.items()]
    given += [f"attempt={at.attempt}"] if at.attempt != 1 else []
    return f"{fault.kind}({', '.join(given)})"


def arguments(drive: Drive) -> str:
    """Return what ``stage.drive`` is given."""
    data = [f"{name}={quoted(value)}" for name, value in drive.data.items()]
    if not all(name.isidentifier() and not keyword.iskeyword(name) and name != "driver" for name in drive.data):
        data = [f"**{dict(drive.data)!r}"]
    return ", ".join([quoted(drive.driver), *data])


def name_of(plan: Plan) -> str:
    """Return a name for the test: the drivers, and what they survive."""
    words = "_and_".join(dict.fromkeys(drive.driver for drive in plan.drives))
    if plan.faults:
        words += f"_survives_{'_and_'.join(map(noun, plan.faults))}"
    return re.sub(r"\W+", "_", f"test_{words}", flags=re.ASCII)[:LONGEST_NAME].rstrip("_")


def noun(fault: Fault) -> str:
    """Return a fault as a noun: ``redelivery of order.placed to payment``."""
    at, event = fault.at, event_of(fault)
    name = NOUNS.get(fault.kind, fault.kind)
    if fault.kind.startswith(("delivery.", "message.")):
        return f"{name} of {event} to {at.service}"
    of = f" of {at.service}" if at.service else ""
    return f"{name}{of} at {at.moment}" + (f" of {event}" if event else "")


def quoted(value: object) -> str:
    """Return a value as Python that a formatter would leave alone."""
    text = repr(value)
    if isinstance(value, str) and text.startswith("'") and '"' not in value:
        return f'"{text[1:-1]}"' if "\\'" not in text else text
    return text
