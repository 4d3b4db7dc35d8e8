"""Probes: what the world can see when all is quiet, brought to a form that two runs can be compared by."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from misstep.harness.choreography.bodies import read_body, read_text
from misstep.harness.choreography.paths import MISSING, without
from misstep.harness.choreography.plain import canonical, plain
from misstep.harness.choreography.requests import split_request
from misstep.harness.choreography.templates import expand, expand_command
from misstep.harness.choreography.words import Json, Probe
from misstep.harness.errors import StoreFailed
from misstep.harness.outside.commands import RunCommand, run_command
from misstep.harness.outside.queries import Query, bind
from misstep.harness.outside.wording import ending, excerpt, reason
from misstep.harness.stores.port import Rows

if TYPE_CHECKING:
    import httpx

GONE = (404, 410)
SHORTEST_INNER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a probe saw.

    Attributes:
        probe: Which.
        value: What it saw, in canonical form.
        error: Why it saw nothing; empty when it did. A look that failed says nothing of the world.
    """

    probe: str
    value: Json = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What probes look with.

    Attributes:
        client: Sends HTTP requests.
        query: Asks a store.
        kinds: The kind of each store, by name.
        run: Runs a command.
        folder: Where commands run.
        environment: The environment that commands are given.
        within: Seconds that one look may take.
    """

    client: httpx.AsyncClient
    query: Query
    kinds: Mapping[str, str]
    run: RunCommand = run_command
    folder: Path = Path()
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    within: float = 10.0


class CannotLook(Exception):
    """A source did not answer; never leaves this module."""


async def look(
    probe: Probe, *, scope: Mapping[str, object], correlation: str, names: Mapping[str, str], means: Means
) -> Look:
    """Look once.

    Args:
        probe: The probe.
        scope: What names in templates mean on this stage.
        correlation: The saga that the look is for; empty where it is for none alone.
        names: What to call generated values that differ from run to run, such as each saga's correlation, so that two
            runs can be compared: ``{"3f2a-…": "saga 1"}``.
        means: What to look with.

    Raises:
        ChoreographyError: A template names something that does not exist.
    """
    scope = {**scope, "correlation": correlation} if correlation else scope
    try:
        if probe.sql:
            value: Json = await ask(probe, correlation, means)
        elif probe.http:
            value = await fetch(probe, scope, means)
        else:
            value = await execute(probe, scope, means)
    except (CannotLook, StoreFailed) as error:
        return Look(probe=probe.name, error=f"probes.{probe.name}: {error}")
    for path in probe.ignore:
        value = cast(Json, without(value, path))
    value = renamed(value, names)
    if probe.sql and isinstance(value, list):
        value = sorted(value, key=canonical)
    return Look(probe=probe.name, value=value)


async def ask(probe: Probe, correlation: str, means: Means) -> Json:
    """Ask a store.

    Raises:
        StoreFailed: It could not be asked.
    """
    sql, parameters = bind(probe.sql, means.kinds[probe.store], correlation)
    return records(await means.query(probe.store, sql, parameters))


def records(found: Rows) -> Json:
    """Return rows as one table for each, by column; a column's second namesake is called ``name#2``."""
    seen: Counter[str] = Counter()
    columns = []
    for column in found.columns:
        seen[column] += 1
        columns.append(f"{column}#{seen[column]}" if seen[column] > 1 else column)
    return [dict(zip(columns, cast("Sequence[Json]", plain(list(row))), strict=True)) for row in found.rows]


async def fetch(probe: Probe, scope: Mapping[str, object], means: Means) -> Json:
    """Ask by HTTP; what is gone is a look as well, all else of 400 and above is none.

    Raises:
        CannotLook: There was no answer, or one that says nothing.
    """
    import httpx

    method, url = split_request(probe.http)
    url = expand(url, scope)
    try:
        response = await means.client.request(method, url, timeout=means.within, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CannotLook(f"{method} {url} was not answered: {reason(error)}") from error
    if response.status_code in GONE:
        return {"status": response.status_code}
    if response.status_code >= 400:
        raise CannotLook(f"{method} {url} was answered {response.status_code}: {excerpt(response.content)}")
    return content(response.content)


async def execute(probe: Probe, scope: Mapping[str, object], means: Means) -> Json:
    """Run a command and read its output.

    Raises:
        CannotLook: It failed.
    """
    argv = expand_command(probe.command, scope)
    try:
        output = await means.run(argv, stdin=b"", env=means.environment, cwd=means.folder, within=means.within)
    except OSError as error:
        raise CannotLook(f"{argv[0]!r} could not be started: {error}") from error
    if output.status is None:
        raise CannotLook(f"{argv[0]} was not done within {means.within:g} s")
    if output.status:
        raise CannotLook(f"{argv[0]} ended with status {output.status}: {ending(output.stderr)}")
    return content(output.stdout)


def content(body: bytes) -> Json:
    """Return a body's data, or its text."""
    data = read_body(body)
    return read_text(body).strip() if data is MISSING else plain(data)


def renamed(value: Json, names: Mapping[str, str]) -> Json:
    """Return data with generated values called by their names, also inside longer texts where they are long enough."""
    if isinstance(value, dict):
        return {str(renamed(key, names)): renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, names) for inner in value]
    if not isinstance(value, str):
        return value
    if value in names:
        return names[value]
    for generated, name in names.items():
        if len(generated) >= SHORTEST_INNER:
            value = value.replace(generated, name)
    return value
