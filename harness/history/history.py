"""A history: the append-only record of one run, and its form as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, get_args

import msgspec
from misstep.harness.errors import MisstepError
from misstep.harness.history.entries import Entry

KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Entry)}

E = TypeVar("E")


class History:
    """What happened in one run, in order; entries are only ever added."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: list[Entry] = list(entries)

    def append(self, entry: Entry) -> None:
        """Add what happened last."""
        self._entries.append(entry)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Entry:
        return self._entries[index]

    def of(self, kind: type[E]) -> list[E]:
        """Return the entries of one kind, in order."""
        return [entry for entry in self._entries if isinstance(entry, kind)]

    def to_lines(self) -> Iterator[str]:
        """Yield each entry as one line of JSON, the name of its class as ``entry`` beside its fields."""
        for entry in self._entries:
            plain = {"entry": type(entry).__name__, **msgspec.to_builtins(entry)}
            yield json.dumps(plain, separators=(",", ":"), default=str)

    @staticmethod
    def from_lines(lines: Iterable[str], *, source: str = "history") -> History:
        """Read a history back.

        Raises:
            MisstepError: A line is not an entry; the message names the line.
        """
        entries: list[Entry] = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                plain = json.loads(line)
                entries.append(msgspec.convert(plain, KINDS[plain.pop("entry")]))
            except (ValueError, KeyError, AttributeError, TypeError, msgspec.ValidationError) as error:
                shown = line.strip()[:80]
                raise MisstepError(f"{source}, line {number} is no entry of a history: {shown!r} ({error})") from error
        return History(entries)
