"""``misstep doctor``: what this machine has, and the next step for what it lacks."""

from __future__ import annotations

import click


@click.command()
def doctor() -> None:
    """Say which stages, brokers and tools this machine has, and how to get the rest."""
    from misstep.harness.doctor import examine
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("", "part", "what was found"):
        table.add_column(title, overflow="fold")
    for part in examine():
        mark = "[green]yes[/]" if part.present else "[yellow]no[/]"
        table.add_row(mark, part.name, part.detail)
        if not part.present and part.next_step:
            table.add_row("", "", f"next step: {part.next_step}")
    Console(highlight=False).print(table)
