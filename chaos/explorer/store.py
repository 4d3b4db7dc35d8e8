"""Failing plans, saved beside the choreography and tried first the next time.

A cache that never need be invalidated: a file is named by its plan's digest, holds all that a replay needs, and is
left alone where it is not understood. A plan that fails no more is forgotten.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from misstep.chaos.explorer.outcome import Failure, plain_failure
from misstep.harness.errors import MisstepError, PlanError
from misstep.harness.plan import Plan

FORM = 1
LARGEST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A plan that failed once, and the file that holds it."""

    plan: Plan
    file: Path


def folder_of(choreography_folder: Path) -> Path:
    """Return where the failures of a choreography are kept."""
    return choreography_folder / ".misstep" / "failures"


def save(failure: Failure, choreography: str, folder: Path) -> Path:
    """Save a failing plan, whole or not at all, and return its file.

    Raises:
        MisstepError: The folder cannot be written.
    """
    record = {"misstep": FORM, "choreography": choreography, **plain_failure(failure)}
    del record["file"]
    target = folder / f"{failure.plan.digest}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".new")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(record, file, indent=2, ensure_ascii=False)
                file.write("\n")
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise MisstepError(f"the failing plan cannot be saved in {folder}: {error}; --no-save leaves it out") from error
    return target


def load(folder: Path) -> tuple[list[Saved], list[str]]:
    """Return the plans that are saved in a folder, and a note for each file that is not understood."""
    found: list[Saved] = []
    notes: list[str] = []
    for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            found.append(Saved(plan=read(file), file=file))
        except PlanError as error:
            notes.append(f"ignored {file.name}: {error}")
    return found, notes


def read(file: Path) -> Plan:
    """Read the plan of a saved failure, or a bare plan.

    Raises:
        PlanError: The file cannot be read, or holds no plan.
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
    if "misstep" not in record:
        return Plan.from_json(json.dumps(record), source=file.name)
    if record["misstep"] != FORM:
        raise PlanError(f"{file.name} has form {record['misstep']!r}: this misstep reads form {FORM}")
    return Plan.from_json(json.dumps(record.get("plan")), source=file.name)


def forget(saved: Sequence[Saved]) -> None:
    """Remove plans that fail no more."""
    for one in saved:
        one.file.unlink(missing_ok=True)
