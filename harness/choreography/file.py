"""``choreography.toml``, read into the words of :mod:`misstep.harness.choreography.words`.

Every problem of a file is told at once: what cannot be read is noted and left at its default, and reading goes on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

from misstep.harness.choreography import sections
from misstep.harness.choreography.check import check
from misstep.harness.choreography.lines import line_of, lines_of
from misstep.harness.choreography.reading import Table
from misstep.harness.choreography.words import Choreography
from misstep.harness.errors import ChoreographyError, Problem

FILE_NAME: Final = "choreography.toml"
LARGEST_FILE = 4 * 2**20
BROKERS = ("rabbitmq",)
MEANT = "did you mean"

Named = TypeVar("Named")


def load(path: Path | str) -> Choreography:
    """Read a choreography.

    Args:
        path: The file, or the folder that ``choreography.toml`` stands in.

    Raises:
        ChoreographyError: It cannot be read or used; all its problems are told at once.
    """
    file = Path(path)
    if file.is_dir():
        file /= FILE_NAME
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ValueError(f"it is larger than {LARGEST_FILE // 2**20} MiB")
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        hint = "`misstep init` writes a first one" if isinstance(error, FileNotFoundError) else ""
        problem = Problem("the file", repr(str(file)), f"TOML in UTF-8, but: {reason}", hint)
        raise ChoreographyError(str(path), [problem]) from error
    return replace(read(text, folder=file.parent.absolute(), source=str(file)), source=file.name)


def read(text: str, *, folder: Path, source: str = FILE_NAME) -> Choreography:
    """Read the text of a choreography.

    Args:
        text: TOML.
        folder: Where its relative paths start from.
        source: What to call it in an error.

    Raises:
        ChoreographyError: It cannot be used; all its problems are told at once.
    """
    problems: list[Problem] = []
    choreography = build(Table(parse(text, source), "", problems), folder)
    problems += [problem for problem in check(choreography) if not is_echo(problem, problems)]
    if problems:
        raise ChoreographyError(source, with_lines(problems, lines_of(text)))
    return choreography


def parse(text: str, source: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ChoreographyError: It is none; the one problem says on which line.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # Python's own limit on the digits of a number is a ValueError, too
        expected = f"TOML, but: {error}" if isinstance(error, ValueError) else "TOML that is nested less deep"
        expected = expected.replace("at end of document", f"at line {text.count(chr(10)) + 1}, the end of the file")
        raise ChoreographyError(source, [Problem("the text", "", expected)]) from error


def build(file: Table, folder: Path) -> Choreography:
    """Build the choreography from the whole file, noting problems on the way."""
    head = file.table("choreography")
    name = head.text("name", default=folder.name)
    head.choice("broker", BROKERS, "rabbitmq")
    broker_url, management_url = head.text("broker_url"), head.text("management_url")
    checkers = head.texts("checkers")
    head.close()
    choreography = Choreography(
        name=name,
        folder=folder,
        broker_url=broker_url,
        management_url=management_url,
        services=named(file, "services", sections.service),
        stores=named(file, "stores", sections.store),
        events=sections.events(file.table("events")),
        drivers=named(file, "drivers", sections.driver),
        externals=named(file, "externals", sections.external),
        effects=named(file, "effects", sections.effect),
        sagas=named(file, "sagas", sections.saga),
        probes=named(file, "probes", sections.probe),
        views=named(file, "views", sections.view),
        quiet=sections.quiet(file.table("quiet")),
        progress=sections.progress(file.table("progress")),
        checkers=checkers,
    )
    file.close()
    return choreography


def named(file: Table, section: str, read_one: Callable[[str, Table], Named]) -> dict[str, Named]:
    """Read every table of a section, by name."""
    return {name: read_one(name, table) for name, table in file.tables(section).items()}


def is_echo(problem: Problem, known: list[Problem]) -> bool:
    """Say whether a problem only follows from a known one: its place could not be read, or its key is misspelt."""
    for other in known:
        if problem.place == other.place or problem.place.startswith((f"{other.place}.", f"{other.place}[")):
            return True
        table, _, key = problem.place.rpartition(".")
        if not problem.value and other.hint == f"{MEANT} {key}?" and other.place.rpartition(".")[0] == table:
            return True
        if not problem.value and other.hint.startswith(MEANT) and other.place.rpartition(".")[0] == problem.place:
            return True
    return False


def with_lines(problems: list[Problem], lines: Mapping[str, int]) -> list[Problem]:
    """Return the problems in the order of the file, each place with its line."""
    ordered = sorted(problems, key=lambda problem: line_of(problem.place, lines))
    return [replace(problem, place=with_line(problem.place, line_of(problem.place, lines))) for problem in ordered]


def with_line(place: str, line: int) -> str:
    """Return a place with its line, where it is known."""
    return f"{place} (line {line})" if line else place
