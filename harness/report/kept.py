"""Plans of runs that failed, kept beside the choreography: what ``misstep replay`` and the next search begin with."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import MisstepError
from misstep.harness.plan import Plan
from misstep.harness.runner import Run

FORM = 1


def folder_of(choreography: Choreography) -> Path:
    """Return where the failing plans of a choreography are kept."""
    return choreography.folder / ".misstep" / "failures"


def file_of(choreography: Choreography, plan: Plan) -> Path:
    """Return the file that a plan is kept in, whether it is there or not."""
    return folder_of(choreography) / f"{plan.digest}.json"


def keep(choreography: Choreography, run: Run) -> Path:
    """Keep the plan of a run that was not valid, and return its file.

    Raises:
        MisstepError: It cannot be written; the message says why.
    """
    findings = [
        {"checker": verdict.checker, "text": finding.text, "service": finding.service, "key": finding.key}
        for verdict in run.verdicts
        if verdict.answer == "invalid"
        for finding in verdict.findings
        if not finding.warning
    ]
    record = {
        "misstep": FORM,
        "choreography": choreography.name,
        "source": choreography.source,
        "digest": run.plan.digest,
        "plan": json.loads(run.plan.to_json()),
        "answer": run.answer,
        "stage": run.stage,
        "findings": findings,
    }
    return write_whole(file_of(choreography, run.plan), record)


def forget(choreography: Choreography, plan: Plan) -> None:
    """Forget a plan that fails no more; harmless where it was not kept."""
    try:
        file_of(choreography, plan).unlink(missing_ok=True)
    except OSError as error:
        raise MisstepError(f"a plan that fails no more cannot be forgotten: {error}") from error


def write_whole(file: Path, record: dict[str, Any]) -> Path:
    """Write a record as JSON, whole or not at all, and return its file; folders are made where they are missing.

    Raises:
        MisstepError: It cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".new")
        try:
            with open(handle, "w", encoding="utf-8") as opened:
                json.dump(record, opened, indent=2, ensure_ascii=False)
                opened.write("\n")
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise MisstepError(f"the failing plan cannot be kept in {file.parent}: {error}") from error
    return file
