"""Plans of runs that did not pass, kept beside the choreography for ``misstep replay``.

The next search begins with those that failed. One that is unknown would leave every search unknown, so it is kept
apart.
"""

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


def keep(choreography: Choreography, run: Run) -> Path:
    """Keep the plan of a run that was not valid, and return its file.

    One that failed goes to :func:`folder_of`, any other into the folder ``unknown`` beside it.

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
    folder = folder_of(choreography)
    return write_whole((folder if findings else folder.with_name("unknown")) / f"{run.plan.digest}.json", record)


def forget(choreography: Choreography, plan: Plan) -> None:
    """Forget a plan that passes; harmless where it was not kept.

    Raises:
        MisstepError: It is kept, and cannot be removed.
    """
    folder = folder_of(choreography)
    try:
        for each in (folder, folder.with_name("unknown")):
            (each / f"{plan.digest}.json").unlink(missing_ok=True)
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
