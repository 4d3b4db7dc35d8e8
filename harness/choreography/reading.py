"""Reading tables of a file, and finding everything that is wrong with them at once.

A :class:`Table` is asked for the keys that its reader understands; whatever nobody asked for is then a misspelt key.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time
from typing import Any, TypeVar, cast

from misstep.harness.choreography.templates import nearest
from misstep.harness.choreography.words import Json
from misstep.harness.errors import Problem

Read = TypeVar("Read")

DEEPEST = 32
NOUNS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


class Shown(reprlib.Repr):
    """Values as messages show them: short, whatever they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80
        self.maxlist = self.maxdict = 4
        self.maxlevel = 3


SHOWN = Shown()
SECRET = re.compile(r"(://[^:/@\s]*):[^@/\s]*@")


def shown(value: object) -> str:
    """Return a value as a message shows it: short, and no password of a URL with it."""
    return SECRET.sub(r"\1:***@", SHOWN.repr(value))


class Table:
    """One table of the file.

    Args:
        entries: What stands in it.
        place: Where it stands, as a dotted path; empty is the whole file.
        problems: Where every problem is put.
    """

    def __init__(self, entries: Mapping[str, Any], place: str, problems: list[Problem]) -> None:
        self.entries = entries
        self.place = place
        self.problems = problems
        self.asked: dict[str, bool] = {}

    def at(self, key: str) -> str:
        """Return the place of a key."""
        return f"{self.place}.{key}" if self.place else key

    def wrong(self, key: str, expected: str, hint: str = "") -> None:
        """Note that the value of a key is wrong."""
        self.problems.append(Problem(self.at(key), shown(self.entries[key]), expected, hint))

    def has(self, key: str) -> bool:
        """Say whether a key stands there, and that it is understood."""
        self.asked.setdefault(key, False)
        return key in self.entries

    def take(self, key: str, kind: type[Read], *, required: bool = False) -> Read | None:
        """Return the value of a key, or None where it is missing or, which is noted, of another type."""
        self.asked[key] = self.asked.get(key, False) or required
        if key not in self.entries:
            return None
        value = self.entries[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.wrong(key, NOUNS[kind])
            return None
        return value

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        """Return a text."""
        value = self.take(key, str, required=required)
        if required and value is not None and not value.strip():
            self.wrong(key, "a text that is not empty")
        return default if value is None else value

    def flag(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self.take(key, bool)
        return default if value is None else value

    def count(self, key: str, default: int, *, least: int = 0) -> int:
        """Return a whole number of at least ``least``."""
        value = self.take(key, int)
        if value is not None and not least <= value < 2**31:
            self.wrong(key, f"a whole number of at least {least}")
            return default
        return default if value is None else value

    def seconds(self, key: str, default: float, *, zero: bool = False) -> float:
        """Return a duration in seconds."""
        if isinstance(self.entries.get(key), int):
            value: float | None = self.take(key, int)
        else:
            value = self.take(key, float)
        if value is None:
            return default
        if not math.isfinite(value) or value < 0 or (value == 0 and not zero) or value > 10**6:
            self.wrong(key, f"seconds, {'at least' if zero else 'more than'} 0")
            return default
        return float(value)

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        """Return one of a few texts."""
        value = self.text(key, default)
        if value not in choices:
            near = nearest(value, list(choices))
            self.wrong(key, f"one of {', '.join(choices)}", f"did you mean {near}?" if near else "")
            return default
        return value

    def parsed(self, key: str, default: Read, parse: Callable[[str], Read]) -> Read:
        """Return what a text is read as; ``parse`` raises ValueError with what was expected."""
        value = self.take(key, str)
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError as error:
            self.wrong(key, str(error))
            return default

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        """Return a list of texts; a single text is a list of one."""
        if isinstance(self.entries.get(key), str):
            return (self.text(key, required=required),)
        return tuple(self.each(key, str, required=required))

    def counts(self, key: str) -> tuple[int, ...]:
        """Return a list of whole numbers."""
        return tuple(self.each(key, int))

    def each(self, key: str, kind: type[Read], *, required: bool = False) -> Iterator[Read]:
        """Yield the entries of a list that are of the right type, and note the others."""
        for position, value in enumerate(self.take(key, list, required=required) or ()):
            if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
                yield value
            else:
                self.problems.append(Problem(f"{self.at(key)}[{position}]", shown(value), NOUNS[kind]))

    def rows(self, key: str) -> list[Table]:
        """Return the tables of a list."""
        found = []
        for position, value in enumerate(self.take(key, list) or ()):
            place = f"{self.at(key)}[{position}]"
            if isinstance(value, dict):
                found.append(Table(value, place, self.problems))
            else:
                self.problems.append(Problem(place, shown(value), "a table in braces"))
        return found

    def table(self, key: str) -> Table:
        """Return a table, empty where there is none."""
        return Table(self.take(key, dict) or {}, self.at(key), self.problems)

    def tables(self, key: str) -> dict[str, Table]:
        """Return the named tables of a section."""
        section = self.table(key)
        found = {}
        for name in section.entries:
            if (entries := section.take(name, dict)) is not None:
                found[name] = Table(entries, section.at(name), self.problems)
        return found

    def words(self, key: str) -> dict[str, str]:
        """Return a table of texts; numbers and truth values are written as texts, as an environment wants them."""
        section = self.table(key)
        found = {}
        for name, value in section.entries.items():
            if isinstance(value, (dict, list)):
                section.wrong(name, "a text")
            else:
                found[name] = str(value).lower() if isinstance(value, bool) else str(value)
        return found

    def json(self, key: str) -> Json:
        """Return any data that JSON can carry; None where there is none."""
        self.asked.setdefault(key, False)
        return self.to_json(self.entries.get(key), self.at(key), 0)

    def to_json(self, value: object, place: str, depth: int) -> Json:
        """Bring data of TOML to JSON: dates become texts; what JSON cannot carry is noted."""
        if depth > DEEPEST:
            self.problems.append(Problem(place, "", f"data nested no deeper than {DEEPEST} levels"))
            return None
        match value:
            case dict():
                return {name: self.to_json(inner, f"{place}.{name}", depth + 1) for name, inner in value.items()}
            case list():
                return [self.to_json(inner, f"{place}[{at}]", depth + 1) for at, inner in enumerate(value)]
            case float() if not math.isfinite(value):
                self.problems.append(Problem(place, str(value), "a number that JSON can carry"))
                return None
            case date() | time():
                return value.isoformat()
            case _:
                return cast(Json, value)

    def close(self) -> None:
        """Note every key that nobody asked for, and every required one that is missing."""
        known = list(self.asked)
        meant = set()
        for key in self.entries:
            if key not in known:
                near = nearest(key, [name for name in known if name not in self.entries]) or nearest(key, known)
                meant.add(near)
                expected = f"one of the keys {', '.join(known)}"
                hint = f"did you mean {near}?" if near else ""
                self.problems.append(Problem(self.at(key), shown(self.entries[key]), expected, hint))
        for key, required in self.asked.items():
            if required and key not in self.entries and key not in meant:
                self.problems.append(Problem(self.at(key), "", "a value, but the key is missing"))
