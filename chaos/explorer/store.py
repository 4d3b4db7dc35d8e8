"""Failing plans, saved beside the choreography and tried first the next time.

A cache that never need be invalidated: a file is named by its plan's digest, holds all that a replay needs, and is
left alone where it is not understood. A plan that fails no more is forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from misstep.chaos.explorer.outcome import Failure, plain_failure
from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import PlanError
from misstep.harness.plan import Plan
from misstep.harness.report.kept import FORM, write_whole

LARGEST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A plan that failed once, and the file that holds it."""

    plan: Plan
    file: Path


def save(failure: Failure, choreography: Choreography, folder: Path) -> Path:
    """Save a failing plan, whole or not at all, and return its file.

    Raises:
        MisstepError: The folder cannot be written.
    """
    record = {
        "misstep": FORM,
        "choreography": choreography.name,
        "source": choreography.source,
        **plain_failure(failure),
    }
    del record["file"]
    return write_whole(folder / f"{failure.plan.digest}.json", record)


def load(folder: Path, choreography: Choreography) -> tuple[list[Saved], list[str]]:
    """Return the plans of a choreography that a folder holds, and a note for each file that is not understood."""
    found: list[Saved] = []
    notes: list[str] = []
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            record = record_of(file)
            if is_of(record, choreography):
                found.append(Saved(plan=plan_of(record, file.name), file=file))
        except PlanError as error:
            notes.append(f"ignored {file.name}: {error}")
    return found, notes


def is_of(record: Mapping[str, Any], choreography: Choreography) -> bool:
    """Say whether a plan was saved for a choreography: a folder may hold several, and they may share a name."""
    name, source = record.get("choreography", choreography.name), record.get("source", choreography.source)
    return bool(name == choreography.name and source == choreography.source)


def read(file: Path) -> Plan:
    """Read the plan of a saved failure, or a bare plan.

    Raises:
        PlanError: The file cannot be read, or holds no plan.
    """
    return plan_of(record_of(file), file.name)


def source_of(file: Path) -> Path:
    """Return the choreography file that a failure was saved for, else the current folder."""
    source = record_of(file).get("source")
    above = file.resolve().parents
    if isinstance(source, str) and len(above) > 2 and (above[2] / Path(source).name).is_file():
        return above[2] / Path(source).name
    return Path()


def record_of(file: Path) -> dict[str, Any]:
    """Return what a file holds.

    Raises:
        PlanError: It cannot be read, or is not what a saved failure or a plan looks like.
    """
    try:
        if not file.is_file():
            raise PlanError(f"there is no file {file}; `misstep explore` saves failing plans in .misstep/failures")
        if file.stat().st_size > LARGEST:
            raise PlanError(f"{file.name} has {file.stat().st_size} bytes: a plan has at most {LARGEST}")
        record = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise PlanError(f"{file.name} is no saved failure: {error}") from error
    if not isinstance(record, dict):
        raise PlanError(f"{file.name} is no saved failure: it holds {type(record).__name__}, expected an object")
    if record.get("misstep", FORM) != FORM:
        raise PlanError(f"{file.name} has form {record['misstep']!r}: this misstep reads form {FORM}")
    return record


def plan_of(record: dict[str, Any], name: str) -> Plan:
    """Return the plan in a saved failure, or the bare plan that a record is.

    Raises:
        PlanError: There is none.
    """
    plan = record.get("plan") if "misstep" in record else record
    return Plan.from_json(json.dumps(plan), source=name)


def forget(saved: Sequence[Saved]) -> None:
    """Remove plans that fail no more."""
    for one in saved:
        one.file.unlink(missing_ok=True)
