"""The commands of this package; light, since every command line loads it."""

from __future__ import annotations

from collections.abc import Sequence

import click


def commands() -> Sequence[click.Command]:
    """Return the commands: ``explore`` and ``replay``."""
    from misstep.chaos.commands import explore, replay

    return (explore.explore, replay.replay)
