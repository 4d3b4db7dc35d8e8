"""What several commands take: which choreography, on which stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from misstep.harness.choreography.words import Choreography

FILE = "choreography.toml"
STAGES = ("embedded", "local", "docker", "remote")

F = TypeVar("F", bound=Callable[..., Any])


def choreography_argument(command: F) -> F:
    """Add the argument that names a choreography file, or the folder it is in."""
    return click.argument("where", default=".", metavar="[CHOREOGRAPHY]")(command)


def stage_option(command: F) -> F:
    """Add the option that names the stage."""
    return click.option(
        "--stage", "kind", type=click.Choice(STAGES), default="embedded", show_default=True, help="Where it runs."
    )(command)


def chosen(where: str) -> Choreography:
    """Read the choreography that an argument names.

    Raises:
        click.UsageError: There is no such file.
        ChoreographyError: The file has problems; all are told.
    """
    from misstep.harness.choreography.file import load

    path = Path(where)
    if path.is_dir():
        path = path / FILE
    if not path.is_file():
        raise click.UsageError(
            f"there is no choreography at {path}: name a {FILE} or its folder, or write one with `misstep init`"
        )
    return load(path)
