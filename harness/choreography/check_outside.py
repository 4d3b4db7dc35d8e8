"""What must hold of what stimulates a choreography and looks at it: drivers, externals, effects, probes, views."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

from misstep.harness.choreography.reading import shown
from misstep.harness.choreography.requests import METHODS, check_pattern, is_secret, split_part, split_request
from misstep.harness.choreography.rules import exactly_one, known_name, only_with, template, templates
from misstep.harness.choreography.scopes import mentions, shape_of_answer, shape_of_driver, shape_of_look
from misstep.harness.choreography.templates import nearest, texts
from misstep.harness.choreography.words import Answer, Choreography, Driver, Effect, Probe, View
from misstep.harness.errors import Problem


def find(choreography: Choreography) -> Iterator[Problem]:
    """Yield every problem of the parts outside the services."""
    for name, driver in choreography.drivers.items():
        yield from check_driver(f"drivers.{name}", driver, choreography)
    for name, external in choreography.externals.items():
        for position, answer in enumerate(external.answers):
            yield from check_answer(f"externals.{name}.answers[{position}]", answer)
    for name, effect in choreography.effects.items():
        yield from check_effect(f"effects.{name}", effect, choreography)
    for name, probe in choreography.probes.items():
        yield from check_probe(f"probes.{name}", probe, choreography)
    for name, view in choreography.views.items():
        yield from check_view(f"views.{name}", view, choreography)


def check_driver(place: str, driver: Driver, choreography: Choreography) -> Iterator[Problem]:
    """Yield what is wrong with one driver."""
    yield from exactly_one(place, {"http": driver.http, "publish": driver.publish, "command": driver.command})
    if not driver.publish:
        yield from only_with(place, "publish", {"exchange": driver.exchange, "properties": driver.properties})
    if not driver.http:
        yield from only_with(place, "http", {"accepts": driver.accepts})
    else:
        yield from request(f"{place}.http", driver.http, METHODS)
    if driver.saga or len(choreography.sagas) > 1:
        yield from known_name(f"{place}.saga", driver.saga, choreography.sagas, "the saga that it starts")
    yield from check_correlation(f"{place}.correlation", driver)
    yield from driver_templates(place, driver, choreography)


def supplies(driver: Driver) -> bool:
    """Say whether a driver supplies the id of its saga, rather than learning it from an answer."""
    return not driver.correlation.startswith(("response:", "output:"))


def check_correlation(place: str, driver: Driver) -> Iterator[Problem]:
    """Yield what is wrong with the way a driver knows its saga."""
    source, _, rest = driver.correlation.partition(":")
    needed = {"response": ("http", ("json", "header")), "output": ("command", ("json",))}
    if source in needed:
        stimulus, kinds = needed[source]
        try:
            split_part(rest, kinds)
        except ValueError as error:
            yield Problem(place, shown(driver.correlation), f"{source}:{error}")
        if not getattr(driver, stimulus):
            yield Problem(place, shown(driver.correlation), f"an id that is supplied: only {stimulus} has a {source}")
        return
    if rest and nearest(source, list(needed)) and "{" not in driver.correlation:
        near = f"did you mean {nearest(source, list(needed))}:{rest}?"
        yield Problem(place, shown(driver.correlation), "response:json:PATH, response:header:NAME or a template", near)
    elif not sends_correlation(driver):
        hint = "or tell where the answer has it: response:json:PATH"
        yield Problem(place, shown(driver.correlation), "{correlation} somewhere in what the driver sends", hint)


def sends_correlation(driver: Driver) -> bool:
    """Say whether the id that a driver supplies goes out with its stimulus."""
    if mentions(driver.correlation, "data"):
        return True
    sent = [driver.http, driver.publish, driver.exchange, driver.command, *texts(driver.json)]
    return any(mentions(text, "correlation") for text in (*sent, *driver.headers.values(), *driver.properties.values()))


def driver_templates(place: str, driver: Driver, choreography: Choreography) -> Iterator[Problem]:
    """Yield the names in a driver's texts that will mean nothing when they are expanded, in the order of a run."""
    data_first = mentions(driver.correlation, "data")
    if supplies(driver):
        shape = shape_of_driver(choreography, driver, data=data_first, correlation=False)
        yield from template(f"{place}.correlation", driver.correlation, shape)
    shape = shape_of_driver(choreography, driver, data=False, correlation=supplies(driver) and not data_first)
    yield from templates(f"{place}.json", driver.json, shape)
    shape = shape_of_driver(choreography, driver, data=True, correlation=supplies(driver))
    for key in ("http", "publish", "exchange", "command"):
        yield from template(f"{place}.{key}", getattr(driver, key), shape)
    for key in ("headers", "properties"):
        for name, text in getattr(driver, key).items():
            yield from template(f"{place}.{key}.{name}", text, shape)


def check_answer(place: str, answer: Answer) -> Iterator[Problem]:
    """Yield what is wrong with one scripted answer."""
    yield from pattern(f"{place}.when", answer.when)
    if not 200 <= answer.status <= 599:
        yield Problem(f"{place}.status", shown(answer.status), "an HTTP status from 200 to 599")
    if answer.once_by:
        yield from part(f"{place}.once_by", answer.once_by, ("header", "json"))
    shape = shape_of_answer()
    yield from templates(f"{place}.json", answer.json, shape)
    for name, text in answer.headers.items():
        yield from template(f"{place}.headers.{name}", text, shape)


def check_effect(place: str, effect: Effect, choreography: Choreography) -> Iterator[Problem]:
    """Yield what is wrong with one effect."""
    yield from exactly_one(place, {"external": effect.external, "store": effect.store})
    usual = {field.name: field.default for field in fields(Effect)}
    if effect.external:
        yield from known_name(f"{place}.external", effect.external, choreography.externals, "an external")
        yield from only_with(place, "store", {"sql": effect.sql})
        yield from pattern(f"{place}.when", effect.when)
        if not effect.key:
            yield Problem(f"{place}.key", "", "where a call keeps its business key: json:PATH, header:NAME or path:N")
        for key in ("key", "once_by"):
            if value := getattr(effect, key):
                yield from part(f"{place}.{key}", value, ("json", "header", "path"))
                if value.startswith("header:") and is_secret(value):
                    yield Problem(f"{place}.{key}", shown(value), "a header that holds no secret, since none is kept")
    elif effect.store:
        yield from sql_of(place, effect.store, effect.sql, choreography)
        extras = {key: getattr(effect, key) for key in ("when", "once_by", "key") if getattr(effect, key) != usual[key]}
        yield from only_with(place, "external", extras)
    if not effect.times:
        yield Problem(f"{place}.times", "", "a count, or { completed = 1, compensated = 0 }")


def check_probe(place: str, probe: Probe, choreography: Choreography) -> Iterator[Problem]:
    """Yield what is wrong with one probe."""
    yield from exactly_one(place, {"store": probe.store or probe.sql, "http": probe.http, "command": probe.command})
    if probe.store or probe.sql:
        yield from sql_of(place, probe.store, probe.sql, choreography)
    shape = shape_of_look(choreography)
    if probe.http:
        yield from request(f"{place}.http", probe.http, ("GET",))
    yield from template(f"{place}.http", probe.http, shape)
    yield from template(f"{place}.command", probe.command, shape)


def check_view(place: str, view: View, choreography: Choreography) -> Iterator[Problem]:
    """Yield what is wrong with one view."""
    yield from request(f"{place}.http", view.http, ("GET",))
    yield from template(f"{place}.http", view.http, shape_of_look(choreography))
    if view.value != "status":
        try:
            split_part(view.value, ("json", "header"))
        except ValueError as error:
            yield Problem(f"{place}.value", shown(view.value), f"status, or {error}")
    if not view.allows:
        yield Problem(f"{place}.allows", "", 'the moves that are allowed, such as ["pending -> confirmed"]')


def sql_of(place: str, store: str, sql: str, choreography: Choreography) -> Iterator[Problem]:
    """Yield what is wrong with a query and the store that it asks."""
    if store:
        yield from known_name(f"{place}.store", store, choreography.stores, "a store")
    else:
        yield Problem(f"{place}.store", "", "the store that sql asks")
    if not sql.strip():
        yield Problem(f"{place}.sql", "", "the query to ask")
    for name in re.findall(r"\{(\w+)\}", sql):
        if name != "correlation" and nearest(name, ["correlation"]):
            yield Problem(f"{place}.sql", shown(sql), f"no {{{name}}} in it", "did you mean {correlation}?")
    if store in choreography.stores and choreography.stores[store].kind == "tcp":
        yield Problem(f"{place}.store", shown(store), "a store that speaks SQL: sqlite or postgres")


def request(place: str, text: str, methods: tuple[str, ...]) -> Iterator[Problem]:
    """Yield what is wrong with ``METHOD url``."""
    try:
        method, url = split_request(text)
    except ValueError as error:
        yield Problem(place, shown(text), str(error))
        return
    if method not in methods:
        yield Problem(place, shown(text), f"a request that only looks: {' or '.join(methods)}")
    if not url.startswith(("http://", "https://", "{")):
        yield Problem(place, shown(text), "a URL that starts with http:// or https://")


def pattern(place: str, text: str) -> Iterator[Problem]:
    """Yield what is wrong with a pattern of requests."""
    try:
        check_pattern(text)
    except ValueError as error:
        yield Problem(place, shown(text), str(error))


def part(place: str, text: str, kinds: tuple[str, ...]) -> Iterator[Problem]:
    """Yield what is wrong with a place in a request."""
    try:
        split_part(text, kinds)
    except ValueError as error:
        yield Problem(place, shown(text), str(error))
