"""The ``misstep`` command: each package adds its own commands, by the entry point group ``misstep.commands``."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import entry_points

import click
from misstep.harness.errors import (
    ChoreographyError,
    DriverFailed,
    MisstepError,
    PartMissing,
    PlanError,
    ServiceFailed,
)
from misstep.harness.exit_status import INTERRUPTED, OWN_ERROR, UNKNOWN, USAGE, VALID


class Commands(click.Group):
    """The commands of every package, loaded when they are first asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted(self._all())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, or None where there is no such command."""
        return self._all().get(cmd_name)

    def _all(self) -> dict[str, click.Command]:
        groups = [each.load()() for each in entry_points(group="misstep.commands")]
        return {command.name or "": command for commands in groups for command in commands}


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="misstep")
def misstep() -> None:
    """Chaos and contract tests for choreographed services."""


def commands() -> Sequence[click.Command]:
    """Return the harness's own commands."""
    from misstep.harness.commands import doctor, init, inspect, up

    return (doctor.doctor, init.init, inspect.inspect, up.up)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    sys.exit(status(arguments))


def status(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its status.

    Args:
        arguments: The words after ``misstep``; those of this process where None.
    """
    try:
        result = misstep.main(args=arguments, prog_name="misstep", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return USAGE
    except (ChoreographyError, PlanError, PartMissing) as error:
        click.echo(f"misstep: {error}", err=True)
        return USAGE
    except (ServiceFailed, DriverFailed) as error:
        click.echo(f"misstep: {error}\nso nothing could be judged: unknown", err=True)
        return UNKNOWN
    except MisstepError as error:
        click.echo(f"misstep: {error}", err=True)
        return OWN_ERROR
    except Exception:
        traceback.print_exc()
        click.echo("misstep: this is an error of misstep itself; please report it with the lines above", err=True)
        return OWN_ERROR
    return result if isinstance(result, int) else VALID
