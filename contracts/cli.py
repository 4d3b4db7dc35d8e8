"""The commands of the contracts package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


def commands() -> Sequence[click.Command]:
    """Return the commands that this package adds to ``misstep``: none yet."""
    return ()
