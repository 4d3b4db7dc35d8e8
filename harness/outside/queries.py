"""SQL of effects and probes: how ``{correlation}`` becomes a bound parameter, and who asks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol

HOLE = "{correlation}"
LITERAL = re.compile(r"('(?:[^']|'')*')")
MARKS: Final = {"qmark": "?", "format": "%s"}


class Askable(Protocol):
    """A store that can be asked: the part of :class:`misstep.harness.stores.port.Store` that is needed here."""

    @property
    def paramstyle(self) -> Literal["qmark", "format"]:
        """How a query marks its parameters (PEP 249)."""

    async def columns(self, sql: str, params: Sequence[object] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Ask, and return the names of the columns with the rows.

        Raises:
            StoreFailed: It could not be asked.
        """


async def ask(store: Askable, sql: str, correlation: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Ask a store for one saga, if the query does.

    Raises:
        StoreFailed: It could not be asked.
    """
    return await store.columns(*bind(sql, store.paramstyle, correlation))


def bind(sql: str, paramstyle: str, correlation: str) -> tuple[str, tuple[str, ...]]:
    """Replace every ``{correlation}`` by a parameter, in the way of a store.

    Quotes around it are taken away, and inside a longer literal it is concatenated, so that no correlation, whatever it
    holds, is ever read as SQL. Everything else stays as it is.

    Args:
        sql: The query as declared.
        paramstyle: How the store marks parameters: ``qmark`` or ``format``.
        correlation: The value.

    Returns:
        The query, and its parameters.
    """
    if HOLE not in sql:
        return sql, ()
    mark = MARKS[paramstyle]
    parts = []
    for part in LITERAL.split(sql):
        text = part.replace("%", "%%") if paramstyle == "format" else part
        if part == f"'{HOLE}'":
            parts.append(mark)
        elif part.startswith("'"):
            parts.append(text.replace(HOLE, f"' || {mark} || '"))
        else:
            parts.append(text.replace(HOLE, mark))
    return "".join(parts), (correlation,) * sql.count(HOLE)


def is_scoped(*texts: str) -> bool:
    """Say whether any of some texts asks for one saga alone, so that other sagas' data does not matter to it."""
    return any(HOLE in text for text in texts)
