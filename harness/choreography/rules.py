"""Rules that many parts of a choreography share: names that must be known, templates that must make sense."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from misstep.harness.choreography.reading import shown
from misstep.harness.choreography.templates import Hole, look_up, nearest, parse
from misstep.harness.choreography.words import Json
from misstep.harness.errors import ChoreographyError, Problem


def known_name(place: str, name: str, known: Iterable[str], what: str) -> Iterator[Problem]:
    """Yield a problem where a name is none of those that were declared, with the nearest that was."""
    choices = list(known)
    if name not in choices:
        near = nearest(name, choices)
        expected = f"{what}: {', '.join(choices)}" if choices else f"{what}, but none is declared"
        yield Problem(place, shown(name), expected, f"did you mean {near}?" if near else "")


def template(place: str, text: str, shape: Mapping[str, object]) -> Iterator[Problem]:
    """Yield a problem for each name in a template that will mean nothing."""
    try:
        parts = parse(text)
    except ValueError as error:
        yield Problem(place, shown(text), str(error))
        return
    for part in parts:
        if isinstance(part, Hole):
            try:
                look_up(part, shape, text)
            except ChoreographyError as error:
                for problem in error.problems:
                    yield Problem(place, shown(text), f"{problem.expected}, not {problem.place}", problem.hint)


def templates(place: str, value: Json, shape: Mapping[str, object]) -> Iterator[Problem]:
    """Yield a problem for each name that will mean nothing in any text of JSON data."""
    if isinstance(value, str):
        yield from template(place, value, shape)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from templates(f"{place}.{key}", inner, shape)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from templates(f"{place}[{position}]", inner, shape)


def exactly_one(place: str, choices: Mapping[str, object]) -> Iterator[Problem]:
    """Yield a problem where not exactly one of some keys is set."""
    there = [key for key, value in choices.items() if value]
    listed = ", ".join(choices)
    if not there:
        yield Problem(place, "", f"one of {listed}")
    for key in there[1:]:
        yield Problem(f"{place}.{key}", shown(choices[key]), f"only one of {listed}; {there[0]} is here already")


def only_with(place: str, companion: str, extras: Mapping[str, object]) -> Iterator[Problem]:
    """Yield a problem for each key that is set and means something only beside another one, which is not set."""
    for key, value in extras.items():
        if value:
            yield Problem(f"{place}.{key}", shown(value), f"this key only together with {companion}")
