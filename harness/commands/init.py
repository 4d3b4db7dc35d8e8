"""``misstep init``: write a first, commented choreography file."""

from __future__ import annotations

from pathlib import Path

import click
from misstep.harness.commands.choose import FILE


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
def init(folder: Path) -> None:
    """Write a first, commented choreography.toml into FOLDER."""
    from misstep.harness.choreography.starter import STARTER

    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(STARTER)
    except FileExistsError:
        raise click.UsageError(
            f"{path} is there already; nothing was changed. Edit it, or choose another folder"
        ) from None
    click.echo(f"wrote {path}: fill in your services, then run `misstep inspect {folder}`")
