"""RabbitMQ as this machine has it installed, and a private home that loads no more of it than is needed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from misstep.harness.doctor import Machine, find_rabbitmq
from misstep.harness.errors import PartMissing

WANTED = ("rabbit", "rabbitmq_prelaunch", "rabbitmq_management")
APPLICATIONS = re.compile(r"\{\s*(?:optional_)?applications\s*,\s*\[(.*?)\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Installation:
    """RabbitMQ on this machine.

    Attributes:
        home: The folder with ``sbin`` and ``plugins``.
        epmd: Erlang's port mapper.
    """

    home: Path
    epmd: Path


def find_installation(machine: Machine | None = None) -> Installation:
    """Find RabbitMQ and Erlang: below the folder that RABBITMQ_HOME names, else where packages put them.

    Raises:
        PartMissing: One of the two is not there; the message has the next step.
    """
    machine = machine or Machine()
    home = find_rabbitmq(machine)
    instead = "The embedded stage needs neither"
    if home is None:
        raise PartMissing(
            "a local broker was asked for, but no RabbitMQ is installed: no rabbitmq_server-*/sbin/rabbitmq-server was "
            f"found. {machine.install('rabbitmq-server', 'rabbitmq')} (it need not run as a service), or name its "
            f"folder by RABBITMQ_HOME. {instead}"
        )
    erl = machine.program("erl")
    if erl is None:
        raise PartMissing(
            f"RabbitMQ is installed ({home}), but there is no `erl` in PATH to run it: "
            f"{machine.install('erlang-base', 'erlang')}. {instead}"
        )
    return Installation(home, _find_epmd(machine, erl))


def _find_epmd(machine: Machine, erl: Path) -> Path:
    """Find epmd in PATH, else in the runtime system beside ``erl``."""
    beside = sorted(erl.resolve().parent.parent.glob("erts-*/bin/epmd"))
    found = machine.program("epmd") or (beside[-1] if beside else None)
    if found is None:
        raise PartMissing(f"Erlang is installed ({erl}), but its port mapper `epmd` is neither in PATH nor beside it")
    return found


def link_home(installation: Installation, home: Path) -> None:
    """Make a home whose plugins are only those that a stage needs, as links.

    RabbitMQ looks for every module in every plugin's folder: with all of them there, its start looks up some 50,000
    files that are not there, and takes half as long again.

    Args:
        installation: What is linked to.
        home: The folder to make.
    """
    (home / "plugins").mkdir(parents=True)
    for name in ("sbin", "escript"):
        (home / name).mkdir()
        for path in (installation.home / name).iterdir():
            (home / name / path.name).symlink_to(path)
    for path in needed_plugins(installation.home / "plugins"):
        (home / "plugins" / path.name).symlink_to(path)


def needed_plugins(folder: Path) -> list[Path]:
    """Return the plugins needed to serve AMQP and the management API, by what each application asks for."""
    known = {path.name.rpartition("-")[0] or path.name: path for path in folder.iterdir()}
    found: dict[str, Path] = {}
    queue = list(WANTED)
    for name in queue:
        if name in known and name not in found:
            found[name] = known[name]
            queue.extend(_applications(known[name], name))
    return list(found.values())


def _applications(plugin: Path, name: str) -> list[str]:
    """Read what an application depends on from its resource file (app(4)); nothing from a packed one."""
    resource = plugin / "ebin" / f"{name}.app"
    if not resource.is_file():
        return []
    text = resource.read_text(encoding="utf-8", errors="replace")
    return [application for match in APPLICATIONS.finditer(text) for application in re.findall(r"[a-z]\w*", match[1])]
