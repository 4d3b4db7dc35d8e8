"""SQL of effects and probes: how ``{correlation}`` becomes a bound parameter, and who asks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from misstep.harness.stores.port import Rows

HOLE = "{correlation}"
LITERAL = re.compile(r"('(?:[^']|'')*')")
MARKS: Final = {"sqlite": "?", "postgres": "%s"}


class Query(Protocol):
    """Asks a store."""

    async def __call__(self, store: str, sql: str, parameters: Sequence[object]) -> Rows:
        """Ask a store by its name.

        Raises:
            StoreFailed: It could not be asked.
        """


def bind(sql: str, kind: str, correlation: str) -> tuple[str, tuple[str, ...]]:
    """Replace every ``{correlation}`` by a parameter, in the way of a kind of store.

    Quotes around it are taken away, and inside a longer literal it is concatenated, so that no correlation, whatever it
    holds, is ever read as SQL. Everything else stays as it is.

    Args:
        sql: The query as declared.
        kind: ``sqlite`` or ``postgres``.
        correlation: The value.

    Returns:
        The query, and its parameters.
    """
    if HOLE not in sql:
        return sql, ()
    mark = MARKS[kind]
    parts = []
    for part in LITERAL.split(sql):
        text = part.replace("%", "%%") if kind == "postgres" else part
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
