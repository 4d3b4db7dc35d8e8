"""What a service's failure most likely comes from, and the next step: pure functions of what was seen."""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from misstep.harness.services.guardian import Command, Exit
from misstep.harness.services.sockets import Address, Sockets, bypasses

IN_USE = re.compile(
    r"address already in use|EADDRINUSE|port \d+ is (already )?in use|only one usage of each socket", re.I
)
REFUSED = re.compile(r"refused|connect call failed|cannot connect|can't connect|failed to connect", re.I)
ENDPOINT = re.compile(r"(?P<host>(?:\d{1,3}\.){3}\d{1,3}|localhost|::1|[a-z][\w.-]*)\W{1,4}(?P<port>\d{2,5})\b", re.I)
NO_MODULE = re.compile(r"No module named .*|Cannot find (?:module|package) .*|ClassNotFoundException: .*")
BAD_LOGIN = re.compile(r"ACCESS_REFUSED|NOT_ALLOWED - |password authentication failed", re.I)
PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s@/]+@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Everything that was seen of a service that failed.

    Attributes:
        service: Its name.
        incarnation: Which start of it, from 1.
        what: What it did wrong, to follow its name.
        unmet: What readiness still waited for, each with what there was instead.
        exits: How its processes ended, by name; those that still ran are left out.
        output: The last lines of its output, by log file name.
        sockets: Its sockets when it failed; None when nothing of it ran any more.
        port: The port it was given, if its command or environment uses one.
        links: Where it should have connected, by the name of the broker or store.
        real: Where these really are, which it must not know.
    """

    service: str
    incarnation: int
    what: str
    unmet: Sequence[tuple[str, str]] = ()
    exits: Mapping[str, Exit] = field(default_factory=dict)
    output: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sockets: Sockets | None = None
    port: int | None = None
    links: Mapping[str, Address] = field(default_factory=dict)
    real: Mapping[str, Collection[Address]] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = [f"service {self.service!r} {self.what} (incarnation {self.incarnation})"]
        rows += [f"  process {name} {found}" for name, found in self.exits.items()]
        rows += [f"  awaited: {awaited} ({seen})" for awaited, seen in self.unmet]
        rows += [f"  likely cure: {cure_of(self)}"]
        for name, lines in self.output.items():
            rows += [f"  last lines of {name}:" if lines else f"  {name} is empty: it wrote nothing"]
            rows += [f"    | {line}" for line in lines]
        return without_passwords("\n".join(rows))


def without_passwords(text: str) -> str:
    """Hide the passwords of URLs: a service may print the URL that it was given, or have it in its command."""
    return PASSWORD.sub(r"\1***@", text)


def cure_of(failure: Failure) -> str:
    """Name the likely cause of a failure, with the next step."""
    cures = (_bypass, _port_taken, _missing_module, _bad_login, _wrong_address, _sockets, _ended)
    for cure in cures:
        if found := cure(failure):
            return found
    return "its last lines should tell why; run the command by hand to see more"


def bypass_text(service: str, name: str, there: Address, link: Address | None) -> str:
    """Say that a service is connected past its link."""
    template = "{broker.url}" if name == "broker" else f"{{stores.{name}.url}}"
    what = "the broker" if name == "broker" else f"store {name!r}"
    instead = f", instead of through its link {link}" if link else ""
    return (
        f"{service!r} connects to {what} at {there} directly{instead}: nothing of it can be heard or disturbed there. "
        f"Is the address hard-coded? Let it read {template} from its environment"
    )


def spawn_text(command: Command, error: OSError) -> str:
    """Say why a command could not be started, and what to do."""
    program, path = command.argv[0], command.env.get("PATH", "(not set)")
    if error.filename == str(command.cwd) and error.filename != program:
        return f"its working directory {error.filename} cannot be entered ({error.strerror}): correct `cwd`"
    if "=" in program:
        return f"no shell runs the command, so {program!r} was taken for the program: move it to `env`"
    texts = {
        errno.ENOENT: (
            f"{program} or the interpreter in its #! line does not exist; relative paths start at {command.cwd}"
            if "/" in program
            else f"command not found: {program!r} is nowhere in PATH {path}: install it, or give its path"
        ),
        errno.ENOEXEC: f"{program} has no #! line: put its interpreter first, such as `python {program}`",
        errno.EACCES: f"{error.filename} may not be run: is it a file, and executable? `chmod +x {error.filename}`",
    }
    return texts.get(error.errno or 0, f"{error.filename or program}: {error.strerror}")


def _lines(failure: Failure) -> list[str]:
    return [line for lines in failure.output.values() for line in lines]


def _bypass(failure: Failure) -> str:
    if failure.sockets is None:
        return ""
    for name, there in bypasses(failure.sockets.remote, failure.real).items():
        return bypass_text(failure.service, name, there, failure.links.get(name))
    return ""


def _port_taken(failure: Failure) -> str:
    for line in _lines(failure):
        if IN_USE.search(line):
            given = f"{{port}} ({failure.port})" if failure.port else "{port}"
            return (
                f"a port that it listens on is in use: {line.strip()!r}. A fixed port collides with other runs: "
                f"let its command hold {given}. `ss -ltnp` shows who listens"
            )
    return ""


def _missing_module(failure: Failure) -> str:
    for line in _lines(failure):
        if found := NO_MODULE.search(line):
            return (
                f"{found[0].strip()!r}: its dependencies are not installed where its command runs, or `cwd` is not "
                "the folder that it is imported from"
            )
    return ""


def _bad_login(failure: Failure) -> str:
    for line in _lines(failure):
        if BAD_LOGIN.search(line):
            return (
                f"it was refused by the broker or store: {line.strip()[:200]!r}. Use the URL that it is given as a "
                "whole: user, password and virtual host (or database) are new in each run"
            )
    return ""


def _wrong_address(failure: Failure) -> str:
    """Find a refused connection in the output that is none of the links."""
    ours = {link.port for link in failure.links.values()} | {failure.port}
    for line in _lines(failure):
        found = ENDPOINT.search(line) if REFUSED.search(line) else None
        if found and int(found["port"]) not in ours and failure.links:
            links = ", ".join(f"{name} {link}" for name, link in failure.links.items())
            return (
                f"its output tells of a failed connection to {found['host']}:{found['port']}, which is none of its "
                f"links ({links}). Is that address hard-coded? Let it read {{broker.url}} from its environment"
            )
    return ""


def _sockets(failure: Failure) -> str:
    """Compare the sockets of a running service with what readiness waits for."""
    seen = failure.sockets
    if seen is None or not failure.unmet or failure.exits:
        return ""
    awaited = failure.unmet[0][0]
    if "consumer" in awaited:
        return _consumers(seen, failure.links.get("broker"))
    if "TCP port" in awaited or "http://" in awaited:
        return _listening(seen, failure)
    return ""


def _consumers(seen: Sockets, link: Address | None) -> str:
    if link is None or link in seen.remote:
        return (
            "it is connected to its link, but consumes too little: does it wait for another service (declare `after`), "
            "or is `ready.consumers` too high?"
        )
    others = sorted(seen.remote)
    elsewhere = f" It is connected to {', '.join(map(str, others))} instead." if others else ""
    return f"it never connected to its link {link}: does it read {{broker.url}} from its environment?{elsewhere}"


def _listening(seen: Sockets, failure: Failure) -> str:
    ports = {address.port for address in seen.listening}
    if failure.port in ports:
        return "it listens on its port: is the path right, or does it need longer than `ready.within`?"
    if seen.listening:
        where = ", ".join(map(str, sorted(seen.listening)))
        return f"it listens on {where}, but not on port {failure.port}: let its command hold {{port}}"
    return f"it listens nowhere: does its command hold {{port}} ({failure.port}), or does it need longer to start?"


def _ended(failure: Failure) -> str:
    for name, found in failure.exits.items():
        if found.code == 0:
            return f"process {name} ended by itself with status 0: a service must stay in the foreground"
        if found.code == 127:
            return f"process {name} ended with status 127, by which a shell says: command not found"
    return ""
