"""What must hold across a whole choreography, whether it was read from a file or written in code."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from misstep.harness.choreography import check_outside
from misstep.harness.choreography.reading import shown
from misstep.harness.choreography.rules import known_name, template, templates
from misstep.harness.choreography.scopes import (
    listens,
    mentions,
    shape_of_environment,
    shape_of_service,
)
from misstep.harness.choreography.words import Choreography, Saga, Service, Store
from misstep.harness.errors import ChoreographyError, Problem

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
SECTIONS = ("services", "stores", "externals", "drivers", "effects", "sagas", "probes", "views")


def check(choreography: Choreography) -> tuple[Problem, ...]:
    """Return everything that is wrong with a choreography as a whole; nothing when it can be used.

    Args:
        choreography: The system under test, as declared in a file or in code.
    """
    return tuple(find(choreography))


def must_hold(choreography: Choreography) -> Choreography:
    """Return a choreography as it is.

    Raises:
        ChoreographyError: Something is wrong with it; see :func:`check`.
    """
    if problems := check(choreography):
        raise ChoreographyError(f"the choreography {choreography.name!r}", problems)
    return choreography


def find(choreography: Choreography) -> Iterator[Problem]:
    """Yield every problem, section by section."""
    yield from names(choreography)
    yield from templates("choreography.broker_url", choreography.broker_url, shape_of_environment())
    yield from templates("choreography.management_url", choreography.management_url, shape_of_environment())
    for at, name in enumerate(choreography.checkers):
        if not FUNCTION.fullmatch(name):
            hint = "such as checks:every_order_is_paid"
            yield Problem(f"choreography.checkers[{at}]", shown(name), "module:function", hint)
    for name, service in choreography.services.items():
        yield from check_service(f"services.{name}", service, choreography)
    yield from circles(choreography.services)
    for name, store in choreography.stores.items():
        yield from check_store(f"stores.{name}", store, choreography)
    for name, saga in choreography.sagas.items():
        yield from check_saga(f"sagas.{name}", saga, choreography)
    for name, sql in choreography.quiet.outboxes.items():
        place = f"quiet.outboxes.{name}"
        yield from known_name(place, name, choreography.stores, "a store")
        if not sql.strip():
            yield Problem(place, shown(sql), "a query that counts the rows still to be published")
    yield from check_outside.find(choreography)


def names(choreography: Choreography) -> Iterator[Problem]:
    """Names stand in templates and file names, so they are plain; in code, each stands under its own."""
    for section in SECTIONS:
        parts: Mapping[str, object] = getattr(choreography, section)
        for name, part in parts.items():
            place = f"{section}.{name}"
            if not NAME.fullmatch(name):
                yield Problem(place, shown(name), "a name of letters, digits, - and _, at most 64, no digit first")
            own = getattr(part, "name", name)
            if own != name:
                yield Problem(f"{place}.name", shown(own), f"{name!r}, the name that it stands under")


def check_service(place: str, service: Service, choreography: Choreography) -> Iterator[Problem]:
    """Yield what is wrong with one service."""
    if not service.processes:
        yield Problem(place, "", "a command, or processes = { name = command, … }")
    single = tuple(service.processes) == ("main",)
    shape = shape_of_service(choreography, service)
    for name, command in service.processes.items():
        at = f"{place}.command" if single else f"{place}.processes.{name}"
        yield from check_command(at, command)
        yield from template(at, command, shape)
    for name, text in service.env.items():
        yield from template(f"{place}.env.{name}", text, shape)
    for other in service.after:
        yield from known_name(f"{place}.after", other, choreography.services, "a service")
    if choreography.folder.is_dir() and not (choreography.folder / service.cwd).is_dir():
        yield Problem(f"{place}.cwd", shown(service.cwd), f"a folder in {choreography.folder.name}")
    yield from check_ready(place, service)


def check_command(place: str, command: str) -> Iterator[Problem]:
    """Yield what is wrong with a command as a line of words."""
    try:
        if not shlex.split(command):
            yield Problem(place, shown(command), "a command that is not empty")
    except ValueError as error:
        yield Problem(place, shown(command), f"words as a shell has them, but: {error}")


def check_ready(place: str, service: Service) -> Iterator[Problem]:
    """Yield what can never become true of a service's readiness."""
    ready = service.ready
    if (ready.http or ready.tcp) and not listens(service):
        what = "http" if ready.http else "tcp"
        expected = "{port} in the service's command or environment, so that it knows where to listen"
        yield Problem(f"{place}.ready.{what}", shown(ready.http or ready.tcp), expected)
    if ready.http and not ready.http.startswith("/"):
        yield Problem(f"{place}.ready.http", shown(ready.http), "a path, such as /health")
    if ready.consumers and not service.broker:
        hint = "it has broker = false, so it never consumes"
        yield Problem(f"{place}.ready.consumers", shown(ready.consumers), "0", hint)
    try:
        re.compile(ready.log)
    except re.error as error:
        yield Problem(f"{place}.ready.log", shown(ready.log), f"a regular expression, but: {error}")


def circles(services: Mapping[str, Service]) -> Iterator[Problem]:
    """Yield a problem for services that wait for each other."""
    waiting = {name: {other for other in service.after if other in services} for name, service in services.items()}
    while free := [name for name, others in waiting.items() if not others & waiting.keys()]:
        for name in free:
            del waiting[name]
    for name, others in waiting.items():
        if name in others or len(waiting) > 1:
            hint = f"these wait for each other: {', '.join(sorted(waiting))}"
            after = shown(list(services[name].after))
            yield Problem(f"services.{name}.after", after, "services that need not wait for this one", hint)


def check_store(place: str, store: Store, choreography: Choreography) -> Iterator[Problem]:
    """Yield what is wrong with one store."""
    at = f"{place}.{store.kind}"
    if not store.target:
        yield Problem(place, "", 'one of sqlite = "file", postgres = "local" or its URL, tcp = "host:port"')
        return
    yield from template(at, store.target, shape_of_environment())
    plain = not mentions(store.target, "env")
    if store.kind == "postgres" and plain and store.target != "local" and not is_postgres(store.target):
        yield Problem(at, shown(store.target), '"local", or a URL such as postgresql://user@host/database')
    if store.kind == "tcp" and plain and not re.search(r":\d+", store.target):
        yield Problem(at, shown(store.target), "host:port")
    if store.schema and store.kind == "tcp":
        yield Problem(
            f"{place}.schema", shown(store.schema), "no schema: only sqlite and postgres are spoken to in SQL"
        )
    elif store.schema.endswith(".sql") and not (choreography.folder / store.schema).is_file():
        yield Problem(f"{place}.schema", shown(store.schema), f"SQL, or a file in {choreography.folder.name}")


def is_postgres(url: str) -> bool:
    """Say whether a URL is one of PostgreSQL's."""
    return url.startswith(("postgresql://", "postgres://"))


def check_saga(place: str, saga: Saga, choreography: Choreography) -> Iterator[Problem]:
    """Yield what is wrong with one saga: an ending that contradicts another, a step that stands there twice."""
    if not saga.starts:
        yield Problem(f"{place}.starts", "", "the event that starts it")
    if not saga.completes:
        yield Problem(f"{place}.completes", "", "an event that means it completed")
    for event in sorted(set(saga.completes) & set(saga.fails)):
        yield Problem(f"{place}.fails", shown(event), "an event that does not mean completion as well")
    done: set[str] = set()
    for position, step in enumerate(saga.steps):
        at = f"{place}.steps[{position}]"
        if step.does in done:
            yield Problem(f"{at}.does", shown(step.does), "an event that no earlier step has")
        if step.undoes and step.undoes == step.does:
            yield Problem(f"{at}.undoes", shown(step.undoes), "another event than the one that does it")
        done.add(step.does)
    for pattern in choreography.events.ignore:
        for event in sorted({saga.starts, *saga.completes, *saga.fails, *done}):
            if fnmatchcase(event, pattern):
                hint = f"{saga.name} needs {event}"
                yield Problem("events.ignore", shown(pattern), "events that are no part of a saga", hint)
