"""Drivers: the stimulus that starts a saga, by HTTP, by an event of its own, or by a command."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from misstep.harness.choreography.bodies import read_body
from misstep.harness.choreography.paths import MISSING, walk
from misstep.harness.choreography.plain import text_of
from misstep.harness.choreography.requests import split_request
from misstep.harness.choreography.scopes import mentions
from misstep.harness.choreography.templates import expand, expand_command, expand_json
from misstep.harness.choreography.words import Driver, Json
from misstep.harness.errors import BrokerFailed, DriverFailed
from misstep.harness.history.entries import Result
from misstep.harness.outside.commands import RunCommand, run_command
from misstep.harness.outside.wording import ending, excerpt, reason
from misstep.harness.plan import Drive

if TYPE_CHECKING:
    import httpx


class Publish(Protocol):
    """Publishes one message and waits for its confirm, as :meth:`misstep.harness.brokers.port.Space.publish` does."""

    async def __call__(
        self, exchange: str, key: str, body: bytes, *, headers: Mapping[str, object], properties: Mapping[str, object]
    ) -> None:
        """Publish it.

        Raises:
            BrokerFailed: It was not confirmed.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What became of a stimulus.

    Attributes:
        saga: The saga's ordinal within the plan, from 1.
        driver: The driver.
        outcome: ``ok``: it was taken. ``fail``: it was certainly not. ``unknown``: nobody can say, or which saga it
            started cannot be told.
        correlation: The business key of its saga; empty where it is not known.
        detail: Why the outcome is not ``ok``.
        status: The HTTP status or the exit status; None where there was none.
    """

    saga: int
    driver: str
    outcome: Result
    correlation: str = ""
    detail: str = ""
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What drivers do their work with.

    Attributes:
        client: Sends HTTP requests.
        publish: Publishes a message.
        run: Runs a command.
        folder: Where commands run.
        environment: The environment that commands are given.
    """

    client: httpx.AsyncClient
    publish: Publish
    run: RunCommand = run_command
    folder: Path = Path()
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


async def drive(
    driver: Driver,
    drive: Drive,
    *,
    saga: int,
    scope: Mapping[str, object],
    fakes: Mapping[str, object],
    keys: Mapping[str, object],
    means: Means,
) -> Driven:
    """Give one stimulus, and learn which saga it started.

    Args:
        driver: The driver as declared.
        drive: The data that replaces its own, by top-level field; texts in it are templates, too.
        saga: The saga's ordinal within the plan, from 1.
        scope: What names in templates mean on this stage.
        fakes: What ``{faker.…}`` draws in data: the same in each run of a plan, such as
            ``Fakes(f"{seed}/driver/{saga}")``.
        keys: What it draws in the correlation, and in data that the correlation is taken from: never the same twice,
            since many runs may share a stage.
        means: What the work is done with.

    Raises:
        ChoreographyError: A template names something that does not exist.
        DriverFailed: The driver can never work as declared: its URL or its command is none.
    """
    prepared = prepare(driver, drive, {**scope, "faker": fakes}, keys)
    driven = Driven(saga=saga, driver=driver.name, outcome="ok", correlation=prepared.correlation)
    try:
        async with asyncio.timeout(driver.within):
            if driver.http:
                return await send(driver, prepared, driven, means)
            if driver.publish:
                return await publish(driver, prepared, driven, means)
            return await run(driver, prepared, driven, means)
    except TimeoutError:
        return replace(driven, outcome="unknown", detail=f"no answer within {driver.within:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A stimulus with everything filled in but its own texts.

    Attributes:
        data: The data, expanded.
        correlation: The supplied correlation; empty where an answer will tell it.
        names: What names mean in the driver's other texts.
    """

    data: Json
    correlation: str
    names: Mapping[str, object]


def prepare(driver: Driver, drive: Drive, names: Mapping[str, object], keys: Mapping[str, object]) -> Prepared:
    """Draw the data and, where the driver supplies it, the correlation.

    Raises:
        ChoreographyError: A template names something that does not exist.
        DriverFailed: The plan replaces fields of data that has none.
    """
    learned = driver.correlation.startswith(("response:", "output:"))
    if learned:
        data = expand_json(overlaid(driver, drive), names)
        return Prepared(data=data, correlation="", names={**names, "data": data})
    if mentions(driver.correlation, "data"):
        data = expand_json(overlaid(driver, drive), {**names, "faker": keys})
        names = {**names, "data": data}
        correlation = expand(driver.correlation, names)
    else:
        correlation = expand(driver.correlation, {**names, "faker": keys})
        names = {**names, "correlation": correlation}
        data = expand_json(overlaid(driver, drive), names)
    return Prepared(data=data, correlation=correlation, names={**names, "data": data, "correlation": correlation})


def overlaid(driver: Driver, drive: Drive) -> Json:
    """Return the driver's data with the plan's in its place, by top-level field.

    Raises:
        DriverFailed: The driver's data has no fields.
    """
    if not drive.data:
        return driver.json
    if driver.json is not None and not isinstance(driver.json, dict):
        raise DriverFailed(
            f"drivers.{driver.name}.json is {driver.json!r}, which has no fields; the plan replaces "
            f"{', '.join(sorted(drive.data))}: leave these out of the plan, or make json a table"
        )
    return {**(driver.json or {}), **drive.data}


async def send(driver: Driver, prepared: Prepared, driven: Driven, means: Means) -> Driven:
    """Send an HTTP request.

    Raises:
        DriverFailed: Its URL is none.
    """
    import httpx

    method, url = split_request(driver.http)
    url = expand(url, prepared.names)
    # A kept-alive connection to a service that was killed meanwhile would break, and leave the outcome unknown.
    headers = {"connection": "close"}
    if prepared.data is not None:
        headers["content-type"] = "application/json"
    headers |= {name.lower(): expand(text, prepared.names) for name, text in driver.headers.items()}
    content = None if prepared.data is None else encoded(prepared.data)
    try:
        response = await means.client.request(method, url, headers=headers, timeout=driver.within, content=content)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        return replace(driven, outcome="fail", detail=f"{method} {url} was never sent: {reason(error)}")
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError, UnicodeError) as error:
        raise DriverFailed(f"drivers.{driver.name} makes no proper request of {method} {url!r}: {error}") from error
    except httpx.HTTPError as error:
        return replace(driven, outcome="unknown", detail=f"{method} {url} was sent, but not answered: {reason(error)}")
    driven = replace(driven, status=response.status_code)
    if not is_accepted(driver, response.status_code):
        detail = f"{method} {url} was answered {response.status_code}: {excerpt(response.content)}"
        return replace(driven, outcome="fail", detail=detail)
    return learn(driver, driven, response.content, response.headers)


def is_accepted(driver: Driver, status: int) -> bool:
    """Say whether an HTTP status means that the stimulus was taken."""
    return status in driver.accepts if driver.accepts else status < 400


async def publish(driver: Driver, prepared: Prepared, driven: Driven, means: Means) -> Driven:
    """Publish an event."""
    names = prepared.names
    properties: dict[str, object] = {"content_type": "application/json"}
    properties |= {name: expand(text, names) for name, text in driver.properties.items()}
    headers = {name: expand(text, names) for name, text in driver.headers.items()}
    exchange, key = expand(driver.exchange, names), expand(driver.publish, names)
    try:
        await means.publish(exchange, key, encoded(prepared.data), headers=headers, properties=properties)
    except BrokerFailed as error:
        return replace(driven, outcome="unknown", detail=f"{key} was not confirmed: {error}")
    return driven


def encoded(data: Json) -> bytes:
    """Return data as the JSON that a body holds; no data is no body."""
    return b"" if data is None else json.dumps(data, ensure_ascii=False).encode(errors="replace")


async def run(driver: Driver, prepared: Prepared, driven: Driven, means: Means) -> Driven:
    """Run a command, its data on its standard input.

    Raises:
        DriverFailed: It could not be started.
    """
    argv = expand_command(driver.command, prepared.names)
    stdin, env = encoded(prepared.data), means.environment
    try:
        output = await means.run(argv, stdin=stdin, env=env, cwd=means.folder, within=driver.within)
    except OSError as error:
        raise DriverFailed(f"drivers.{driver.name}.command could not be started: {argv[0]!r}: {error}") from error
    driven = replace(driven, status=output.status)
    if output.status is None:
        return replace(driven, outcome="unknown", detail=f"{argv[0]} was not done within {driver.within:g} s")
    if output.status:
        told = ending(output.stderr or output.stdout)
        return replace(driven, outcome="fail", detail=f"{argv[0]} ended with status {output.status}: {told}")
    return learn(driver, driven, output.stdout, {})


def learn(driver: Driver, driven: Driven, body: bytes, headers: Mapping[str, str]) -> Driven:
    """Add the correlation that an answer tells, where the driver does not supply it."""
    if driven.correlation:
        return driven
    _, kind, where = driver.correlation.split(":", 2)
    found = headers.get(where, MISSING) if kind == "header" else walk(read_body(body), where)
    if found is MISSING or found is None or not text_of(found):
        told = "its answer" if driver.http else "its output"
        detail = f"{told} has no {kind}:{where}, so its saga cannot be followed: {excerpt(body)}"
        return replace(driven, outcome="unknown", detail=detail)
    return replace(driven, correlation=text_of(found))
