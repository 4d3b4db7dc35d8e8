"""A failing plan as a pytest test to paste: valid Python, in the words that a person would write. Pure."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence

from misstep.chaos.explorer.names import event_of
from misstep.harness.plan import Drive, Fault, Plan

WIDTH = 100


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
    """Return a name for the test: the drivers, and what befalls whom."""
    words = ["_and_".join(dict.fromkeys(drive.driver for drive in plan.drives))]
    for fault in plan.faults:
        words.append(f"{fault.kind.replace('.', '_')}_{fault.at.service}_{event_of(fault)}".strip("_"))
    name = re.sub(r"\W+", "_", f"test_{words[0]}" + "".join(f"_survives_{word}" for word in words[1:2]))
    rest = "".join(f"_and_{word}" for word in words[2:])
    return re.sub(r"\W+", "_", name + rest, flags=re.ASCII)[:120].rstrip("_")


def quoted(value: object) -> str:
    """Return a value as Python that a formatter would leave alone."""
    text = repr(value)
    if isinstance(value, str) and text.startswith("'") and '"' not in value:
        return f'"{text[1:-1]}"' if "\\'" not in text else text
    return text
