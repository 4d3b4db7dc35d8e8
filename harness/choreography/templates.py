"""Templates: ``{broker.url}`` and the like in texts of a choreography, expanded late.

Names in a stage's scope: ``{broker.url}`` (also ``host``, ``port``, ``user``, ``password``, ``vhost``),
``{stores.NAME.url}`` (``path``, ``host``, ``port``), ``{services.NAME.address}`` (host:port; ``port``), ``{port}``,
``{python}``, ``{externals.NAME.url}``, ``{env.NAME}``. Drivers have ``{faker.METHOD}``, ``{correlation}`` and
``{data.FIELD}`` as well; the answers of externals ``{faker.METHOD}`` and ``{request.json.PATH}``. ``{{`` and ``}}`` are
braces.

A scope is a nested mapping. A name is only ever looked up in it, key by key: no attribute is touched, no format is
evaluated, and what a look-up brings is never expanded again, so the data of others stays data.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from misstep.harness.choreography.paths import MISSING, walk
from misstep.harness.choreography.plain import plain, text_of
from misstep.harness.choreography.words import Json
from misstep.harness.errors import ChoreographyError, Problem

TOKEN = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<name>[^{}]*)\}|(?P<lone>[{}])")
DATA = ("data", "request")
LONGEST_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Hole:
    """A place in a template that a name fills."""

    name: str


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[str | Hole, ...]:
    """Split a template into its literal texts and its holes.

    Raises:
        ValueError: A brace stands alone, or encloses nothing; the message is what was expected.
    """
    parts: list[str | Hole] = []
    end = 0
    for token in TOKEN.finditer(text):
        parts.append(text[end : token.start()])
        end = token.end()
        if token["brace"]:
            parts.append(token["brace"][0])
        elif token["lone"] or not token["name"].strip():
            brace = token["lone"] or "{"
            raise ValueError(
                f"a name in braces, such as {{port}}; a brace that is meant as such is written {brace * 2}"
            )
        else:
            parts.append(Hole(token["name"].strip()))
    parts.append(text[end:])
    return tuple(part for part in parts if part)


def placeholders(text: str) -> tuple[str, ...]:
    """Return the names that a template mentions, in order and without braces.

    Raises:
        ValueError: See :func:`parse`.
    """
    return tuple(part.name for part in parse(text) if isinstance(part, Hole))


def expand(text: str, scope: Mapping[str, object]) -> str:
    """Fill in a template.

    Args:
        text: The template.
        scope: What names mean, nested: ``{"broker": {"url": …}, "port": …}``.

    Raises:
        ChoreographyError: A name is unknown, or a brace stands alone.
    """
    return "".join(part if isinstance(part, str) else text_of(look_up(part, scope, text)) for part in split(text))


def expand_json(value: Json, scope: Mapping[str, object]) -> Json:
    """Fill in every text in JSON data; a text that is one hole and nothing else becomes the value itself, even a list.

    Raises:
        ChoreographyError: A name is unknown, or a brace stands alone.
    """
    if isinstance(value, dict):
        return {key: expand_json(inner, scope) for key, inner in value.items()}
    if isinstance(value, list):
        return [expand_json(inner, scope) for inner in value]
    if not isinstance(value, str):
        return value
    match split(value):
        case (Hole() as hole,):
            return plain(look_up(hole, scope, value))
        case _:
            return expand(value, scope)


def expand_command(command: str, scope: Mapping[str, object]) -> tuple[str, ...]:
    """Split a command as a shell splits words, then fill in each word; a value with blanks stays one word.

    Raises:
        ChoreographyError: A name is unknown, a brace or a quote stands alone, or there is no word at all.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise trouble(command, "a command with closed quotes", str(error)) from error
    if not words:
        raise trouble(command, "a command", "")
    return tuple(expand(word, scope) for word in words)


def texts(value: Json) -> Iterator[str]:
    """Yield every text in JSON data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


def split(text: str) -> tuple[str | Hole, ...]:
    """Split a template as :func:`parse` does, with an error of our own tree.

    Raises:
        ChoreographyError: It is no template.
    """
    try:
        return parse(text)
    except ValueError as error:
        raise trouble(text, str(error), "") from error


def trouble(text: str, expected: str, hint: str) -> ChoreographyError:
    """Return the error for a template that cannot be used as a whole."""
    shown = repr(shorten(text))
    return ChoreographyError(f"the template {shown}", [Problem("template", shown, expected, hint)])


def look_up(hole: Hole, scope: Mapping[str, object], text: str) -> object:
    """Return what a hole's name means in a scope.

    Raises:
        ChoreographyError: It means nothing there.
    """
    try:
        found = walk(scope, hole.name)
    except (TypeError, ValueError, AttributeError) as error:  # Faker refuses arguments in many ways
        hint = f"{type(error).__name__}: {error}"
        problem = Problem(f"{{{hole.name}}}", "", "a name that can be drawn with these arguments", hint)
        raise ChoreographyError(f"the template {shorten(text)!r}", [problem]) from error
    if found is MISSING or (isinstance(found, Mapping) and hole.name.partition(".")[0] not in DATA):
        raise ChoreographyError(f"the template {shorten(text)!r}", [unknown(hole.name, scope)])
    return found


def unknown(name: str, scope: Mapping[str, object]) -> Problem:
    """Return the problem of a name that a scope does not have, with the nearest one that it has."""
    head, _, rest = name.partition(".")
    place = f"{{{name}}}"
    if head == "env" and rest:
        return Problem(place, "", f"the environment variable {rest} to be set", f"export {rest}=…")
    if head == "faker" and "faker" in scope:
        near = nearest(rest, list(scope["faker"]) if isinstance(scope["faker"], Mapping) else [])
        hint = f"did you mean {{faker.{near}}}?" if near else "see the providers in Faker's documentation"
        return Problem(place, "", "a method of Faker, such as {faker.uuid4}", hint)
    if head == "request" and "request" in scope:
        return Problem(place, "", "something that the request holds", "this request's body or headers lack it")
    parent = name.rpartition(".")[0]
    if walk(scope, parent) == {}:
        return Problem(place, "", f"{{port}} in the command or environment of {parent}, so that it has an address")
    names = sorted(set(leaves(scope)))
    near = nearest(name, names)
    shown = ", ".join(f"{{{known}}}" for known in names[:12]) + (", …" if len(names) > 12 else "")
    if near:
        return Problem(place, "", "a name that means something here", f"did you mean {{{near}}}?")
    return Problem(place, "", f"one of {shown}" if names else "no name at all")


def leaves(scope: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Yield the names of a scope as they are written; a mapping that is open (an environment) as ``env.NAME``."""
    for key, value in scope.items():
        if type(value) is dict:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}.NAME" if isinstance(value, Mapping) else f"{prefix}{key}"


def nearest(name: str, known: list[str]) -> str:
    """Return the known name that a misspelt one most likely means, or an empty text."""
    if len(name) > LONGEST_SHOWN:
        return ""
    lowered = {choice.lower(): choice for choice in reversed(known)}
    matches = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[matches[0]] if matches else ""


def shorten(text: str) -> str:
    """Return a text short enough to be shown."""
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
